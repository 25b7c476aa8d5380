//! The tally of an order: its hosts by lane, so that a board need not read every verdict.

use std::collections::HashMap;

use muster_proto::model::Lane;

use crate::store::LaneTally;
use crate::store::fault::{Step, StoreFault};

/// Number of hosts in one awake lane, in or out of the order's scope, as it is stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct TallyRow {
    pub(in crate::store) lane: Lane,
    pub(in crate::store) in_scope: bool,
    pub(in crate::store) hosts: u64,
}

/// Number of silent hosts in scope by their awake lane; `None` is the lane of hosts without a verdict.
pub(in crate::store) type SilentHosts = HashMap<Option<Lane>, u64>;

/// The tally as readers get it: `hosts` is the number of all hosts.
///
/// # Errors
/// More hosts of a lane are silent than it has: the stored tally is wrong.
pub(in crate::store) fn read(hosts: u64, rows: &[TallyRow], silent: &SilentHosts) -> Step<LaneTally> {
    let judged: u64 = rows.iter().map(|row| row.hosts).sum();
    let unjudged = hosts.saturating_sub(judged);
    // A host that enrolls while this is read may be among the silent ones only.
    let unjudged_silent = silent.get(&None).copied().unwrap_or(0).min(unjudged);
    let mut tally = LaneTally { unjudged, unjudged_silent, ..LaneTally::default() };
    for row in rows {
        if !row.in_scope {
            tally.out_of_scope += row.hosts;
            continue;
        }
        let (lane, silent) = (row.lane, silent.get(&Some(row.lane)).copied().unwrap_or(0));
        let awake = row.hosts.checked_sub(silent).ok_or_else(|| {
            let reason = format!("lane {lane} has {} hosts, but {silent} of its hosts are silent", row.hosts);
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

    const ROWS: [TallyRow; 3] = [
        TallyRow { lane: Lane::Clear, in_scope: true, hosts: 5 },
        TallyRow { lane: Lane::Replace, in_scope: true, hosts: 2 },
        TallyRow { lane: Lane::Clear, in_scope: false, hosts: 4 },
    ];

    #[test]
    fn the_numbers_of_a_tally_add_up_to_all_hosts() {
        let tally = read(20, &ROWS, &HashMap::from([(Some(Lane::Clear), 3), (Some(Lane::Replace), 2), (None, 1)]))
            .expect("adds up");
        let in_scope: Vec<_> = tally.in_scope.iter().map(|(key, hosts)| (*key, *hosts)).collect();
        let expected = [((Lane::Clear, false), 2), ((Lane::Clear, true), 3), ((Lane::Replace, true), 2)];
        assert_eq!(in_scope.iter().map(|(_, hosts)| hosts).sum::<u64>() + tally.out_of_scope + tally.unjudged, 20);
        assert!(expected.iter().all(|count| in_scope.contains(count)) && in_scope.len() == expected.len());
        assert_eq!((tally.out_of_scope, tally.unjudged, tally.unjudged_silent), (4, 9, 1));
    }

    #[test]
    fn a_host_that_is_counted_after_the_total_does_not_make_the_rest_negative() {
        assert_eq!(read(10, &ROWS, &HashMap::new()).expect("adds up").unjudged, 0);
    }

    #[test]
    fn more_silent_hosts_than_hosts_are_damage() {
        let error = read(20, &ROWS, &HashMap::from([(Some(Lane::Replace), 3)])).expect_err("damaged");
        assert!(matches!(error, StoreFault::Damaged { .. }));
    }
}
