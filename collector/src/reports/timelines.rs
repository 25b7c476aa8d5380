//! Turns of timelines and forecasts, which read every machine: few run at once, the others wait for a while and are then told when to
//! try again. Each has a time limit, and ends when its caller has gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::ReportError;
use crate::store::{SearchBudget, SearchLimits};

/// Timelines at once. SQLite has four connections for all reads, so that others find a free one.
const AT_ONCE: usize = 2;
/// How long others wait for a turn.
const WAIT: Duration = Duration::from_secs(10);
/// How long one timeline may take.
const LONGEST: Duration = Duration::from_secs(60);

/// The turns. Clones share them.
#[derive(Debug, Clone)]
pub struct Timelines {
    wait: Duration,
    longest: Duration,
    turns: Arc<Semaphore>,
}

impl Default for Timelines {
    fn default() -> Self {
        Self::new(AT_ONCE, WAIT, LONGEST)
    }
}

impl Timelines {
    fn new(at_once: usize, wait: Duration, longest: Duration) -> Self {
        Self { wait, longest, turns: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits for a turn. It ends with the last clone of the budget.
    pub(super) async fn turn(&self) -> Result<SearchBudget, ReportError> {
        let limits = SearchLimits { rows: u64::MAX, bytes: u64::MAX, time: self.longest };
        // It fails if the turns are closed, which nobody does, or if there is none in time.
        match tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(SearchBudget::new(limits, Some(turn))),
            _ => Err(ReportError::TimelinesBusy { again: self.wait }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_timeline_beyond_those_at_once_waits_and_is_told_when_to_try_again() {
        let timelines = Timelines::new(1, Duration::from_millis(1), Duration::from_secs(3600));
        let first = timelines.turn().await.expect("a turn");
        let of_work = first.clone();
        let text = timelines.clone().turn().await.expect_err("no turn").to_string();
        assert_eq!(text, "as many timelines and forecasts are read as may at once; try again in 0.001 s");
        drop(first);
        assert!(timelines.turn().await.is_err(), "the work has not ended yet");
        drop(of_work);
        assert!(timelines.turn().await.is_ok());
    }
}
