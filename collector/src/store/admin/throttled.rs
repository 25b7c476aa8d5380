//! The mark of hosts that have spent a budget. It stays for a day, so that a host that is throttled every hour is marked and
//! recorded once a day.

use std::time::Duration;

use muster_proto::model::{Budget, HostId, HostMark, Timestamp};

use super::notes;
use crate::ledger::entry::Entry;
use crate::store::sql::{AdminTx, Step};

const FIND: &str = "SELECT no FROM host_row WHERE id = $1";
const MARKED: &str = "SELECT count(*) FROM host_mark WHERE mark = $1 AND host = $2";
const MARK: &str = "INSERT INTO host_mark (mark, host, since, note) VALUES ($1, $2, $3, $4)";
const ENDED: &str = "SELECT m.host, h.id FROM host_mark m JOIN host_row h ON h.no = m.host
     WHERE m.mark = $1 AND m.since < $2 ORDER BY m.host LIMIT $3";
const UNMARK: &str = "DELETE FROM host_mark WHERE mark = $1 AND host = $2";

/// How long a host keeps the mark.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The most hosts that one transaction changes.
pub(crate) const PORTION: usize = 100;

fn code() -> i64 {
    i64::from(HostMark::Throttled.code())
}

/// Why a host has the mark, for people.
fn reason(budget: Budget) -> String {
    format!("it has spent {}; what exceeds a budget is refused until the next full hour", budget.setting())
}

/// Marks hosts that have spent this budget, at most [`PORTION`]. Those that have the mark keep it as it is.
///
/// # Errors
/// The database fails.
pub(crate) fn mark(tx: &mut dyn AdminTx, hosts: &[HostId], budget: Budget, now: Timestamp) -> Step<()> {
    let mut marked = Vec::new();
    for id in hosts.iter().take(PORTION) {
        let rows = tx.query(FIND, &[id.as_bytes().as_slice().into()])?;
        let Some(host) = rows.first().map(|row| row.int(0)).transpose()? else { continue };
        let has = tx.query(MARKED, &[code().into(), host.into()])?;
        if has.first().map_or(Ok(0), |row| row.count(0))? > 0 {
            continue;
        }
        let note = notes::put(tx, &reason(budget))?;
        tx.execute(MARK, &[code().into(), host.into(), now.into(), note.as_bytes().as_slice().into()])?;
        marked.push(*id);
    }
    if !marked.is_empty() {
        tx.record(Entry::HostsThrottled { hosts: marked, budget });
    }
    Ok(())
}

/// Takes the mark from hosts that have had it for a day, at most [`PORTION`]; returns how many.
///
/// # Errors
/// The database fails.
pub(crate) fn unmark(tx: &mut dyn AdminTx, now: Timestamp) -> Step<usize> {
    let most = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let rows = tx.query(ENDED, &[code().into(), now.minus(KEPT).into(), most.into()])?;
    let mut hosts = Vec::new();
    for row in &rows {
        tx.execute(UNMARK, &[code().into(), row.int(0)?.into()])?;
        hosts.push(HostId::from_bytes(row.bytes(1)?));
    }
    if !hosts.is_empty() {
        tx.record(Entry::ThrottlingEnded { hosts });
    }
    Ok(rows.len())
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, MARKED, MARK, ENDED, UNMARK];
