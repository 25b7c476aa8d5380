//! What one search may use: rows, memory and time. It also tells a search that its caller has gone.
//!
//! A budget goes through all parts of a search, each of which pays for what it reads and keeps. When the budget is spent, the
//! whole search fails with the bound that ended it, because a part of an answer would look like all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

/// The bounds of one search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchLimits {
    /// `searches.rows`: rows that it reads or compares.
    pub rows: u64,
    /// `searches.bytes`: memory that it needs, approximately.
    pub bytes: u64,
    /// `searches.time`: how long it takes.
    pub time: Duration,
}

/// Why a search ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SearchStop {
    /// It read too many rows.
    #[error("it reads more than {most} rows (searches.rows)")]
    Rows {
        /// The bound.
        most: u64,
    },
    /// It needed too much memory.
    #[error("it needs more than {most} bytes of memory (searches.bytes)")]
    Bytes {
        /// The bound.
        most: u64,
    },
    /// It took too long.
    #[error("it takes longer than {} s (searches.time)", most.as_secs_f64())]
    Time {
        /// The bound.
        most: Duration,
    },
    /// Nobody waits for the answer.
    #[error("its caller has gone")]
    Abandoned,
}

/// After how many rows a search reads the clock: they take less than a millisecond.
const ROWS_PER_TICK: u64 = 1_024;

/// The budget of one search. Clones share it.
#[derive(Debug, Clone)]
pub struct SearchBudget(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    limits: SearchLimits,
    begun: Instant,
    rows: AtomicU64,
    bytes: AtomicU64,
    is_abandoned: AtomicBool,
    /// Freed with the last clone: when the work has ended, not when its caller has gone.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Ends the search when it is dropped.
#[derive(Debug)]
pub struct AbandonOnDrop(Arc<Inside>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.is_abandoned.store(true, Ordering::Relaxed);
    }
}

// Relaxed everywhere, because the counters guard no other memory.
impl SearchBudget {
    /// A budget with these bounds that begins now, and keeps the turn until the search has ended.
    #[must_use]
    pub fn new(limits: SearchLimits, turn: Option<OwnedSemaphorePermit>) -> Self {
        let (rows, bytes, is_abandoned) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Inside { limits, begun: Instant::now(), rows, bytes, is_abandoned, _turn: turn }))
    }

    /// A budget that only its caller ends.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self::new(SearchLimits { rows: u64::MAX, bytes: u64::MAX, time: Duration::from_secs(3600) }, None)
    }

    /// The search ends when the guard is dropped.
    #[must_use]
    pub fn abandon_on_drop(&self) -> AbandonOnDrop {
        AbandonOnDrop(Arc::clone(&self.0))
    }

    /// Pays for rows and memory.
    ///
    /// # Errors
    /// The budget is spent, or the caller has gone.
    pub fn spend(&self, rows: usize, bytes: usize) -> Result<(), SearchStop> {
        let Inside { limits, rows: rows_spent, bytes: bytes_spent, .. } = &*self.0;
        let before = rows_spent.fetch_add(rows as u64, Ordering::Relaxed);
        let rows = before.saturating_add(rows as u64);
        let bytes = bytes_spent.fetch_add(bytes as u64, Ordering::Relaxed).saturating_add(bytes as u64);
        if rows > limits.rows {
            return Err(SearchStop::Rows { most: limits.rows });
        }
        if bytes > limits.bytes {
            return Err(SearchStop::Bytes { most: limits.bytes });
        }
        // Reading the clock takes longer than comparing a row.
        if before / ROWS_PER_TICK == rows / ROWS_PER_TICK { self.check_caller() } else { self.check() }
    }

    /// Whether the search may go on.
    ///
    /// # Errors
    /// Its time is over, or the caller has gone.
    pub fn check(&self) -> Result<(), SearchStop> {
        self.check_caller()?;
        if self.remaining().is_zero() { Err(self.late()) } else { Ok(()) }
    }

    fn check_caller(&self) -> Result<(), SearchStop> {
        if self.0.is_abandoned.load(Ordering::Relaxed) { Err(SearchStop::Abandoned) } else { Ok(()) }
    }

    /// The rows that were paid for.
    #[cfg(test)]
    pub(crate) fn rows_spent(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// The time that is left.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.limits.time.saturating_sub(self.0.begun.elapsed())
    }

    /// The end of a search whose time is over.
    #[must_use]
    pub fn late(&self) -> SearchStop {
        SearchStop::Time { most: self.0.limits.time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(time: Duration) -> SearchBudget {
        SearchBudget::new(SearchLimits { rows: 10, bytes: 100, time }, None)
    }

    #[test]
    fn each_bound_ends_the_search_by_its_name() {
        let hour = Duration::from_secs(3600);
        let rows = budget(hour);
        assert_eq!(rows.spend(10, 100), Ok(()));
        let text = rows.spend(1, 0).expect_err("spent").to_string();
        assert_eq!(text, "it reads more than 10 rows (searches.rows)");
        let text = budget(hour).spend(0, 101).expect_err("spent").to_string();
        assert_eq!(text, "it needs more than 100 bytes of memory (searches.bytes)");
        assert_eq!(budget(Duration::ZERO).check(), Err(SearchStop::Time { most: Duration::ZERO }));
        assert_eq!(
            SearchStop::Time { most: Duration::from_millis(1500) }.to_string(),
            "it takes longer than 1.5 s (searches.time)"
        );
    }

    #[test]
    fn a_search_whose_caller_has_gone_ends_and_keeps_its_turn_until_then() {
        let turns = Arc::new(tokio::sync::Semaphore::new(1));
        let turn = Arc::clone(&turns).try_acquire_owned().expect("a turn");
        let of_caller =
            SearchBudget::new(SearchLimits { rows: 1, bytes: 1, time: Duration::from_secs(3600) }, Some(turn));
        let of_work = of_caller.clone();
        let guard = of_caller.abandon_on_drop();
        assert_eq!(of_work.check(), Ok(()));
        drop((guard, of_caller));
        assert_eq!(of_work.spend(0, 0), Err(SearchStop::Abandoned));
        assert_eq!(turns.available_permits(), 0, "the work has not ended yet");
        drop(of_work);
        assert_eq!(turns.available_permits(), 1);
    }
}
