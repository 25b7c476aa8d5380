//! Turns of searches: a few run at once, the others wait for a while and are then told when to try again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::ReportError;
use crate::store::{SearchBudget, SearchLimits};

/// The turns, and the budget of each search. Clones share the turns.
#[derive(Debug, Clone)]
pub struct Searches {
    at_once: usize,
    wait: Duration,
    limits: SearchLimits,
    turns: Arc<Semaphore>,
}

impl Searches {
    /// So many searches at once, each with these limits. Others wait at most this long.
    #[must_use]
    pub fn new(at_once: usize, wait: Duration, limits: SearchLimits) -> Self {
        Self { at_once, wait, limits, turns: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits for a turn. It ends with the last clone of the budget.
    pub(super) async fn turn(&self, text: &str) -> Result<SearchBudget, ReportError> {
        // It fails if the turns are closed, which nobody does, or if there is none in time.
        match tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(SearchBudget::new(self.limits, Some(turn))),
            _ => Err(ReportError::SearchesBusy { text: text.to_owned(), at_once: self.at_once, again: self.wait }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Turns for tests of other things.
    pub(crate) fn roomy() -> Searches {
        let limits = SearchLimits { rows: u64::MAX, bytes: u64::MAX, time: Duration::from_secs(3600) };
        Searches::new(8, Duration::from_secs(3600), limits)
    }

    #[tokio::test]
    async fn a_search_beyond_those_at_once_waits_and_is_told_when_to_try_again() {
        let limits = SearchLimits { rows: 1, bytes: 1, time: Duration::from_secs(1) };
        let searches = Searches::new(1, Duration::from_millis(1), limits);
        let first = searches.turn("curl").await.expect("a turn");
        let text = searches.turn("kesl").await.expect_err("no turn").to_string();
        assert_eq!(
            text,
            "search for \"kesl\": as many searches run as may at once (searches.at_once = 1); try again in 0.001 s"
        );
        drop(first);
        assert!(searches.turn("kesl").await.is_ok());
    }
}
