//! Which hosts a tally counts as retired or waived: one decision for each host, the same that reports show
//! ([`crate::judge::HostDecisions::under`]).

use std::collections::HashMap;
use std::hash::Hash;

use muster_proto::model::{Lane, Timestamp, is_silent};

use super::tally::{DecidedCounts, Instants};
use crate::judge::{Decision, is_shown_silent};
use crate::store::DecidedPlace;

/// A host in scope that a waiver in force covers, or that a disposition in force names.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct DecidedRow {
    /// The awake lane; `None` without a verdict.
    pub(in crate::store) awake: Option<Lane>,
    /// Whether it is a machine of the roster.
    pub(in crate::store) is_listed: bool,
    /// The newest check-in.
    pub(in crate::store) last_seen: Timestamp,
    /// Whether the account that asked for the decision has approved it.
    pub(in crate::store) is_self_approved: bool,
    /// When the disposition was asked for; `None` for a waiver.
    pub(in crate::store) retired_from: Option<Timestamp>,
}

/// The decided hosts of a tally, by the numbers of their rows.
#[derive(Debug)]
pub(in crate::store) struct DecidedHosts<No> {
    instants: Instants,
    hosts: HashMap<No, (DecidedPlace, bool, bool)>,
}

impl<No: Eq + Hash> DecidedHosts<No> {
    pub(in crate::store) fn new(instants: Instants) -> Self {
        Self { instants, hosts: HashMap::new() }
    }

    /// Adds a decision about a host. A disposition after which the host reported is none.
    pub(in crate::store) fn add(&mut self, host: No, row: &DecidedRow) {
        let decision = match row.retired_from {
            Some(from) if row.last_seen > from => return,
            Some(_) => Decision::Retired,
            None => Decision::Waived,
        };
        let silent = is_silent(Some(row.last_seen), self.instants.silent_before);
        let place = DecidedPlace {
            decision,
            is_self_approved: row.is_self_approved,
            awake: row.awake.unwrap_or(Lane::Unknown),
            is_silent: is_shown_silent(Some(decision), silent),
        };
        let new = (place, row.is_listed, row.awake.is_some());
        let rank = |place: &DecidedPlace| (place.decision != Decision::Retired, place.is_self_approved);
        let kept = self.hosts.entry(host).or_insert(new);
        if rank(&place) < rank(&kept.0) {
            *kept = new;
        }
    }

    /// Whether something is decided about a host.
    pub(in crate::store) fn contains(&self, host: &No) -> bool {
        self.hosts.contains_key(host)
    }

    /// How many hosts are where.
    pub(in crate::store) fn counts(&self) -> DecidedCounts {
        let mut counts = DecidedCounts::new();
        for key in self.hosts.values() {
            *counts.entry(*key).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn row(last_seen: i64, is_self_approved: bool, retired_from: Option<i64>) -> DecidedRow {
        let (awake, is_listed, last_seen) = (Some(Lane::Replace), false, at(last_seen));
        DecidedRow { awake, is_listed, last_seen, is_self_approved, retired_from: retired_from.map(at) }
    }

    #[test]
    fn a_host_has_one_decision_and_a_disposition_comes_first() {
        let mut hosts = DecidedHosts::new(Instants { silent_before: at(50), decided_at: at(100) });
        hosts.add(1, &row(60, true, None));
        hosts.add(1, &row(60, false, None));
        hosts.add(1, &row(60, true, None));
        hosts.add(2, &row(40, true, Some(45)));
        hosts.add(2, &row(40, false, None));
        hosts.add(3, &row(60, false, Some(45)));
        let place = |decision, is_self_approved| DecidedPlace {
            decision,
            is_self_approved,
            awake: Lane::Replace,
            is_silent: false,
        };
        let waived = ((place(Decision::Waived, false), false, true), 1);
        let retired = ((place(Decision::Retired, true), false, true), 1);
        assert_eq!(hosts.counts(), [waived, retired].into());
        assert!(!hosts.contains(&3), "it has reported since");
    }
}
