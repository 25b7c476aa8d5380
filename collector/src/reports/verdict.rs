//! From a stored verdict to a host's lane now: silence, decisions and the due milestone are added when it is read.

use muster_proto::model::{Lane, Timestamp};

use crate::judge::{HostDecisions, decided_lane, is_overdue, is_shown_silent, is_silent, true_lane};
use crate::rules::Order;
use crate::store::StoredVerdict;

/// What a stored verdict means at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EffectiveVerdict {
    pub(super) lane: Lane,
    /// The lane without the decision.
    pub(super) true_lane: Lane,
    pub(super) overdue: bool,
    pub(super) silent: bool,
    pub(super) since: Timestamp,
}

pub(super) fn effective(
    order: &Order,
    verdict: &StoredVerdict,
    decisions: &HostDecisions,
    last_seen: Option<Timestamp>,
    now: Timestamp,
) -> EffectiveVerdict {
    let in_force = decisions.under(&order.id, last_seen, now);
    let decision = in_force.map(|found| found.decision());
    let is_silent = is_silent(order, last_seen, now);
    let lane = decided_lane(decision, verdict.awake_lane, is_silent);
    let (silent, true_lane) =
        (is_shown_silent(decision, is_silent), true_lane(decision, verdict.awake_lane, is_silent));
    // A host becomes silent when its patience ends. New rules may have changed the verdict of a silent host since, which
    // does not make it silent for a shorter time.
    let fell_silent = last_seen.map_or(verdict.since, |seen| seen.plus(order.patience));
    let since = match in_force {
        Some(found) => found.since(),
        None if lane == verdict.awake_lane => verdict.since,
        None => fell_silent,
    };
    EffectiveVerdict { lane, true_lane, overdue: is_overdue(order, lane, verdict.in_scope, now), silent, since }
}
