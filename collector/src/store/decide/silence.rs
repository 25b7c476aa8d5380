//! Silence in lists of hosts.
//!
//! Silence depends on the time alone, so it is never stored. A verdict holds the awake lane: the lane while the host
//! reports. Which lane silence makes of it is defined in the model ([`Lane::with_silence`]).

use muster_proto::model::{Lane, Timestamp, is_silent};

use crate::store::HostQuery;

/// Whether a list with this query shows a host with this awake lane. A query that names no order reads no lane
/// (`None`) and shows every host.
pub(in crate::store) fn is_asked_for(query: &HostQuery, awake: Option<Lane>, last_seen: Timestamp) -> bool {
    let Some(awake) = awake else { return true };
    let is_silent = query.silent_before.is_some_and(|before| is_silent(Some(last_seen), before));
    query.lanes.is_empty() || query.lanes.contains(&awake.with_silence(is_silent))
}

/// The awake lanes that can match a query for these lanes. `silent` is not stored: a host in it has any of the lanes
/// that yield to silence.
pub(in crate::store) fn awake_lanes(lanes: &[Lane]) -> impl Iterator<Item = Lane> {
    let wants_silent = lanes.contains(&Lane::Silent);
    let can_match = move |lane: &Lane| lanes.contains(lane) || (wants_silent && lane.yields_to_silence());
    Lane::ALL.iter().copied().filter(can_match)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Timestamp = Timestamp::from_millis(100);
    const EARLIER: Timestamp = Timestamp::from_millis(99);

    fn query(lanes: &[Lane]) -> HostQuery {
        HostQuery { lanes: lanes.to_vec(), silent_before: Some(BEFORE), ..HostQuery::default() }
    }

    #[test]
    fn a_silent_host_is_listed_as_silent_and_not_in_its_awake_lane() {
        assert!(is_asked_for(&query(&[Lane::Silent]), Some(Lane::Clear), EARLIER));
        assert!(!is_asked_for(&query(&[Lane::Clear]), Some(Lane::Clear), EARLIER));
        assert!(is_asked_for(&query(&[Lane::Clear]), Some(Lane::Clear), BEFORE));
        assert!(is_asked_for(&query(&[Lane::Replace]), Some(Lane::Replace), EARLIER));
    }

    #[test]
    fn a_query_without_lanes_shows_every_host() {
        assert!(is_asked_for(&query(&[]), Some(Lane::Done), EARLIER));
        assert!(is_asked_for(&query(&[Lane::Done]), None, EARLIER));
    }

    #[test]
    fn a_query_for_silent_reads_every_lane_that_yields_to_silence() {
        let lanes: Vec<Lane> = awake_lanes(&[Lane::Silent, Lane::Replace]).collect();
        assert!(lanes.contains(&Lane::Replace) && lanes.contains(&Lane::Clear) && !lanes.contains(&Lane::Remove));
        assert_eq!(awake_lanes(&[Lane::Done]).collect::<Vec<_>>(), [Lane::Done]);
    }
}
