//! How often changes may wake the agent: a few dozen times in a row, as when somebody installs things one by one, and four
//! times a minute for ever, so that a directory in which something writes day and night costs next to nothing. Pure.

use std::time::{Duration, Instant};

/// Wakes in a row.
const BURST: u32 = 40;
/// The time in which one wake is earned back.
const EACH: Duration = Duration::from_secs(15);

/// What is left of the wakes: kept as the time at which all of them will be there again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    full_at: Instant,
}

impl Allowance {
    pub(super) const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When the next wake is allowed: now or before, when one is left.
    pub(super) fn next(&self, now: Instant) -> Instant {
        // All but one wake may be owed.
        self.full_at.checked_sub(EACH * (BURST - 1)).unwrap_or(now)
    }

    pub(super) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + EACH;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_one_is_earned_every_quarter_of_a_minute() {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut allowance = Allowance::full(start);
        for wake in 0..BURST {
            assert!(allowance.next(start) <= start, "wake {wake} has to wait");
            allowance.take(start);
        }
        assert_eq!(allowance.next(start), start + EACH);
        allowance.take(start + EACH);
        assert_eq!(allowance.next(start + EACH), start + EACH * 2);
    }

    #[test]
    fn after_a_long_rest_there_is_a_burst_again_and_not_more() {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut allowance = Allowance::full(start);
        for _ in 0..BURST {
            allowance.take(start);
        }
        let later = start + EACH * BURST * 9;
        let mut wakes = 0;
        while allowance.next(later) <= later {
            allowance.take(later);
            wakes += 1;
        }
        assert_eq!(wakes, BURST);
    }

    #[test]
    fn in_a_day_of_constant_change_the_wakes_stay_within_their_bound() {
        let start = Instant::now() + Duration::from_secs(3600);
        let (mut allowance, mut now, mut wakes) = (Allowance::full(start), start, 0_u32);
        while now < start + Duration::from_secs(86_400) {
            now = now.max(allowance.next(now)) + Duration::from_secs(1);
            allowance.take(now);
            wakes += 1;
        }
        assert!(wakes <= BURST + 86_400 / 15, "{wakes}");
    }
}
