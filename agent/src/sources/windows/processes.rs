//! `processes`: running programs that the watchlist names, from recorded answers. No arguments, and nothing about other programs.

use muster_proto::model::{Kind, Observation, SourceName};

use super::machine;
use super::reader::Reader;
use super::security_center::outcome_of;
use crate::sources::parse::windows::wmi::{Answer, Answers};
use crate::sources::watchlist::matches_in_any_case as matches;
use crate::sources::{ScanContext, Source, SourceReading};

const CLASS: &str = r"root\cimv2:Win32_Process";

pub(super) struct Processes;

impl Source for Processes {
    fn name(&self) -> SourceName {
        SourceName::Processes
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, |reader| {
            processes(reader, context.wmi.as_deref(), &context.watchlist.processes, context.root.is_running_system())
        })
    }

    fn uses_watchlist(&self) -> bool {
        true
    }
}

pub(super) fn processes(
    mut reader: Reader<'_>,
    wmi: Option<&Answers>,
    watched: &[String],
    is_running: bool,
) -> SourceReading {
    match wmi.and_then(|answers| answers.of(CLASS)) {
        None if is_running => SourceReading::failed("this version of the agent does not read this source"),
        None => SourceReading::not_applicable("no processes: the root is not a running system"),
        Some(Answer::Error(error)) => {
            let reason = format!("cannot ask {CLASS}: {error}");
            SourceReading { outcome: outcome_of(error), ..SourceReading::failed(reason) }
        }
        Some(Answer::Rows(rows)) => {
            reader.builder.places_found += rows.len();
            for row in rows {
                let name = row.text("Name");
                if !is_watched(watched, name) {
                    continue;
                }
                let mut process = Observation::new(Kind::Process, name);
                name.clone_into(&mut process.id);
                row.text("ExecutablePath").clone_into(&mut process.path);
                reader.add(CLASS, process);
            }
            if rows.is_empty() {
                reader.builder.problem("no process is listed, but some run on every Windows");
            }
            reader.finish("")
        }
    }
}

/// Whether the watchlist names a program, with or without its ending.
fn is_watched(watched: &[String], name: &str) -> bool {
    let is_program = name.len() > 4 && name.get(name.len() - 4..).is_some_and(|end| end.eq_ignore_ascii_case(".exe"));
    let stem = if is_program { &name[..name.len() - 4] } else { name };
    watched.iter().any(|pattern| matches(pattern, name) || matches(pattern, stem))
}
