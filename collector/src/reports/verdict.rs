//! From a stored verdict to a host's lane now: silence and the due milestone are added when it is read.

use muster_proto::model::{Lane, Timestamp};

use crate::judge::{effective_lane, is_overdue, is_silent};
use crate::rules::Order;
use crate::store::StoredVerdict;

/// What a stored verdict means at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EffectiveVerdict {
    pub(super) lane: Lane,
    pub(super) overdue: bool,
    pub(super) silent: bool,
    pub(super) since: Timestamp,
}

pub(super) fn effective(
    order: &Order,
    verdict: &StoredVerdict,
    last_seen: Option<Timestamp>,
    now: Timestamp,
) -> EffectiveVerdict {
    let silent = is_silent(order, last_seen, now);
    let lane = effective_lane(verdict.awake_lane, silent);
    // A host becomes silent when its patience ends. New rules may have changed the verdict of a silent host since, which
    // does not make it silent for a shorter time.
    let fell_silent = last_seen.map_or(verdict.since, |seen| seen.plus(order.patience));
    let since = if lane == verdict.awake_lane { verdict.since } else { fell_silent };
    EffectiveVerdict { lane, overdue: is_overdue(order, lane, verdict.in_scope, now), silent, since }
}
