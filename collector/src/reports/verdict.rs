//! From a stored verdict to where the host stands now: silence and overdue are added when read.

use muster_proto::model::{Lane, Timestamp};

use crate::rules::Order;
use crate::store::StoredVerdict;

/// Where a host stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effective {
    pub(super) lane: Lane,
    pub(super) silent: bool,
    pub(super) overdue: bool,
    pub(super) since: Timestamp,
}

/// The instant before which a last check-in counts as silent.
pub(super) fn silent_before(order: &Order, now: Timestamp) -> Timestamp {
    now.minus(order.patience)
}

/// The lane that people see of a lane and silence.
pub(super) const fn lane_seen(awake: Lane, silent: bool) -> Lane {
    if silent && awake.yields_to_silence() { Lane::Silent } else { awake }
}

/// Whether the order's day has passed.
pub(super) fn is_past_due(order: &Order, now: Timestamp) -> bool {
    order.due().is_some_and(|due| now > due)
}

/// A host that has never been seen is as silent as one can be.
pub(super) fn is_silent(order: &Order, last_seen: Option<Timestamp>, now: Timestamp) -> bool {
    last_seen.is_none_or(|seen| seen < silent_before(order, now))
}

pub(super) fn effective(
    order: &Order,
    verdict: &StoredVerdict,
    last_seen: Option<Timestamp>,
    now: Timestamp,
) -> Effective {
    let silent = is_silent(order, last_seen, now);
    let lane = lane_seen(verdict.awake_lane, silent);
    // Who falls silent does so when patience ends, not when somebody looks.
    let fell_silent = last_seen.map_or(verdict.since, |seen| seen.plus(order.patience));
    let since = if lane == verdict.awake_lane { verdict.since } else { fell_silent.max(verdict.since) };
    Effective { lane, silent, overdue: is_past_due(order, now) && !lane.is_finished(), since }
}
