//! Runs the sources and the parts of facts and state in parallel, each on its own thread, under one time limit.
//!
//! A panic is a bug of the agent and becomes the outcome `failed`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use muster_proto::model::{Outcome, SourceName};

use super::ScanOptions;
use super::encode::{FinishedSource, Finisher};
use crate::deadline::{self, Task, Unfinished};
use crate::memory::turn::Turn;
use crate::sources::record::{Enter, Part, Record};
use crate::sources::root::Root;
use crate::sources::wmi::Wmi;
use crate::sources::{self, OsUnknown, ScanContext, Source, SourceReading};

/// The share of the time limit for what must be known before anything else is read.
const FIRST: u32 = 4;
/// The share of the time limit for one question to Windows Management Instrumentation. Security Center has three, and then
/// still needs time to read what they name.
const QUESTION: u32 = 4;

/// Reads what all sources need to know about the machine.
pub(super) fn context(root: Root, options: &ScanOptions) -> Arc<ScanContext> {
    let ScanOptions { time_limit, memory, watchlist, wmi, .. } = options;
    let root = Arc::new(root);
    let clone = Arc::clone(&root);
    let os = deadline::run("os-release", *time_limit / FIRST, &memory.stuck, move || sources::os_release(&clone));
    let os = os.unwrap_or_else(|unfinished| {
        Err(OsUnknown { outcome: outcome_of(&unfinished), reason: unfinished.to_string() })
    });
    let clone = Arc::clone(&root);
    let registry = deadline::run("registry", *time_limit / FIRST, &memory.stuck, move || sources::registry_of(&clone));
    let registry = registry.unwrap_or_else(|unfinished| {
        Err(OsUnknown { outcome: outcome_of(&unfinished), reason: unfinished.to_string() })
    });
    let running = |system| Wmi::running(system, *time_limit / QUESTION, memory.stuck.clone());
    let wmi = match wmi {
        Some(answers) => Wmi::recorded(Arc::clone(answers)),
        None => sources::instrumentation(&root).map(running).unwrap_or_default(),
    };
    let watchlist = watchlist.clone().unwrap_or_else(|| sources::watchlist::builtin(root.platform()));
    Arc::new(ScanContext { root, os, registry, watchlist, wmi })
}

/// A source that was started.
pub(super) struct RunningSource {
    source: SourceName,
    uses_watchlist: bool,
    task: Task<FinishedSource>,
}

pub(super) fn start_sources(
    chosen: Vec<Box<dyn Source>>,
    context: &Arc<ScanContext>,
    options: &ScanOptions,
    finisher: &Arc<OnceLock<Finisher>>,
) -> Vec<RunningSource> {
    let ScanOptions { time_limit, memory, progress, .. } = options;
    let turn = Turn::new(*time_limit);
    progress.expect(u64::try_from(chosen.len()).unwrap_or(0));
    let start = |source: Box<dyn Source>| {
        let (name, uses_watchlist) = (source.name(), source.uses_watchlist());
        let (context, progress) = (Arc::clone(context), progress.clone());
        let (finisher, turn) = (Arc::clone(finisher), turn.clone());
        let task = Task::start(name.name(), *time_limit, &memory.stuck, move || {
            let turn = turn.reading();
            let reading = source.read(&context);
            progress.advance(1);
            let finished = deadline::paused(|| finisher.wait()).finish(name, uses_watchlist, reading);
            // Its section is encoded, and everything else of it is free.
            drop(turn);
            finished
        });
        RunningSource { source: name, uses_watchlist, task }
    };
    chosen.into_iter().map(start).collect()
}

impl RunningSource {
    /// Waits for the source, and returns how long it took.
    pub(super) fn wait(self, options: &ScanOptions, finisher: &Finisher) -> (FinishedSource, Duration) {
        let Self { source, uses_watchlist, task } = self;
        options.progress.note(source.name());
        let (result, took) = task.wait();
        let finished = result.unwrap_or_else(|unfinished| {
            let outcome = outcome_of(&unfinished);
            let reading = SourceReading { outcome, ..SourceReading::failed(unfinished.to_string()) };
            finisher.finish(source, uses_watchlist, reading)
        });
        (finished, took)
    }
}

fn outcome_of(unfinished: &Unfinished) -> Outcome {
    match unfinished {
        Unfinished::TimedOut { .. } => Outcome::TimedOut,
        Unfinished::Aborted => Outcome::Failed,
    }
}

/// A part of facts or state that was started.
pub(super) struct RunningPart {
    part: Part,
    task: Task<Enter>,
}

pub(super) fn start_parts<'a>(
    parts: impl Iterator<Item = &'a Part>,
    context: &Arc<ScanContext>,
    options: &ScanOptions,
) -> Vec<RunningPart> {
    let start = |part: &Part| {
        let (context, read) = (Arc::clone(context), part.read);
        let task = Task::start(part.what, options.time_limit, &options.memory.stuck, move || read(&context));
        RunningPart { part: *part, task }
    };
    parts.map(start).collect()
}

/// Enters the parts into the record. Returns what is unknown, each with the reason.
pub(super) fn enter_parts(parts: Vec<RunningPart>, record: &mut Record) -> Vec<String> {
    let mut unknown = Vec::new();
    for RunningPart { part, task } in parts {
        match task.wait().0 {
            Ok(enter) => enter(record),
            Err(unfinished) => {
                (part.unread)(record);
                unknown.push(format!("cannot read {}: {unfinished}", part.what));
            }
        }
    }
    unknown
}
