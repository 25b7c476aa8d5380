//! When changes have settled: a package manager makes hundreds in a row, and one look at the end is worth more than a
//! hundred on the way. Bounded, since a long run should be seen before its end. Pure.

use std::time::{Duration, Instant};

/// Nothing more has changed for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Longer than this nobody waits for quiet: together with a scan and its delivery it stays below five seconds.
const MOST: Duration = Duration::from_millis(2500);

/// A change, and those that followed it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settling {
    first: Instant,
    last: Instant,
}

impl Settling {
    pub(super) const fn since(now: Instant) -> Self {
        Self { first: now, last: now }
    }

    pub(super) const fn again(&mut self, now: Instant) {
        self.last = now;
    }

    /// How long it is still to wait; `None` when it is time to look.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        let due = (self.last + QUIET).min(self.first + MOST);
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
    fn one_change_is_scanned_after_a_second_of_quiet() {
        let start = Instant::now();
        let settling = Settling::since(start);
        assert_eq!(settling.rest(start), Some(QUIET));
        assert_eq!(settling.rest(start + ms(999)), Some(ms(1)));
        assert_eq!(settling.rest(start + ms(1000)), None);
    }

    #[test]
    fn changes_without_end_are_scanned_all_the_same() {
        let start = Instant::now();
        let mut settling = Settling::since(start);
        let mut waited = 0;
        while settling.rest(start + ms(waited)).is_some() {
            waited += 100;
            settling.again(start + ms(waited));
        }
        assert_eq!(ms(waited), MOST);
    }
}
