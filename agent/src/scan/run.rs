//! Runs sources side by side, each on a thread of its own under one time limit.
//!
//! A thread that does not come back is left behind: it can only read, its answer goes nowhere, and until it ends there is
//! no other for its source. A panic is the
//! agent's own fault, and is told as one.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use muster_proto::model::{Outcome, SourceName};

use crate::sources::{ScanContext, Source, SourceReading};

/// What became of one source.
pub(super) struct Ran {
    pub(super) source: SourceName,
    pub(super) uses_watchlist: bool,
    pub(super) reading: SourceReading,
    pub(super) took: Duration,
}

/// The sources whose threads were left behind and have not come back: one that hangs on a dead disk hangs in every scan, and
/// each thread more would bring the process nearer to its bounds. Kept from one scan to the next.
#[derive(Debug, Clone, Default)]
pub struct LeftBehind(Arc<Mutex<BTreeMap<SourceName, Arc<()>>>>);

impl LeftBehind {
    fn sources(&self) -> MutexGuard<'_, BTreeMap<SourceName, Arc<()>>> {
        // A map of marks is whole whenever it is let go.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread of an earlier scan still works for this source: it holds the other end of its mark.
    fn hangs(&self, source: SourceName) -> bool {
        self.sources().get(&source).is_some_and(|mark| Arc::strong_count(mark) > 1)
    }
}

struct Running {
    source: SourceName,
    uses_watchlist: bool,
    answer: mpsc::Receiver<(SourceReading, Duration)>,
    mark: Arc<()>,
}

pub(super) fn all(
    sources: Vec<Box<dyn Source>>,
    context: &Arc<ScanContext>,
    limit: Duration,
    left: &LeftBehind,
) -> Vec<Ran> {
    let begun = Instant::now();
    let running: Vec<Running> = sources.into_iter().map(|source| start(source, context, left)).collect();
    running.into_iter().map(|running| running.end(begun, limit, left)).collect()
}

fn start(source: Box<dyn Source>, context: &Arc<ScanContext>, left: &LeftBehind) -> Running {
    let (sender, answer) = mpsc::sync_channel(1);
    let mark = Arc::new(());
    if left.hangs(source.name()) {
        let reading = SourceReading::failed("the scan before has not come back from there");
        // The channel has room for one.
        let _ = sender.send((SourceReading { outcome: Outcome::TimedOut, ..reading }, Duration::ZERO));
        return Running { source: source.name(), uses_watchlist: source.uses_watchlist(), answer, mark };
    }
    let (name, uses_watchlist) = (source.name(), source.uses_watchlist());
    let context = Arc::clone(context);
    let begun = Instant::now();
    let held = Arc::clone(&mark);
    let work = move || {
        let _held = held;
        let reading = source.read(&context);
        // Nobody listens after the time limit; the sighting is then of no use.
        let _ = sender.send((reading, begun.elapsed()));
    };
    // A thread that cannot be started drops its sender: that reads as a failure below, like a panic.
    if let Err(error) = std::thread::Builder::new().name(format!("scan-{name}")).spawn(work) {
        tracing::error!(source = %name, error = %error, "no thread could be started for a source");
    }
    Running { source: name, uses_watchlist, answer, mark }
}

impl Running {
    fn end(self, begun: Instant, limit: Duration, left_behind: &LeftBehind) -> Ran {
        let left = limit.saturating_sub(begun.elapsed());
        let (reading, took) = match self.answer.recv_timeout(left) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                left_behind.sources().insert(self.source, self.mark);
                let reason = format!("it took longer than {} ms", limit.as_millis());
                (SourceReading { outcome: Outcome::TimedOut, ..SourceReading::failed(reason) }, begun.elapsed())
            }
            Err(RecvTimeoutError::Disconnected) => {
                (SourceReading::failed("the source stopped by a fault of the agent"), begun.elapsed())
            }
        };
        Ran { source: self.source, uses_watchlist: self.uses_watchlist, reading, took }
    }
}
