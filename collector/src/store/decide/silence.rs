//! Silence in lists of hosts.
//!
//! Silence depends on the time alone, so it is never stored. A verdict holds the awake lane: the lane while the host
//! reports. Which lane silence makes of it is defined in the model ([`Lane::with_silence`]).

use muster_proto::model::{Lane, Timestamp, is_silent};

use crate::store::HostQuery;

/// Whether a list with this query shows a host with this awake lane in a stream of these lanes (empty is any). A query
/// that names no order reads no lane (`None`) and shows every host.
pub(in crate::store) fn is_asked_for(
    query: &HostQuery,
    lanes: &[Lane],
    awake: Option<Lane>,
    last_seen: Timestamp,
) -> bool {
    let Some(awake) = awake else { return true };
    let is_silent = query.silent_before.is_some_and(|before| is_silent(Some(last_seen), before));
    let is_one = if is_silent { !query.awake_only } else { !query.silent_only };
    is_one && (lanes.is_empty() || lanes.contains(&awake.with_silence(is_silent)))
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

    fn asked(lanes: &[Lane], awake: Option<Lane>, last_seen: Timestamp) -> bool {
        let query = HostQuery { silent_before: Some(BEFORE), ..HostQuery::default() };
        is_asked_for(&query, lanes, awake, last_seen)
    }

    #[test]
    fn a_query_for_silent_hosts_shows_them_in_any_lane() {
        let query = HostQuery { silent_before: Some(BEFORE), silent_only: true, ..HostQuery::default() };
        assert!(is_asked_for(&query, &[], Some(Lane::Replace), EARLIER));
        assert!(!is_asked_for(&query, &[], Some(Lane::Replace), BEFORE));
        let awake = HostQuery { silent_only: false, awake_only: true, ..query };
        assert!(is_asked_for(&awake, &[], Some(Lane::Replace), BEFORE));
        assert!(!is_asked_for(&awake, &[], Some(Lane::Replace), EARLIER));
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
    }
}
