//! Approves, refuses and ends waivers.

use muster_proto::model::{ApprovalRule, Holder, HostId, Timestamp, WaiverState};

use super::{find, hosts_at};
use crate::ledger::entry::{Entry, HOSTS};
use crate::store::SiteScope;
use crate::store::decide::waivers::{DecideRefusal, Decider, REFUSED, may_approve};
use crate::store::decision_sql::APPROVED;
use crate::store::sql::{AdminTx, Step};

const HOLDER: &str = "SELECT holder FROM account WHERE id = $1";
const DECIDE: &str = "UPDATE waiver SET state = $2, decided_by = $3, decided_at = $4 WHERE no = $1 AND state = 2";
const IDS: &str =
    "SELECT h.id FROM waiver_host w JOIN host_row h ON h.no = w.host WHERE w.waiver = $1 ORDER BY w.host LIMIT $2";
const END: &str = "UPDATE waiver SET ended_by = $2, ended_at = $3 WHERE no = $1 AND state = 3 AND ended_at IS NULL";

/// What a person does with a waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaiverAct {
    Approve,
    Refuse,
    End,
}

/// Who decides about a waiver or a disposition.
#[derive(Debug, Clone)]
pub(crate) struct DecideAsked {
    pub(crate) number: u64,
    /// The id of the account that decides.
    pub(crate) account: String,
    /// The sites whose hosts it may act on.
    pub(crate) sites: SiteScope,
    pub(crate) rule: ApprovalRule,
    pub(crate) now: Timestamp,
}

impl DecideAsked {
    /// Whether the account may approve what another one, or it itself, asked for.
    ///
    /// # Errors
    /// The database fails.
    pub(in crate::store::admin) fn may_approve(
        &self,
        tx: &mut dyn AdminTx,
        requested_by: &str,
    ) -> Step<Result<(), DecideRefusal>> {
        let rows = tx.query(HOLDER, &[self.account.as_str().into()])?;
        // An account that is not there is no person.
        let holder = rows.first().map_or(Ok(Holder::Machine), |row| row.parse("an account", 0))?;
        Ok(may_approve(requested_by, Decider { account: &self.account, holder, rule: self.rule }))
    }
}

/// Decides about a waiver.
///
/// # Errors
/// The database fails.
pub(crate) fn decide(tx: &mut dyn AdminTx, asked: &DecideAsked, act: WaiverAct) -> Step<Result<(), DecideRefusal>> {
    let Some(waiver) = find(tx, asked.number, asked.now)? else { return Ok(Err(DecideRefusal::Unknown)) };
    let hosts = hosts_at(tx, asked.number, waiver.report.hosts, &asked.sites)?;
    if hosts == 0 {
        return Ok(Err(DecideRefusal::Unknown));
    }
    if hosts < waiver.report.hosts {
        return Ok(Err(DecideRefusal::OtherSites));
    }
    let state = waiver.report.state;
    let number = asked.number.cast_signed();
    match act {
        WaiverAct::Approve | WaiverAct::Refuse if state != WaiverState::Requested => {
            return Ok(Err(DecideRefusal::NotWaiting(state.name())));
        }
        WaiverAct::End if state != WaiverState::InForce => return Ok(Err(DecideRefusal::NotInForce(state))),
        WaiverAct::Approve => {
            if let Err(refusal) = asked.may_approve(tx, &waiver.requested_by)? {
                return Ok(Err(refusal));
            }
        }
        WaiverAct::Refuse | WaiverAct::End => {}
    }
    let waiver = asked.number;
    let hosts = named(tx, number)?;
    let (changed, entry) = match act {
        WaiverAct::Approve | WaiverAct::Refuse => {
            let is_approved = act == WaiverAct::Approve;
            let code = if is_approved { APPROVED } else { REFUSED };
            let values = [number.into(), code.into(), asked.account.as_str().into(), asked.now.into()];
            let entry = match is_approved {
                true => Entry::WaiverApproved { waiver, hosts },
                false => Entry::WaiverRefused { waiver, hosts },
            };
            (tx.execute(DECIDE, &values)?, entry)
        }
        WaiverAct::End => {
            let values = [number.into(), asked.account.as_str().into(), asked.now.into()];
            (tx.execute(END, &values)?, Entry::WaiverEnded { waiver, hosts })
        }
    };
    // The state was read in this transaction, except where clocks of collectors differ.
    if changed == 0 {
        return Ok(Err(DecideRefusal::Clocks));
    }
    tx.record(entry);
    Ok(Ok(()))
}

/// The hosts of a waiver, if they are few enough for an entry.
fn named(tx: &mut dyn AdminTx, number: i64) -> Step<Vec<HostId>> {
    let most = i64::try_from(HOSTS).unwrap_or(i64::MAX).saturating_add(1);
    let rows = tx.query(IDS, &[number.into(), most.into()])?;
    let hosts: Step<Vec<HostId>> = rows.iter().map(|row| Ok(HostId::from_bytes(row.bytes(0)?))).collect();
    Ok(hosts?.into_iter().take(if rows.len() > HOSTS { 0 } else { HOSTS }).collect())
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[HOLDER, DECIDE, END, IDS];
