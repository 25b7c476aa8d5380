//! `processes`: running programs that the watchlist names. No arguments, and nothing about other programs.

use muster_proto::model::{Kind, Observation, Outcome, RealtimeEvidence, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::windows::wmi::{Answer, Row};
use crate::sources::watchlist::matches_in_any_case as matches;
use crate::sources::wmi::Question;
use crate::sources::{ScanContext, Source, SourceReading};

/// The class with which processes are recorded. The running system is asked in another way, because the class reads the
/// arguments of every process.
const PROCESSES: Question = Question { class: r"root\cimv2:Win32_Process", properties: &[NAME, PATH] };
const NAME: &str = "Name";
const PATH: &str = "ExecutablePath";

pub(super) struct Processes;

impl Source for Processes {
    fn name(&self) -> SourceName {
        SourceName::Processes
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let answer = listed(context);
        machine::read(context, |reader| processes(reader, answer, &context.watchlist.processes))
    }

    fn uses_watchlist(&self) -> bool {
        true
    }
}

/// The processes of the machine; `None` if it does not run and none were recorded.
fn listed(context: &ScanContext) -> Option<Answer> {
    if !context.root.is_running_system() {
        return context.wmi.ask(&PROCESSES);
    }
    let answer = running(&context.watchlist.processes);
    context.wmi.note(PROCESSES.class, &answer);
    Some(answer)
}

#[cfg(windows)]
fn running(watched: &[String]) -> Answer {
    let row = |process: super::live::processes::Process| {
        let mut row = Row::default();
        row.set(NAME, process.name);
        if let Some(path) = process.path {
            row.set(PATH, path);
        }
        row
    };
    let listed = super::live::processes::list(&|name| is_watched(watched, name));
    listed.map_or_else(Answer::Error, |found| Answer::Rows(found.into_iter().map(row).collect()))
}

#[cfg(not(windows))]
fn running(_watched: &[String]) -> Answer {
    use crate::sources::parse::windows::wmi::WmiError;
    Answer::Error(WmiError::Failed("only a running Windows has processes".to_owned()))
}

pub(super) fn processes(mut reader: Reader<'_>, answer: Option<Answer>, watched: &[String]) -> SourceReading {
    match answer {
        None => SourceReading::not_applicable("no processes: the root is not a running system"),
        Some(Answer::Error(error)) => {
            let reason = format!("cannot list processes: {error}");
            SourceReading { outcome: error.outcome(), ..SourceReading::failed(reason) }
        }
        Some(Answer::Rows(rows)) => {
            reader.builder.places_found += rows.len();
            for row in rows.iter().filter(|row| is_watched(watched, row.text(NAME))) {
                let (name, path) = (row.text(NAME), row.text(PATH));
                if path.is_empty() {
                    reader.builder.problem(format!("the path of the program {name} is unknown"));
                }
                let mut process = Observation::new(Kind::Process, name);
                name.clone_into(&mut process.id);
                path.clone_into(&mut process.path);
                reader.add(PROCESSES.class, process);
            }
            if rows.is_empty() {
                reader.builder.problem("no process is listed, but some run on every Windows");
            }
            reader.finish("")
        }
    }
}

/// Which programs of the watchlist run, as evidence of protection, and how completely they were listed.
pub(super) fn evidence(context: &ScanContext) -> (Vec<RealtimeEvidence>, Outcome) {
    match listed(context) {
        Some(Answer::Rows(rows)) if !rows.is_empty() => {
            let name = |row: &Row| row.text(NAME).to_owned();
            let watched = |name: &String| is_watched(&context.watchlist.processes, name);
            let run = |name: String| RealtimeEvidence { place: format!("process:{name}"), on: true };
            let found: Vec<RealtimeEvidence> = rows.iter().map(name).filter(watched).map(run).collect();
            let outcome = if found.is_empty() { Outcome::Empty } else { Outcome::Found };
            (found, outcome)
        }
        Some(Answer::Rows(_)) | None => (Vec::new(), Outcome::Failed),
        Some(Answer::Error(error)) => (Vec::new(), error.outcome()),
    }
}

/// Whether the watchlist names a program, with or without its ending.
fn is_watched(watched: &[String], name: &str) -> bool {
    let is_program = name.len() > 4 && name.get(name.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".exe"));
    let stem = if is_program { &name[..name.len() - 4] } else { name };
    watched.iter().any(|pattern| matches(pattern, name) || matches(pattern, stem))
}
