//! When to do what next. Pure: the time, the pace and the chance are arguments.

use std::time::Duration;

use muster_proto::model::{Pace, Timestamp};

/// The shortest pause between two attempts, whatever a collector says.
const LEAST: Duration = Duration::from_secs(1);
/// The longest pause: an agent that nobody hears for longer looks dead.
const MOST: Duration = Duration::from_secs(24 * 3600);
/// The first pause after a failure; it doubles from there.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest pause between attempts to reach a collector.
const LAST_RETRY: Duration = Duration::from_secs(3600);

/// The pause until the next check-in. `chance` is from 0 to 1.
#[must_use]
pub fn next(pace: Pace, chance: f64) -> Duration {
    (pace.next.min(MOST) + pace.jitter.min(MOST).mul_f64(unit(chance))).clamp(LEAST, MOST)
}

/// The pause after `failures` attempts in a row that did not reach the collector: doubled each time, and half of it by
/// chance, so that a fleet does not come back at once.
#[must_use]
pub fn retry(failures: u32, chance: f64) -> Duration {
    let full = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LAST_RETRY);
    full.mul_f64(0.5 + unit(chance) / 2.0)
}

/// When the agent calls the collector: at its pace, ever more seldom when it is not to be had, and never before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rhythm {
    failures: u32,
    /// When the last call failed, and until when the collector is to be left alone.
    quiet: Option<(Timestamp, Timestamp)>,
}

impl Rhythm {
    /// How many calls in a row have failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How long the collector is to be left alone, after a call that failed; `None` when it may be called.
    #[must_use]
    pub fn patience(&self, now: Timestamp) -> Option<Duration> {
        // Before the call that failed is only a clock that was set back since. It must not keep the agent silent, not even
        // for a day: every change would begin that day anew.
        let (_, then) = self.quiet.filter(|(from, _)| *from <= now)?;
        Some(then.since(now).min(MOST)).filter(|rest| !rest.is_zero())
    }

    /// The collector has acknowledged: the pause until the next call.
    pub fn reached(&mut self, pace: Pace, chance: f64) -> Duration {
        *self = Self::default();
        next(pace, chance)
    }

    /// The collector was not reached, or refused and perhaps said when to come back: the pause until the next call.
    pub fn failed(&mut self, now: Timestamp, pace: Option<Pace>, chance: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let retry = retry(self.failures, chance);
        let pause = pace.map_or(retry, |pace| next(pace, chance).max(retry));
        self.quiet = Some((now, now.plus(pause)));
        pause
    }
}

/// Whether a certificate is to be renewed: two thirds of its life are over. `chance` spreads a fleet that was enrolled
/// in one hour over a twelfth of the life before.
#[must_use]
pub fn renewal_is_due(issued: Timestamp, expires: Timestamp, now: Timestamp, chance: f64) -> bool {
    let life = expires.since(issued);
    let due = life.mul_f64(2.0 / 3.0 - unit(chance) / 12.0);
    now >= issued.plus(due)
}

fn unit(chance: f64) -> f64 {
    if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_collector_sets_the_pace_and_chance_spreads_it() {
        let pace = Pace { next: seconds(300), jitter: seconds(60), byte_budget: 0 };
        assert_eq!(next(pace, 0.0), seconds(300));
        assert_eq!(next(pace, 0.5), seconds(330));
        assert_eq!(next(pace, 1.0), seconds(360));
        assert_eq!(next(Pace { next: Duration::ZERO, jitter: Duration::ZERO, byte_budget: 0 }, 1.0), LEAST);
        assert_eq!(next(Pace { next: Duration::MAX, jitter: Duration::MAX, byte_budget: 0 }, 1.0), MOST);
    }

    #[test]
    fn retries_become_rare_but_never_end() {
        assert_eq!(retry(1, 1.0), seconds(5));
        assert_eq!(retry(2, 1.0), seconds(10));
        assert_eq!(retry(3, 0.0), seconds(10));
        assert_eq!(retry(u32::MAX, 1.0), seconds(3600));
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let at = |hours: u64| Timestamp::from_millis(0).plus(seconds(hours * 3600));
        assert!(!renewal_is_due(at(0), at(72), at(47), 0.0));
        assert!(renewal_is_due(at(0), at(72), at(48), 0.0));
        assert!(renewal_is_due(at(0), at(72), at(42), 1.0));
        assert!(renewal_is_due(at(0), at(72), at(900), 0.0));
    }

    #[test]
    fn after_a_failure_nobody_calls_before_the_time_and_after_a_success_anybody_may() {
        let at = |s: i64| Timestamp::from_millis(s * 1000);
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.patience(at(0)), None);
        assert_eq!(rhythm.failed(at(0), None, 1.0), seconds(5));
        assert_eq!(rhythm.patience(at(2)), Some(seconds(3)));
        assert_eq!(rhythm.patience(at(5)), None);
        let asked = Pace { next: seconds(900), jitter: Duration::ZERO, byte_budget: 0 };
        assert_eq!(rhythm.failed(at(5), Some(asked), 1.0), seconds(900));
        assert_eq!((rhythm.failures(), rhythm.patience(at(6))), (2, Some(seconds(899))));
        // The clock is set back: by it the time to call would be months away, again and again.
        assert_eq!(rhythm.patience(at(-9_000_000)), None);
        assert_eq!(rhythm.reached(asked, 0.0), seconds(900));
        assert_eq!((rhythm.failures(), rhythm.patience(at(6))), (0, None));
    }

    proptest! {
        #[test]
        fn no_pace_and_no_chance_make_it_panic(next_ms: u64, jitter_ms: u64, chance: f64, failures: u32) {
            let pace = Pace { next: Duration::from_millis(next_ms), jitter: Duration::from_millis(jitter_ms), byte_budget: 0 };
            prop_assert!((LEAST..=MOST).contains(&next(pace, chance)));
            prop_assert!(retry(failures, chance) <= LAST_RETRY);
        }
    }
}
