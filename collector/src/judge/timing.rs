//! What time alone changes in a verdict: silence, and passing the due milestone. The judge and every report use these
//! functions, so they cannot disagree.

use muster_proto::model::{self, Lane, Timestamp};

use crate::rules::Order;

/// The instant that separates silent hosts from others: one that last reported before it is silent.
#[must_use]
pub fn silent_before(order: &Order, now: Timestamp) -> Timestamp {
    now.minus(order.patience)
}

/// Whether a host has not reported within the order's patience. A host that never reported is silent.
#[must_use]
pub fn is_silent(order: &Order, last_seen: Option<Timestamp>, now: Timestamp) -> bool {
    model::is_silent(last_seen, silent_before(order, now))
}

/// The lane of a host whose lane while it reports is `awake`.
#[must_use]
pub const fn effective_lane(awake: Lane, silent: bool) -> Lane {
    awake.with_silence(silent)
}

/// Whether the order's due milestone has been reached. The instant itself counts: an order bars something *from* then.
#[must_use]
pub fn is_past_due(order: &Order, now: Timestamp) -> bool {
    order.due().is_some_and(|due| now >= due)
}

/// Whether a host in this lane is overdue: the order applies to it, and it is not finished at the due milestone.
#[must_use]
pub fn is_overdue(order: &Order, lane: Lane, in_scope: bool, now: Timestamp) -> bool {
    in_scope && !lane.is_finished() && is_past_due(order, now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rules;

    const INSTANT: Duration = Duration::from_millis(1);

    #[test]
    fn a_host_is_overdue_from_the_due_instant_on() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let due = order.due().expect("it has a due milestone");
        let overdue = |lane, in_scope, now| is_overdue(order, lane, in_scope, now);
        assert!(!overdue(Lane::Replace, true, due.minus(INSTANT)));
        assert!(overdue(Lane::Replace, true, due));
        assert!(!overdue(Lane::Replace, false, due), "the order does not apply to it");
        assert!(!overdue(Lane::Done, true, due.plus(INSTANT)), "nothing is left to do");
    }

    #[test]
    fn a_host_is_silent_when_its_patience_has_passed() {
        let set = rules::load(None).expect("rules");
        let order = set.active_orders().next().expect("one is active");
        let seen = Timestamp::from_millis(1_790_000_000_000);
        let last_day = seen.plus(order.patience);
        assert!(!is_silent(order, Some(seen), last_day));
        assert!(is_silent(order, Some(seen), last_day.plus(INSTANT)));
        assert!(is_silent(order, None, seen));
    }
}
