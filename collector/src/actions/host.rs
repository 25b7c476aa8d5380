//! Actions on hosts: revoke, release, review, purge. A selection of any size is changed in portions, each one transaction with its
//! ledger entry. The same action again changes only what is left, so it continues one that was interrupted.

use std::collections::BTreeMap;

use muster_proto::limits;
use muster_proto::model::{HostActionKind, HostActionReport, HostId, HostName, PurgeCounts, Timestamp, TokenId};

use super::{ActionError, Caller};
use crate::store::admin::hosts::{HostsAsked, HostsMeant, PORTION, PortionDone};
use crate::store::{Store, admin};

/// Hosts that the report of an action names.
const NAMED: usize = 100;

/// Which hosts an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostSelection {
    /// These.
    Named(Vec<HostId>),
    /// All that enrolled with this token.
    EnrolledWith(TokenId),
}

/// Does an action on all hosts of a selection that are at the caller's sites.
///
/// # Errors
/// The reason is empty or too long, there is no such token at the caller's sites, or the store fails. What was changed
/// until then stays changed.
pub async fn host_action(
    store: &dyn Store,
    caller: &Caller,
    kind: HostActionKind,
    selection: HostSelection,
    reason: &str,
    now: Timestamp,
) -> Result<HostActionReport, ActionError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > limits::ACTION_REASON_BYTES || reason.chars().any(char::is_control) {
        return Err(ActionError::Reason);
    }
    let act = async |hosts: HostsMeant| {
        let (sites, reason) = (caller.scope.clone(), reason.to_owned());
        let asked = HostsAsked { kind, hosts, sites, reason, now };
        let act = move |tx: &mut dyn admin::AdminTx| admin::hosts::act(tx, &asked);
        admin::write(store, "host_action", caller.acting(now), act).await
    };
    let mut report = HostActionReport::default();
    match selection {
        HostSelection::Named(hosts) => {
            for portion in hosts.chunks(PORTION) {
                let mut of_portion = OfPortion::default();
                while of_portion.add(act(HostsMeant::Named(portion.to_vec())).await?.unwrap_or_default()) {}
                of_portion.report(&mut report);
            }
        }
        HostSelection::EnrolledWith(token) => {
            let mut after = Some(0);
            while let Some(place) = after {
                let mut of_portion = OfPortion::default();
                loop {
                    let hosts = HostsMeant::EnrolledWith { token: token.clone(), after: place };
                    let done = act(hosts).await?.ok_or_else(|| ActionError::NoToken { token: token.clone() })?;
                    after = done.next;
                    if !of_portion.add(done) {
                        break;
                    }
                }
                of_portion.report(&mut report);
            }
        }
    }
    Ok(report)
}

/// What was changed of one portion of hosts. A purge of much needs several transactions, each of which finds the hosts of those
/// before it unchanged.
#[derive(Default)]
struct OfPortion {
    changed: BTreeMap<HostId, HostName>,
    hosts: u64,
    removed: PurgeCounts,
}

impl OfPortion {
    /// Adds what one transaction has done, and says whether another one is needed.
    fn add(&mut self, done: PortionDone) -> bool {
        self.hosts = done.changed.len() as u64 + done.unchanged;
        self.changed.extend(done.changed.into_iter().map(|host| (host.id, host)));
        self.removed.snapshots += done.removed.snapshots;
        self.removed.sections += done.removed.sections;
        done.is_unfinished
    }

    fn report(self, report: &mut HostActionReport) {
        let changed = self.changed.len() as u64;
        report.changed += changed;
        report.unchanged += self.hosts.saturating_sub(changed);
        report.removed.snapshots += self.removed.snapshots;
        report.removed.sections += self.removed.sections;
        let free = NAMED.saturating_sub(report.hosts.len());
        report.hosts.extend(self.changed.into_values().take(free));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(changed: &[u8], unchanged: u64, snapshots: u64, is_unfinished: bool) -> PortionDone {
        let host = |n: &u8| HostName { id: HostId::from_bytes([*n; 16]), hostname: format!("host-{n}") };
        PortionDone {
            changed: changed.iter().map(host).collect(),
            unchanged,
            removed: PurgeCounts { snapshots, sections: 1 },
            is_unfinished,
            ..PortionDone::default()
        }
    }

    #[test]
    fn a_host_that_was_purged_in_several_transactions_counts_once() {
        let (mut portion, mut report) = (OfPortion::default(), HostActionReport::default());
        assert!(portion.add(done(&[1, 2, 3], 1, 5, true)));
        assert!(portion.add(done(&[2], 3, 5, true)));
        assert!(!portion.add(done(&[2, 3], 2, 2, false)));
        portion.report(&mut report);
        assert_eq!((report.changed, report.unchanged, report.hosts.len()), (3, 1, 3));
        assert_eq!(report.removed, PurgeCounts { snapshots: 12, sections: 3 });
    }
}
