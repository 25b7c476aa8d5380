//! Limits how often changes may wake the agent: a burst of a few dozen, as when somebody installs packages one by one, and
//! then four per minute, so that a directory with constant writes costs next to nothing. Pure.

use std::time::{Duration, Instant};

/// The number of wakes in a burst.
const BURST: u32 = 40;
/// The time after which one wake is available again.
const REFILL: Duration = Duration::from_secs(15);

/// The remaining wakes, stored as the time at which the budget is full again.
#[derive(Debug, Clone, Copy)]
pub(super) struct WakeBudget {
    full_at: Instant,
}

impl WakeBudget {
    pub(super) const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// When the next wake is allowed; not later than `now` if one is available.
    pub(super) fn next(&self, now: Instant) -> Instant {
        // A wake is allowed while at most BURST - 1 of them are used up.
        self.full_at.checked_sub(REFILL * (BURST - 1)).unwrap_or(now)
    }

    pub(super) fn take(&mut self, now: Instant) {
        // A budget that has long been full does not grow any further.
        self.full_at = self.full_at.max(now) + REFILL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_one_wake_is_allowed_every_fifteen_seconds() {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut wake_budget = WakeBudget::full(start);
        for wake in 0..BURST {
            assert!(wake_budget.next(start) <= start, "wake {wake} has to wait");
            wake_budget.take(start);
        }
        assert_eq!(wake_budget.next(start), start + REFILL);
        wake_budget.take(start + REFILL);
        assert_eq!(wake_budget.next(start + REFILL), start + REFILL * 2);
    }

    #[test]
    fn after_a_long_rest_exactly_one_burst_is_allowed() {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut wake_budget = WakeBudget::full(start);
        for _ in 0..BURST {
            wake_budget.take(start);
        }
        let later = start + REFILL * BURST * 9;
        let mut wakes = 0;
        while wake_budget.next(later) <= later {
            wake_budget.take(later);
            wakes += 1;
        }
        assert_eq!(wakes, BURST);
    }

    #[test]
    fn a_day_of_constant_change_stays_within_the_limit() {
        let start = Instant::now() + Duration::from_secs(3600);
        let (mut wake_budget, mut now, mut wakes) = (WakeBudget::full(start), start, 0_u32);
        while now < start + Duration::from_secs(86_400) {
            now = now.max(wake_budget.next(now)) + Duration::from_secs(1);
            wake_budget.take(now);
            wakes += 1;
        }
        assert!(wakes <= BURST + 86_400 / 15, "{wakes}");
    }
}
