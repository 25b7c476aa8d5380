//! The tally of an order: its hosts by lane, so that a board need not read every verdict.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{EntryState, Lane, Timestamp};

use crate::store::fault::{Step, StoreFault};
use crate::store::{DecidedPlace, EntryCount, FleetTally, LaneTally};

/// The instants on which a tally depends.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Instants {
    /// A host that was last seen before it is silent.
    pub(in crate::store) silent_before: Timestamp,
    /// Waivers and dispositions are those in force at it.
    pub(in crate::store) decided_at: Timestamp,
}

/// Number of hosts in one awake lane, in or out of the order's scope, as it is stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct TallyRow {
    pub(in crate::store) lane: Lane,
    pub(in crate::store) in_scope: bool,
    /// Whether they are machines of the roster.
    pub(in crate::store) is_listed: bool,
    pub(in crate::store) hosts: u64,
}

/// Number of silent hosts in scope about which nothing is decided, by their awake lane, and whether they are machines of the roster;
/// without a lane, of hosts that have no verdict.
pub(in crate::store) type SilentHosts = HashMap<(Option<Lane>, bool), u64>;

/// Number of hosts in scope about which something is decided, by place, whether they are machines of the roster, and whether they
/// have a verdict.
pub(in crate::store) type DecidedCounts = BTreeMap<(DecidedPlace, bool, bool), u64>;

/// The entries of the roster, by state, site and platform. The site is empty and the platform 0 where no list says it.
pub(in crate::store) const ENTRIES: &str =
    "SELECT state, site, platform, entries FROM roster_count WHERE entries > 0 ORDER BY state, site, platform";

/// The tally as readers get it: `hosts` is the number of all hosts.
///
/// # Errors
/// More hosts of a lane are silent or decided about than it has: the stored tally is wrong.
pub(in crate::store) fn fleet(
    hosts: u64,
    rows: &[TallyRow],
    silent: &SilentHosts,
    decided: &DecidedCounts,
    entries: Vec<EntryCount>,
) -> Step<FleetTally> {
    let matched = entries.iter().filter(|count| count.state == EntryState::Matched).map(|count| count.entries).sum();
    Ok(FleetTally {
        listed: counted(matched, true, rows, silent, decided)?,
        outside: counted(hosts.saturating_sub(matched), false, rows, silent, decided)?,
        entries,
    })
}

/// The tally of the hosts that are machines of the roster, or of the others. `hosts` is their number.
///
/// # Errors
/// More hosts of a lane are silent than it has.
pub(in crate::store) fn counted(
    hosts: u64,
    is_listed: bool,
    rows: &[TallyRow],
    silent: &SilentHosts,
    decided: &DecidedCounts,
) -> Step<LaneTally> {
    let rows: Vec<&TallyRow> = rows.iter().filter(|row| row.is_listed == is_listed).collect();
    let decided: Vec<(DecidedPlace, bool, u64)> = decided
        .iter()
        .filter(|((_, listed, _), _)| *listed == is_listed)
        .map(|((place, _, is_judged), hosts)| (*place, *is_judged, *hosts))
        .collect();
    let judged: u64 = rows.iter().map(|row| row.hosts).sum();
    let unjudged = hosts.saturating_sub(judged);
    let mut tally = LaneTally::default();
    // A host that enrolls while this is read may be among the silent or the decided ones only.
    for (place, _, hosts) in decided.iter().filter(|(_, is_judged, _)| !is_judged) {
        let counted = tally.decided.values().sum::<u64>();
        let hosts = (*hosts).min(unjudged.saturating_sub(counted));
        if hosts > 0 {
            *tally.decided.entry(*place).or_default() += hosts;
        }
    }
    tally.unjudged = unjudged - tally.decided.values().sum::<u64>();
    tally.unjudged_silent = silent.get(&(None, is_listed)).copied().unwrap_or(0).min(tally.unjudged);
    for (place, _, hosts) in decided.iter().filter(|(_, is_judged, _)| *is_judged) {
        *tally.decided.entry(*place).or_default() += hosts;
    }
    for row in rows {
        if !row.in_scope {
            tally.out_of_scope += row.hosts;
            continue;
        }
        let (lane, silent) = (row.lane, silent.get(&(Some(row.lane), is_listed)).copied().unwrap_or(0));
        let decided = decided.iter().filter(|(place, is_judged, _)| *is_judged && place.awake == lane);
        let decided: u64 = decided.map(|(.., hosts)| hosts).sum();
        let awake = row.hosts.checked_sub(silent).and_then(|rest| rest.checked_sub(decided)).ok_or_else(|| {
            let reason = format!(
                "lane {lane} has {} hosts, but {silent} of its hosts are silent and {decided} retired or waived",
                row.hosts
            );
            StoreFault::damaged("the tally", reason)
        })?;
        let counts = [(false, awake), (true, silent)].into_iter().filter(|(_, hosts)| *hosts > 0);
        tally.in_scope.extend(counts.map(|(is_silent, hosts)| ((lane, is_silent), hosts)));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Decision;

    const fn row(lane: Lane, in_scope: bool, is_listed: bool, hosts: u64) -> TallyRow {
        TallyRow { lane, in_scope, is_listed, hosts }
    }

    const ROWS: [TallyRow; 5] = [
        row(Lane::Clear, true, false, 5),
        row(Lane::Replace, true, false, 2),
        row(Lane::Clear, false, false, 4),
        row(Lane::Clear, true, true, 6),
        row(Lane::Remove, true, true, 1),
    ];

    fn entries(matched: u64) -> Vec<EntryCount> {
        let count = |state, entries| EntryCount { state, site: None, platform: None, entries };
        vec![count(EntryState::Matched, matched), count(EntryState::Missing, 3)]
    }

    fn silent(of: &[(Option<Lane>, bool, u64)]) -> SilentHosts {
        of.iter().map(|(lane, is_listed, hosts)| ((*lane, *is_listed), *hosts)).collect()
    }

    #[test]
    fn the_numbers_of_a_tally_add_up_to_all_hosts() {
        let silent = silent(&[(Some(Lane::Clear), false, 3), (Some(Lane::Clear), true, 1), (None, false, 1)]);
        let tally = fleet(28, &ROWS, &silent, &BTreeMap::new(), entries(8)).expect("adds up");
        assert_eq!((tally.listed.total(), tally.outside.total(), tally.hosts().total()), (8, 20, 28));
        assert_eq!(
            tally.listed.in_scope,
            [((Lane::Clear, false), 5), ((Lane::Clear, true), 1), ((Lane::Remove, false), 1)].into()
        );
        let outside = [((Lane::Clear, false), 2), ((Lane::Clear, true), 3), ((Lane::Replace, false), 2)];
        assert_eq!(tally.outside.in_scope, outside.into());
        assert_eq!((tally.listed.unjudged, tally.outside.unjudged, tally.outside.unjudged_silent), (1, 9, 1));
        assert_eq!(tally.hosts().in_scope[&(Lane::Clear, true)], 4);
    }

    #[test]
    fn a_host_that_is_counted_after_the_total_does_not_make_the_rest_negative() {
        let tally = fleet(10, &ROWS, &HashMap::new(), &BTreeMap::new(), entries(2)).expect("adds up");
        assert_eq!((tally.listed.unjudged, tally.outside.unjudged), (0, 0));
    }

    #[test]
    fn more_silent_hosts_than_hosts_are_damage() {
        let none = BTreeMap::new();
        let error = fleet(20, &ROWS, &silent(&[(Some(Lane::Replace), false, 3)]), &none, Vec::new());
        assert!(matches!(error.expect_err("damaged"), StoreFault::Damaged { .. }));
        let decided = [((waived(Lane::Replace, false), false, true), 2)].into();
        let error = fleet(20, &ROWS, &silent(&[(Some(Lane::Replace), false, 1)]), &decided, Vec::new());
        assert!(matches!(error.expect_err("damaged"), StoreFault::Damaged { .. }));
    }

    fn waived(awake: Lane, is_silent: bool) -> DecidedPlace {
        DecidedPlace { decision: Decision::Waived, is_self_approved: false, awake, is_silent }
    }

    #[test]
    fn hosts_about_which_something_is_decided_leave_their_lane_and_are_counted_once() {
        let silent = silent(&[(Some(Lane::Clear), false, 3), (None, false, 9)]);
        let retired = DecidedPlace { decision: Decision::Retired, ..waived(Lane::Unknown, false) };
        let decided = [
            ((waived(Lane::Replace, false), false, true), 2),
            ((waived(Lane::Clear, true), false, true), 1),
            ((waived(Lane::Remove, false), true, true), 1),
            ((retired, false, false), 2),
        ];
        let tally = fleet(28, &ROWS, &silent, &decided.into(), entries(8)).expect("adds up");
        assert_eq!((tally.listed.total(), tally.outside.total(), tally.hosts().total()), (8, 20, 28));
        let outside = [((Lane::Clear, false), 1), ((Lane::Clear, true), 3)];
        assert_eq!(tally.outside.in_scope, outside.into());
        assert_eq!((tally.outside.unjudged, tally.outside.unjudged_silent), (7, 7));
        assert_eq!(tally.outside.decided[&retired], 2);
        assert_eq!(tally.hosts().decided.len(), 4);
        // More than there are enrolled after the total was read.
        let many = [((retired, false, false), 50)].into();
        let tally = fleet(20, &ROWS, &HashMap::new(), &many, entries(8)).expect("adds up");
        assert_eq!((tally.outside.total(), tally.outside.decided[&retired], tally.outside.unjudged), (12, 1, 0));
    }
}
