//! Silence and decisions in lists of hosts.
//!
//! Silence depends on the time alone, so it is never stored; nor is what people decided, which ends by itself. A verdict holds the
//! awake lane: the lane while the host reports. Which lane silence makes of it is defined in the model ([`Lane::with_silence`]),
//! which one a decision makes of it in the judge.

use muster_proto::model::{Lane, Timestamp, is_silent};

use crate::judge::{Decision, decided_lane, is_shown_silent};
use crate::store::HostQuery;

/// What a row of a list says of decisions about its host, at the instant of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct RowDecision {
    /// The newest instant at which an approved disposition was asked for.
    pub(in crate::store) retired_from: Option<Timestamp>,
    /// Whether a waiver of the order is in force.
    pub(in crate::store) is_waived: bool,
}

impl RowDecision {
    /// The decision about a host that was last seen then.
    pub(in crate::store) fn decision(self, last_seen: Timestamp) -> Option<Decision> {
        if self.retired_from.is_some_and(|from| last_seen <= from) {
            return Some(Decision::Retired);
        }
        self.is_waived.then_some(Decision::Waived)
    }
}

/// Whether a list with this query shows a host with this awake lane in a stream of these lanes (empty is any). A query
/// that names no order reads no lane (`None`) and shows every host.
pub(in crate::store) fn is_asked_for(
    query: &HostQuery,
    lanes: &[Lane],
    awake: Option<Lane>,
    last_seen: Timestamp,
    decided: RowDecision,
) -> bool {
    let Some(awake) = awake else { return true };
    let decision = decided.decision(last_seen);
    let is_silent = query.silent_before.is_some_and(|before| is_silent(Some(last_seen), before));
    let is_one = if is_shown_silent(decision, is_silent) { !query.awake_only } else { !query.silent_only };
    is_one && (lanes.is_empty() || lanes.contains(&decided_lane(decision, awake, is_silent)))
}

/// Whether a lane is that of a decision.
pub(in crate::store) const fn is_decided(lane: Lane) -> bool {
    matches!(lane, Lane::Retired | Lane::Waived)
}

/// The awake lanes that can match a query for these lanes. `silent` is not stored: a host in it has any of the lanes
/// that yield to silence. A host about which something is decided can have any lane.
pub(in crate::store) fn awake_lanes(lanes: &[Lane]) -> impl Iterator<Item = Lane> {
    let wants_silent = lanes.contains(&Lane::Silent);
    let wants_decided = lanes.iter().copied().any(is_decided);
    let can_match =
        move |lane: &Lane| wants_decided || lanes.contains(lane) || (wants_silent && lane.yields_to_silence());
    Lane::ALL.iter().copied().filter(can_match)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Timestamp = Timestamp::from_millis(100);
    const EARLIER: Timestamp = Timestamp::from_millis(99);

    fn asked(lanes: &[Lane], awake: Option<Lane>, last_seen: Timestamp) -> bool {
        let query = HostQuery { silent_before: Some(BEFORE), ..HostQuery::default() };
        is_asked_for(&query, lanes, awake, last_seen, RowDecision::default())
    }

    #[test]
    fn a_query_for_silent_hosts_shows_them_in_any_lane() {
        let query = HostQuery { silent_before: Some(BEFORE), silent_only: true, ..HostQuery::default() };
        let none = RowDecision::default();
        assert!(is_asked_for(&query, &[], Some(Lane::Replace), EARLIER, none));
        assert!(!is_asked_for(&query, &[], Some(Lane::Replace), BEFORE, none));
        let waived = RowDecision { is_waived: true, ..none };
        assert!(is_asked_for(&query, &[], Some(Lane::Replace), EARLIER, waived));
        let retired = RowDecision { retired_from: Some(BEFORE), ..none };
        assert!(!is_asked_for(&query, &[], Some(Lane::Replace), EARLIER, retired), "it is not expected to report");
        let awake = HostQuery { silent_only: false, awake_only: true, ..query };
        assert!(is_asked_for(&awake, &[], Some(Lane::Replace), BEFORE, none));
        assert!(!is_asked_for(&awake, &[], Some(Lane::Replace), EARLIER, waived));
        assert!(is_asked_for(&awake, &[], Some(Lane::Replace), EARLIER, retired));
    }

    #[test]
    fn a_host_about_which_something_is_decided_is_listed_in_that_lane_alone() {
        let query = HostQuery { silent_before: Some(BEFORE), ..HostQuery::default() };
        let lanes_of = |decided: RowDecision, last_seen| -> Vec<Lane> {
            let asked = |lane: &Lane| is_asked_for(&query, &[*lane], Some(Lane::Replace), last_seen, decided);
            Lane::ALL.iter().copied().filter(asked).collect()
        };
        let waived = RowDecision { is_waived: true, ..RowDecision::default() };
        assert_eq!(lanes_of(waived, BEFORE), [Lane::Waived]);
        let retired = RowDecision { retired_from: Some(EARLIER), ..waived };
        assert_eq!(lanes_of(retired, EARLIER), [Lane::Retired]);
        assert_eq!(lanes_of(retired, BEFORE), [Lane::Waived], "it has reported since");
        assert_eq!(lanes_of(RowDecision { retired_from: Some(EARLIER), is_waived: false }, BEFORE), [Lane::Replace]);
    }

    #[test]
    fn a_silent_host_is_listed_as_silent_and_not_in_its_awake_lane() {
        assert!(asked(&[Lane::Silent], Some(Lane::Clear), EARLIER));
        assert!(!asked(&[Lane::Clear], Some(Lane::Clear), EARLIER));
        assert!(asked(&[Lane::Clear], Some(Lane::Clear), BEFORE));
        assert!(asked(&[Lane::Replace], Some(Lane::Replace), EARLIER));
    }

    #[test]
    fn a_query_without_lanes_shows_every_host() {
        assert!(asked(&[], Some(Lane::Done), EARLIER));
        assert!(asked(&[Lane::Done], None, EARLIER));
    }

    #[test]
    fn a_query_for_silent_reads_every_lane_that_yields_to_silence() {
        let lanes: Vec<Lane> = awake_lanes(&[Lane::Silent, Lane::Replace]).collect();
        assert!(lanes.contains(&Lane::Replace) && lanes.contains(&Lane::Clear) && !lanes.contains(&Lane::Remove));
        assert_eq!(awake_lanes(&[Lane::Done]).collect::<Vec<_>>(), [Lane::Done]);
        assert_eq!(awake_lanes(&[Lane::Waived]).count(), Lane::ALL.len());
    }
}
