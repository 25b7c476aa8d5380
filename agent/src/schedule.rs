//! When the agent calls the collector next, and when it renews its certificate. Pure: time, pace and chance are arguments.

use std::time::Duration;

use muster_proto::model::{Pace, RefusalClass, Timestamp};

/// The shortest delay between two calls, whatever the collector asks for.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// The longest delay: an agent that is silent for longer looks dead.
const MAX_DELAY: Duration = Duration::from_secs(24 * 3600);
/// The delay after the first failure; it doubles with each further one.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The longest delay after failures.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

/// The delay until the next check-in. `chance` is from 0 to 1 and spreads the fleet over the jitter.
#[must_use]
pub fn next_delay(pace: Pace, chance: f64) -> Duration {
    // Each part is limited before the sum, which could overflow otherwise.
    (pace.next.min(MAX_DELAY) + pace.jitter.min(MAX_DELAY).mul_f64(unit(chance))).clamp(MIN_DELAY, MAX_DELAY)
}

/// The delay after `failures` failed calls in a row: doubled each time up to `MAX_RETRY_DELAY`. Half of it is random, so
/// that a fleet does not return all at once.
#[must_use]
pub fn retry_delay(failures: u32, chance: f64) -> Duration {
    // A shift by the whole width would panic. 16 doublings are already beyond the longest delay.
    let full = FIRST_RETRY_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(MAX_RETRY_DELAY);
    full.mul_f64(0.5 + unit(chance) / 2.0)
}

/// When the agent may call the collector: on the collector's schedule, and with growing delays after failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallSchedule {
    failures: u32,
    /// When the last call failed, and until when the agent must not call.
    hold_off: Option<(Timestamp, Timestamp)>,
    /// The refusal that was reported last.
    reported: Option<RefusalClass>,
}

impl CallSchedule {
    /// How many calls in a row have failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How long the agent must still not call after a failed call; `None` when it may.
    #[must_use]
    pub fn hold_off(&self, now: Timestamp) -> Option<Duration> {
        // A time before the failed call means that the clock was set back. The hold-off is then void: otherwise the agent
        // could stay silent for a day, and each change would start that day again.
        let (_, until) = self.hold_off.filter(|(from, _)| *from <= now)?;
        Some(until.since(now).min(MAX_DELAY)).filter(|rest| !rest.is_zero())
    }

    /// Whether a refusal of this class differs from the one that was reported last. It counts as reported then.
    pub fn is_news(&mut self, class: Option<RefusalClass>) -> bool {
        std::mem::replace(&mut self.reported, class) != class
    }

    /// Records an acknowledged call. Returns the delay until the next one.
    pub fn acknowledged(&mut self, pace: Pace, chance: f64) -> Duration {
        *self = Self::default();
        next_delay(pace, chance)
    }

    /// Records a failed or refused call. `pace` is the refusal's. Returns the delay until the next call.
    pub fn failed(&mut self, now: Timestamp, pace: Option<Pace>, chance: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let retry = retry_delay(self.failures, chance);
        // A refusal may ask for more time, but never for less than the growing delay.
        let pause = pace.map_or(retry, |pace| next_delay(pace, chance).max(retry));
        self.hold_off = Some((now, now.plus(pause)));
        pause
    }
}

/// Whether a certificate is due for renewal: after two thirds of its life. `chance` moves the moment forward by up to a
/// twelfth of the life, so that a fleet that was enrolled within an hour does not renew within an hour.
#[must_use]
pub fn renewal_is_due(issued: Timestamp, expires: Timestamp, now: Timestamp, chance: f64) -> bool {
    let life = expires.since(issued);
    let due = life.mul_f64(2.0 / 3.0 - unit(chance) / 12.0);
    now >= issued.plus(due)
}

fn unit(chance: f64) -> f64 {
    // `clamp` keeps NaN, and a duration multiplied by it panics.
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
    fn the_delay_is_the_pace_plus_jitter() {
        let pace = Pace { next: seconds(300), jitter: seconds(60), byte_budget: 0 };
        assert_eq!(next_delay(pace, 0.0), seconds(300));
        assert_eq!(next_delay(pace, 0.5), seconds(330));
        assert_eq!(next_delay(pace, 1.0), seconds(360));
        assert_eq!(next_delay(Pace { next: Duration::ZERO, jitter: Duration::ZERO, byte_budget: 0 }, 1.0), MIN_DELAY);
        assert_eq!(next_delay(Pace { next: Duration::MAX, jitter: Duration::MAX, byte_budget: 0 }, 1.0), MAX_DELAY);
    }

    #[test]
    fn retry_delays_double_up_to_a_limit() {
        assert_eq!(retry_delay(1, 1.0), seconds(5));
        assert_eq!(retry_delay(2, 1.0), seconds(10));
        assert_eq!(retry_delay(3, 0.0), seconds(10));
        assert_eq!(retry_delay(u32::MAX, 1.0), seconds(3600));
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
    fn a_lasting_refusal_is_news_once_until_a_call_succeeds() {
        let mut schedule = CallSchedule::default();
        let revoked = Some(RefusalClass::Revoked);
        assert!(schedule.is_news(revoked));
        schedule.failed(Timestamp::from_millis(0), None, 1.0);
        assert!(!schedule.is_news(revoked), "a failure in between does not make it news");
        assert!(schedule.is_news(Some(RefusalClass::Unknown)));
        schedule.acknowledged(Pace::default(), 0.0);
        assert!(schedule.is_news(Some(RefusalClass::Unknown)));
    }

    #[test]
    fn a_failure_holds_off_calls_and_a_success_ends_that() {
        let at = |s: i64| Timestamp::from_millis(s * 1000);
        let mut schedule = CallSchedule::default();
        assert_eq!(schedule.hold_off(at(0)), None);
        assert_eq!(schedule.failed(at(0), None, 1.0), seconds(5));
        assert_eq!(schedule.hold_off(at(2)), Some(seconds(3)));
        assert_eq!(schedule.hold_off(at(5)), None);
        let asked = Pace { next: seconds(900), jitter: Duration::ZERO, byte_budget: 0 };
        assert_eq!(schedule.failed(at(5), Some(asked), 1.0), seconds(900));
        assert_eq!((schedule.failures(), schedule.hold_off(at(6))), (2, Some(seconds(899))));
        // The clock was set back, which would put the time of the next call months away.
        assert_eq!(schedule.hold_off(at(-9_000_000)), None);
        assert_eq!(schedule.acknowledged(asked, 0.0), seconds(900));
        assert_eq!((schedule.failures(), schedule.hold_off(at(6))), (0, None));
    }

    proptest! {
        #[test]
        fn no_pace_and_no_chance_make_it_panic(next_ms: u64, jitter_ms: u64, chance: f64, failures: u32) {
            let pace = Pace { next: Duration::from_millis(next_ms), jitter: Duration::from_millis(jitter_ms), byte_budget: 0 };
            prop_assert!((MIN_DELAY..=MAX_DELAY).contains(&next_delay(pace, chance)));
            prop_assert!(retry_delay(failures, chance) <= MAX_RETRY_DELAY);
        }
    }
}
