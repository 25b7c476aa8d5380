//! `processes`: running programs that the watchlist names, by the names of their files: the kernel cuts the name of a process
//! to 16 letters. No arguments, and nothing about other programs.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Kind, Observation, Outcome, RealtimeEvidence, SourceName, UnitState};

use super::running::Running;
use crate::sources::parse::macos::name::folded;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::watchlist::matches_on;
use crate::sources::{ScanContext, Source, SourceReading};

pub(super) struct Processes;

impl Source for Processes {
    fn name(&self) -> SourceName {
        SourceName::Processes
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        match listed(context) {
            None => SourceReading::not_applicable("no processes: the root is not a running system"),
            Some(running) => processes(context, &running),
        }
    }

    fn uses_watchlist(&self) -> bool {
        true
    }
}

/// What runs; `None` if this is not the running system.
pub(super) fn listed(context: &ScanContext) -> Option<Running> {
    context.root.is_running_system().then(running)
}

#[cfg(target_os = "macos")]
fn running() -> Running {
    super::live::running()
}

#[cfg(not(target_os = "macos"))]
fn running() -> Running {
    Running { some_hidden: true, ..Running::default() }
}

pub(super) fn processes(context: &ScanContext, running: &Running) -> SourceReading {
    let mut builder = ReadingBuilder::default();
    builder.places_found += 1;
    for program in running.programs.iter().filter(|program| is_watched(context, program)) {
        let mut process = Observation::new(Kind::Process, base_name(program));
        base_name(program).clone_into(&mut process.id);
        process.path.clone_from(program);
        builder.add("the processes", process);
    }
    if running.programs.is_empty() {
        builder.problem("no process is listed, but some run on every Mac");
    } else if running.some_hidden {
        builder.problem("only an administrator sees the programs of all processes");
    }
    builder.finish("")
}

/// Which programs of the watchlist run, as evidence of protection, and how completely they were listed.
pub(super) fn evidence(context: &ScanContext, running: &Running) -> (Vec<RealtimeEvidence>, Outcome) {
    let watched = running.programs.iter().filter(|program| is_watched(context, program));
    let found: BTreeSet<&str> = watched.map(|program| base_name(program)).collect();
    let evidence = |name: &str| RealtimeEvidence { place: format!("process:{name}"), on: true };
    let outcome = match (running.programs.is_empty(), running.some_hidden) {
        (true, _) => Outcome::Failed,
        (false, true) => Outcome::Denied,
        (false, false) if found.is_empty() => Outcome::Empty,
        (false, false) => Outcome::Found,
    };
    (found.into_iter().map(evidence).collect(), outcome)
}

/// Which of these jobs of launchd run, by their programs, and how certain that is.
pub(super) fn running_jobs(jobs: &BTreeMap<String, String>, running: &Running) -> (Vec<UnitState>, Outcome) {
    let programs: BTreeSet<String> = running.programs.iter().map(|program| resolved(program)).collect();
    let state = |(label, program): (&String, &String)| UnitState {
        name: label.clone(),
        active: !program.is_empty() && programs.contains(&resolved(program)),
    };
    let states: Vec<UnitState> = jobs.iter().map(state).collect();
    let outcome = match (running.programs.is_empty() || running.some_hidden, states.is_empty()) {
        (true, _) => Outcome::Denied,
        (false, true) => Outcome::Empty,
        (false, false) => Outcome::Found,
    };
    (states, outcome)
}

/// The kernel resolves the links at the top.
fn resolved(program: &str) -> String {
    let program = folded(program);
    let of_private = ["/var/", "/etc/", "/tmp/"].iter().any(|link| program.starts_with(link));
    if of_private { format!("/private{program}") } else { program }
}

fn is_watched(context: &ScanContext, program: &str) -> bool {
    let name = base_name(program);
    context.watchlist.processes.iter().any(|pattern| matches_on(context.platform(), pattern, name))
}

fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}
