//! Approves and refuses dispositions that wait for a second person.

use muster_proto::model::{DispositionState, HostId, HostMark};

use super::find;
use super::retire::{RETURN, UNMARK};
use crate::ledger::entry::Entry;
use crate::store::admin::waivers::decide::DecideAsked;
use crate::store::decide::waivers::{DecideRefusal, REFUSED};
use crate::store::decision_sql::APPROVED;
use crate::store::sql::{AdminTx, Step};

const DECIDE: &str = "UPDATE disposition SET state = $2, decided_by = $3, decided_at = $4 WHERE no = $1 AND state = 2";
const SEEN: &str = "SELECT x.host, h.id, i.last_seen FROM disposition_host x JOIN host_row h ON h.no = x.host
     JOIN identity_row i ON i.no = x.host WHERE x.disposition = $1 ORDER BY x.host";

/// Approves or refuses a disposition.
///
/// # Errors
/// The database fails.
pub(crate) fn decide(tx: &mut dyn AdminTx, asked: &DecideAsked, approve: bool) -> Step<Result<(), DecideRefusal>> {
    let Some(found) = find(tx, asked.number)? else { return Ok(Err(DecideRefusal::Unknown)) };
    let (is_within, requested_by) = (found.is_within(&asked.sites), found.requested_by.clone());
    let Some(report) = found.within(&asked.sites) else { return Ok(Err(DecideRefusal::Unknown)) };
    if !is_within {
        return Ok(Err(DecideRefusal::OtherSites));
    }
    match report.state {
        DispositionState::Requested => {}
        DispositionState::Approved => return Ok(Err(DecideRefusal::NotWaiting("approved"))),
        DispositionState::Refused => return Ok(Err(DecideRefusal::NotWaiting("refused"))),
    }
    if approve && let Err(refusal) = asked.may_approve(tx, &requested_by)? {
        return Ok(Err(refusal));
    }
    let disposition = asked.number;
    let number = disposition.cast_signed();
    let mut seen = Vec::new();
    for row in tx.query(SEEN, &[number.into()])? {
        seen.push((row.int(0)?, HostId::from_bytes(row.bytes(1)?), row.time(2)? > report.requested_at));
    }
    // A host that has reported since the request did not leave.
    if approve && seen.iter().all(|(.., has_reported)| *has_reported) {
        return Ok(Err(DecideRefusal::Reported));
    }
    let code = if approve { APPROVED } else { REFUSED };
    tx.execute(DECIDE, &[number.into(), code.into(), asked.account.as_str().into(), asked.now.into()])?;
    if approve {
        for (host, _, has_reported) in &seen {
            if *has_reported {
                tx.execute(RETURN, &[number.into(), (*host).into(), asked.now.into()])?;
            } else {
                tx.execute(UNMARK, &[i64::from(HostMark::Returned.code()).into(), (*host).into()])?;
            }
        }
    }
    let is_named = |(.., has_reported): &&(i64, HostId, bool)| !approve || !has_reported;
    let hosts: Vec<HostId> = seen.iter().filter(is_named).map(|(_, id, _)| *id).collect();
    tx.record(if approve {
        Entry::DispositionApproved { disposition, hosts }
    } else {
        Entry::DispositionRefused { disposition, hosts }
    });
    Ok(Ok(()))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[DECIDE, SEEN];
