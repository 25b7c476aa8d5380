//! Runs the sources in parallel, each on its own thread, under one time limit.
//!
//! A thread that does not return in time is abandoned: it can only read, its result is discarded, and its source gets no
//! second thread until it ends. A panic is a bug of the agent and becomes the outcome `failed`.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use muster_proto::model::{Outcome, SourceName};
use muster_proto::terminal::Progress;

use super::ScanOptions;
use crate::sources::{ScanContext, Source, SourceReading};

/// The result of running one source.
pub(super) struct SourceRun {
    pub(super) source: SourceName,
    pub(super) uses_watchlist: bool,
    pub(super) reading: SourceReading,
    pub(super) took: Duration,
}

/// The sources whose threads have not returned from an earlier scan. A source on a dead disk hangs in every scan, and each
/// further thread would use up the process' limits. Kept from one scan to the next.
#[derive(Debug, Clone, Default)]
pub struct StuckSources(Arc<Mutex<BTreeMap<SourceName, Arc<()>>>>);

impl StuckSources {
    fn sources(&self) -> MutexGuard<'_, BTreeMap<SourceName, Arc<()>>> {
        // No method can panic while it changes the map, so its content is valid even if the lock is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread of an earlier scan still runs this source: it then holds a clone of the mark.
    fn contains(&self, source: SourceName) -> bool {
        self.sources().get(&source).is_some_and(|mark| Arc::strong_count(mark) > 1)
    }
}

struct Running {
    source: SourceName,
    uses_watchlist: bool,
    answer: mpsc::Receiver<(SourceReading, Duration)>,
    mark: Arc<()>,
}

pub(super) fn all(sources: Vec<Box<dyn Source>>, context: &Arc<ScanContext>, options: &ScanOptions) -> Vec<SourceRun> {
    let ScanOptions { time_limit, stuck, progress, .. } = options;
    let started = Instant::now();
    progress.expect(u64::try_from(sources.len()).unwrap_or(0));
    let running: Vec<Running> = sources.into_iter().map(|source| start(source, context, stuck, progress)).collect();
    let wait = |running: Running| {
        progress.note(running.source.name());
        running.wait(started, *time_limit, stuck)
    };
    running.into_iter().map(wait).collect()
}

fn start(source: Box<dyn Source>, context: &Arc<ScanContext>, stuck: &StuckSources, progress: &Progress) -> Running {
    let (sender, answer) = mpsc::sync_channel(1);
    let mark = Arc::new(());
    if stuck.contains(source.name()) {
        let reading = SourceReading::failed("still running since an earlier scan");
        // The channel has capacity 1, so this does not block.
        let _ = sender.send((SourceReading { outcome: Outcome::TimedOut, ..reading }, Duration::ZERO));
        return Running { source: source.name(), uses_watchlist: source.uses_watchlist(), answer, mark };
    }
    let (name, uses_watchlist) = (source.name(), source.uses_watchlist());
    let context = Arc::clone(context);
    let started = Instant::now();
    let clone = Arc::clone(&mark);
    let progress = progress.clone();
    let work = move || {
        // Dropped when the source returns or panics. Until then the source counts as stuck.
        let _mark = clone;
        let reading = source.read(&context);
        progress.advance(1);
        // After the time limit nobody receives this, and the result is discarded.
        let _ = sender.send((reading, started.elapsed()));
    };
    // If the thread cannot be started, its sender is dropped. That reads as a failure below, like a panic.
    if let Err(error) = std::thread::Builder::new().name(format!("scan-{name}")).spawn(work) {
        tracing::error!(source = %name, error = %error, "cannot start a thread for a source");
    }
    Running { source: name, uses_watchlist, answer, mark }
}

impl Running {
    fn wait(self, started: Instant, limit: Duration, stuck: &StuckSources) -> SourceRun {
        // All sources have the same start and the same limit, because they run at the same time.
        let remaining = limit.saturating_sub(started.elapsed());
        let (reading, took) = match self.answer.recv_timeout(remaining) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                // The other clone of the mark is in the thread, so the entry is void as soon as the thread ends.
                stuck.sources().insert(self.source, self.mark);
                let reason = format!("timed out after {} s", limit.as_secs_f32());
                (SourceReading { outcome: Outcome::TimedOut, ..SourceReading::failed(reason) }, started.elapsed())
            }
            Err(RecvTimeoutError::Disconnected) => {
                (SourceReading::failed("internal error: the source panicked"), started.elapsed())
            }
        };
        SourceRun { source: self.source, uses_watchlist: self.uses_watchlist, reading, took }
    }
}
