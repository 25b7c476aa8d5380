//! The board: how many hosts are in each lane, for each order.

use std::collections::BTreeMap;

use muster_proto::model::{Board, BoardCounts, EntryState, Lane, OrderId, RosterCounts, Timestamp};

use super::{ReportContext, ReportError};
use crate::judge::{Decision, decided_lane, effective_lane, is_past_due, silent_before, true_lane};
use crate::rules::Order;
use crate::store::{FleetTally, LaneTally, SiteScope, admin};

impl ReportContext {
    /// The boards of the active orders, or of one.
    ///
    /// # Errors
    /// There is no such active order, or the store failed.
    pub async fn board(&self, order: Option<&OrderId>) -> Result<Vec<Board>, ReportError> {
        let depth = self.store.queue_depth().await?;
        let mut boards = Vec::new();
        for order in self.orders_asked(order)? {
            let tally = self.tally(order, &self.sites).await?;
            let (id, sites, now) = (order.id.clone(), self.sites.clone(), self.now);
            let overdue = move |tx: &mut dyn admin::AdminTx| admin::duties::overdue(tx, &id, &sites, now);
            let overdue_duties = admin::read(self.store.as_ref(), "duties_overdue", overdue).await?;
            let (id, sites) = (order.id.clone(), self.sites.clone());
            let unprotected = move |tx: &mut dyn admin::AdminTx| admin::unprotected::count(tx, &id, &sites);
            let unprotected = admin::read(self.store.as_ref(), "unprotected_count", unprotected).await?;
            boards.push(Board {
                judge_queue: Some(depth.waiting),
                overdue_duties,
                unprotected: Some(unprotected.hosts),
                unprotected_since: unprotected.since,
                ..board_of(order, &tally, self.now)
            });
        }
        Ok(boards)
    }

    /// The tally of an order at these sites.
    pub(super) async fn tally(&self, order: &Order, sites: &SiteScope) -> Result<FleetTally, ReportError> {
        Ok(self.store.lane_tally(&order.id, sites, silent_before(order, self.now), self.now).await?)
    }
}

/// The board of an order at an instant, without what is known of the present only.
pub(super) fn board_of(order: &Order, tally: &FleetTally, at: Timestamp) -> Board {
    let is_past_due = is_past_due(order, at);
    let roster = roster(tally);
    let outside = roster.map(|_| counts(&tally.outside, &[], is_past_due));
    let counts = match roster {
        Some(_) => counts(&tally.listed, &missing(tally, order), is_past_due),
        None => counts(&tally.hosts(), &[], is_past_due),
    };
    Board {
        order: order.report(),
        counts,
        outside,
        roster,
        as_of: at,
        judge_queue: None,
        overdue_duties: 0,
        unprotected: None,
        unprotected_since: None,
    }
}

/// How many entries the roster has in each state; `None` if no entry counts.
pub(super) fn roster(tally: &FleetTally) -> Option<RosterCounts> {
    let of = |is_meant: fn(EntryState) -> bool| -> u64 {
        tally.entries.iter().filter(|count| is_meant(count.state)).map(|count| count.entries).sum()
    };
    let counts = RosterCounts {
        listed: of(EntryState::is_counted),
        matched: of(|state| state == EntryState::Matched),
        missing: of(EntryState::is_missing),
        review: of(|state| state == EntryState::Review),
        excused: of(|state| state == EntryState::Excused),
        outside: tally.outside.total(),
    };
    Some(counts).filter(|counts| counts.listed + counts.excused > 0)
}

/// Machines of the roster that have no host, with whether the order applies to them. Where no list says site or platform, it does.
fn missing(tally: &FleetTally, order: &Order) -> Vec<(bool, u64)> {
    let missing = tally.entries.iter().filter(|count| count.state.is_missing());
    missing.map(|count| (order.may_bind(count.platform, count.site.as_ref()), count.entries)).collect()
}

/// The counts of a tally and of missing machines. All of them come from one tally, so they always add up.
pub(super) fn counts(tally: &LaneTally, missing: &[(bool, u64)], past_due: bool) -> BoardCounts {
    let mut counts = BoardCounts {
        lanes: Lane::ALL.iter().map(|lane| (*lane, 0)).collect(),
        total: tally.out_of_scope,
        out_of_scope: tally.out_of_scope,
        overdue: 0,
        silent: 0,
        waived: BTreeMap::new(),
        retired: BTreeMap::new(),
        self_approved: 0,
    };
    for (place, hosts) in &tally.decided {
        let lane = true_lane(Some(place.decision), place.awake, place.is_silent);
        let of_lane = match place.decision {
            Decision::Waived => counts.waived.entry(lane).or_default(),
            Decision::Retired => counts.retired.entry(lane).or_default(),
            Decision::Missing => continue,
        };
        *of_lane += hosts;
        counts.self_approved += if place.is_self_approved { *hosts } else { 0 };
    }
    for (_, machines) in missing.iter().filter(|(in_scope, _)| !in_scope) {
        counts.out_of_scope += machines;
        counts.total += machines;
    }
    let missing =
        missing.iter().filter(|(in_scope, _)| *in_scope).map(|(_, machines)| (Lane::Missing, false, *machines));
    for (lane, silent, hosts) in places(tally).chain(missing) {
        *counts.lanes.entry(lane).or_default() += hosts;
        counts.total += hosts;
        counts.silent += if silent { hosts } else { 0 };
        counts.overdue += if past_due && !lane.is_finished() { hosts } else { 0 };
    }
    counts
}

/// The hosts in scope by lane, silence and decisions included, and whether they are silent. A host that waits for its first judgement
/// counts as unknown, or as silent.
pub(super) fn places(tally: &LaneTally) -> impl Iterator<Item = (Lane, bool, u64)> {
    let unjudged_awake = tally.unjudged.saturating_sub(tally.unjudged_silent);
    let unjudged = [((Lane::Unknown, false), unjudged_awake), ((Lane::Unknown, true), tally.unjudged_silent)];
    let all = tally.in_scope.iter().map(|(place, hosts)| (*place, *hosts)).chain(unjudged);
    let found = all.map(|((awake, silent), hosts)| (effective_lane(awake, silent), silent, hosts));
    let decided = tally.decided.iter().map(|(place, hosts)| {
        (decided_lane(Some(place.decision), place.awake, place.is_silent), place.is_silent, *hosts)
    });
    found.chain(decided)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::DecidedPlace;

    fn tallies() -> impl Strategy<Value = LaneTally> {
        // The store never counts hosts as `silent`, `waived` or `retired`: these are added when the tally is read.
        let added = [Lane::Silent, Lane::Waived, Lane::Retired];
        let awake: Vec<Lane> = Lane::ALL.iter().copied().filter(|lane| !added.contains(lane)).collect();
        let place = (proptest::sample::select(awake.clone()), any::<bool>());
        let lanes = proptest::collection::btree_map(place, 0_u64..1_000_000, 0..22);
        let unjudged = (0_u64..1_000_000, 0_u64..1_000_000);
        let places = (any::<bool>(), any::<bool>(), proptest::sample::select(awake), any::<bool>()).prop_map(
            |(is_retired, is_self_approved, awake, is_silent)| {
                let decision = if is_retired { Decision::Retired } else { Decision::Waived };
                DecidedPlace { decision, is_self_approved, awake, is_silent: is_silent && !is_retired }
            },
        );
        let decided = proptest::collection::btree_map(places, 0_u64..1_000, 0..9);
        (lanes, 0_u64..1_000_000, unjudged, decided).prop_map(|(in_scope, out_of_scope, (awake, silent), decided)| {
            LaneTally { in_scope, out_of_scope, unjudged: awake + silent, unjudged_silent: silent, decided }
        })
    }

    proptest! {
        #[test]
        fn lanes_and_hosts_out_of_scope_add_up_to_the_total(
            tally in tallies(),
            missing in proptest::collection::vec((any::<bool>(), 0_u64..1_000_000), 0..4),
            past_due in any::<bool>(),
        ) {
            let counts = counts(&tally, &missing, past_due);
            let machines: u64 = missing.iter().map(|(_, machines)| machines).sum();
            let lanes: u64 = counts.lanes.values().sum();
            prop_assert_eq!(lanes + counts.out_of_scope, counts.total);
            prop_assert_eq!(counts.total, tally.total() + machines);
            prop_assert_eq!(counts.waived.values().sum::<u64>(), counts.lanes[&Lane::Waived]);
            prop_assert_eq!(counts.retired.values().sum::<u64>(), counts.lanes[&Lane::Retired]);
            prop_assert_eq!(counts.lanes.len(), Lane::ALL.len());
            let unfinished: u64 =
                counts.lanes.iter().filter(|(lane, _)| !lane.is_finished()).map(|(_, hosts)| hosts).sum();
            prop_assert_eq!(counts.overdue, if past_due { unfinished } else { 0 });
            prop_assert!(counts.silent >= counts.lanes[&Lane::Silent]);
        }
    }

    #[test]
    fn silence_moves_a_host_out_of_clear_but_not_out_of_replace() {
        let in_scope = [((Lane::Clear, true), 3), ((Lane::Replace, true), 2), ((Lane::Clear, false), 5)].into();
        let tally = LaneTally { in_scope, out_of_scope: 1, unjudged: 4, unjudged_silent: 1, ..LaneTally::default() };
        let counts = counts(&tally, &[], true);
        assert_eq!(counts.lanes[&Lane::Silent], 4);
        assert_eq!(counts.lanes[&Lane::Replace], 2);
        assert_eq!(counts.lanes[&Lane::Clear], 5);
        assert_eq!(counts.lanes[&Lane::Unknown], 3, "a host that was never judged is not clear");
        assert_eq!((counts.total, counts.silent, counts.overdue), (15, 6, 9));
    }

    #[test]
    fn waived_and_retired_hosts_keep_their_true_lanes_and_are_not_overdue() {
        let waived = |awake, is_silent| DecidedPlace {
            decision: Decision::Waived,
            is_self_approved: awake == Lane::Remove,
            awake,
            is_silent,
        };
        let retired = DecidedPlace { decision: Decision::Retired, ..waived(Lane::Clear, false) };
        let decided = [
            (waived(Lane::Replace, true), 10),
            (waived(Lane::Remove, false), 2),
            (waived(Lane::Clear, true), 1),
            (retired, 4),
        ];
        let in_scope = [((Lane::Replace, false), 3)].into();
        let counts = counts(&LaneTally { in_scope, decided: decided.into(), ..LaneTally::default() }, &[], true);
        assert_eq!(counts.lanes[&Lane::Waived], 13);
        assert_eq!(counts.waived, [(Lane::Replace, 10), (Lane::Remove, 2), (Lane::Silent, 1)].into());
        assert_eq!(counts.retired, [(Lane::Clear, 4)].into());
        assert_eq!((counts.total, counts.overdue, counts.silent, counts.self_approved), (20, 3, 11, 2));
    }
}
