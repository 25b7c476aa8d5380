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

use crate::sources::{Scene, Sighting, Source};

/// What became of one source.
pub(super) struct Ran {
    pub(super) source: SourceName,
    pub(super) uses_watchlist: bool,
    pub(super) sighting: Sighting,
    pub(super) took: Duration,
}

/// The sources whose threads were left behind and have not come back: one that hangs on a dead disk hangs in every look, and
/// each thread more would bring the process nearer to its bounds. Kept from one look to the next.
#[derive(Debug, Clone, Default)]
pub struct LeftBehind(Arc<Mutex<BTreeMap<SourceName, Arc<()>>>>);

impl LeftBehind {
    fn sources(&self) -> MutexGuard<'_, BTreeMap<SourceName, Arc<()>>> {
        // A map of marks is whole whenever it is let go.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread of an earlier look still works for this source: it holds the other end of its mark.
    fn hangs(&self, source: SourceName) -> bool {
        self.sources().get(&source).is_some_and(|mark| Arc::strong_count(mark) > 1)
    }
}

struct Running {
    source: SourceName,
    uses_watchlist: bool,
    answer: mpsc::Receiver<(Sighting, Duration)>,
    mark: Arc<()>,
}

pub(super) fn all(sources: Vec<Box<dyn Source>>, scene: &Arc<Scene>, limit: Duration, left: &LeftBehind) -> Vec<Ran> {
    let begun = Instant::now();
    let running: Vec<Running> = sources.into_iter().map(|source| start(source, scene, left)).collect();
    running.into_iter().map(|running| running.end(begun, limit, left)).collect()
}

fn start(source: Box<dyn Source>, scene: &Arc<Scene>, left: &LeftBehind) -> Running {
    let (sender, answer) = mpsc::sync_channel(1);
    let mark = Arc::new(());
    if left.hangs(source.name()) {
        let sighting = Sighting::failed("the look before has not come back from there");
        // The channel has room for one.
        let _ = sender.send((Sighting { outcome: Outcome::TimedOut, ..sighting }, Duration::ZERO));
        return Running { source: source.name(), uses_watchlist: source.uses_watchlist(), answer, mark };
    }
    let (name, uses_watchlist) = (source.name(), source.uses_watchlist());
    let scene = Arc::clone(scene);
    let begun = Instant::now();
    let held = Arc::clone(&mark);
    let work = move || {
        let _held = held;
        let sighting = source.look(&scene);
        // Nobody listens after the time limit; the sighting is then of no use.
        let _ = sender.send((sighting, begun.elapsed()));
    };
    // A thread that cannot be started drops its sender: that reads as a failure below, like a panic.
    if let Err(error) = std::thread::Builder::new().name(format!("look-{name}")).spawn(work) {
        tracing::error!(source = %name, error = %error, "no thread could be started for a source");
    }
    Running { source: name, uses_watchlist, answer, mark }
}

impl Running {
    fn end(self, begun: Instant, limit: Duration, left_behind: &LeftBehind) -> Ran {
        let left = limit.saturating_sub(begun.elapsed());
        let (sighting, took) = match self.answer.recv_timeout(left) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                left_behind.sources().insert(self.source, self.mark);
                let reason = format!("it took longer than {} ms", limit.as_millis());
                (Sighting { outcome: Outcome::TimedOut, ..Sighting::failed(reason) }, begun.elapsed())
            }
            Err(RecvTimeoutError::Disconnected) => {
                (Sighting::failed("the source stopped by a fault of the agent"), begun.elapsed())
            }
        };
        Ran { source: self.source, uses_watchlist: self.uses_watchlist, sighting, took }
    }
}
