//! Waits until a series of changes is over: a package manager makes hundreds of changes in a row, and one scan at the end is
//! enough. The wait is limited, because a long series should be seen before its end. Pure.

use std::time::{Duration, Instant};

/// The series is over after this time without a change. With the scan and the judgement a single change is flagged within two
/// seconds.
const QUIET: Duration = Duration::from_millis(500);
/// The longest wait. With the scan and the delivery it stays below five seconds.
const MAX_WAIT: Duration = Duration::from_millis(2500);

/// A series of changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Debounce {
    first: Instant,
    last: Instant,
}

impl Debounce {
    pub(super) const fn since(now: Instant) -> Self {
        Self { first: now, last: now }
    }

    pub(super) const fn again(&mut self, now: Instant) {
        self.last = now;
    }

    /// How long to wait; `None` when it is time to scan.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        let due = (self.last + QUIET).min(self.first + MAX_WAIT);
        Some(due.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn one_change_is_scanned_after_a_moment_of_quiet() {
        let start = Instant::now();
        let debounce = Debounce::since(start);
        assert_eq!(debounce.rest(start), Some(QUIET));
        assert_eq!(debounce.rest(start + ms(499)), Some(ms(1)));
        assert_eq!(debounce.rest(start + ms(500)), None);
    }

    #[test]
    fn changes_without_end_are_scanned_all_the_same() {
        let start = Instant::now();
        let mut debounce = Debounce::since(start);
        let mut waited = 0;
        while debounce.rest(start + ms(waited)).is_some() {
            waited += 100;
            debounce.again(start + ms(waited));
        }
        assert_eq!(ms(waited), MAX_WAIT);
    }
}
