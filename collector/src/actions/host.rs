//! Actions on hosts: revoke, release, review. A selection of any size is changed in portions, each one transaction with its
//! ledger entry. The same action again changes only what is left, so it continues one that was interrupted.

use muster_proto::limits;
use muster_proto::model::{HostActionKind, HostActionReport, HostId, Timestamp, TokenId};

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
                add(&mut report, act(HostsMeant::Named(portion.to_vec())).await?.unwrap_or_default());
            }
        }
        HostSelection::EnrolledWith(token) => {
            let mut after = Some(0);
            while let Some(place) = after {
                let hosts = HostsMeant::EnrolledWith { token: token.clone(), after: place };
                let done = act(hosts).await?.ok_or_else(|| ActionError::NoToken { token: token.clone() })?;
                after = done.next;
                add(&mut report, done);
            }
        }
    }
    Ok(report)
}

fn add(report: &mut HostActionReport, done: PortionDone) {
    report.changed += done.changed.len() as u64;
    report.unchanged += done.unchanged;
    let free = NAMED.saturating_sub(report.hosts.len());
    report.hosts.extend(done.changed.into_iter().take(free));
}
