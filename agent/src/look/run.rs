//! Runs sources side by side, each on a thread of its own under one time limit.
//!
//! A thread that does not come back is left behind: it can only read, and its answer goes nowhere. A panic is the
//! agent's own fault, and is told as one.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
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

struct Running {
    source: SourceName,
    uses_watchlist: bool,
    answer: mpsc::Receiver<(Sighting, Duration)>,
}

pub(super) fn all(sources: Vec<Box<dyn Source>>, scene: &Arc<Scene>, limit: Duration) -> Vec<Ran> {
    let begun = Instant::now();
    let running: Vec<Running> = sources.into_iter().map(|source| start(source, scene)).collect();
    running.into_iter().map(|running| running.end(begun, limit)).collect()
}

fn start(source: Box<dyn Source>, scene: &Arc<Scene>) -> Running {
    let (sender, answer) = mpsc::sync_channel(1);
    let (name, uses_watchlist) = (source.name(), source.uses_watchlist());
    let scene = Arc::clone(scene);
    let begun = Instant::now();
    let work = move || {
        let sighting = source.look(&scene);
        // Nobody listens after the time limit; the sighting is then of no use.
        let _ = sender.send((sighting, begun.elapsed()));
    };
    // A thread that cannot be started drops its sender: that reads as a failure below, like a panic.
    if let Err(error) = std::thread::Builder::new().name(format!("look-{name}")).spawn(work) {
        tracing::error!(source = %name, error = %error, "no thread could be started for a source");
    }
    Running { source: name, uses_watchlist, answer }
}

impl Running {
    fn end(self, begun: Instant, limit: Duration) -> Ran {
        let left = limit.saturating_sub(begun.elapsed());
        let (sighting, took) = match self.answer.recv_timeout(left) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
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
