//! Notes which retired hosts have reported again. Readers see at once that such a host is not retired; this keeps it on record, and
//! marks the host.

use muster_proto::model::{HostId, HostMark, Timestamp};

use super::retire::RETURN;
use crate::ledger::entry::Entry;
use crate::store::admin::notes;
use crate::store::sql::{AdminTx, Step};

const FIND: &str =
    "SELECT x.disposition, x.host, h.id FROM disposition_host x JOIN disposition d ON d.no = x.disposition
     JOIN identity_row i ON i.no = x.host JOIN host_row h ON h.no = x.host
     WHERE x.ended_at IS NULL AND x.returned_at IS NULL AND d.state = 3 AND i.last_seen > d.requested_at
     ORDER BY x.disposition, x.host LIMIT $1";
const MARK: &str = "INSERT INTO host_mark (mark, host, since, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

/// Hosts that one transaction notes.
pub(crate) const PORTION: usize = 100;

/// The reason of the mark.
const REASON: &str = "it reported after it was retired";

/// Whether a host has reported that is retired on record.
///
/// # Errors
/// The database fails.
pub(crate) fn is_any(tx: &mut dyn AdminTx) -> Step<bool> {
    Ok(!tx.query(FIND, &[1.into()])?.is_empty())
}

/// Notes hosts that have returned, at most [`PORTION`]; returns how many.
///
/// # Errors
/// The database fails.
pub(crate) fn note(tx: &mut dyn AdminTx, now: Timestamp) -> Step<usize> {
    let most = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let mut hosts = Vec::new();
    for row in tx.query(FIND, &[most.into()])? {
        let note = notes::put(tx, REASON)?;
        tx.execute(RETURN, &[row.int(0)?.into(), row.int(1)?.into(), now.into()])?;
        let code = i64::from(HostMark::Returned.code());
        tx.execute(MARK, &[code.into(), row.int(1)?.into(), now.into(), note.as_bytes().as_slice().into()])?;
        hosts.push(HostId::from_bytes(row.bytes(2)?));
    }
    let noted = hosts.len();
    hosts.dedup();
    if noted > 0 {
        tx.record(Entry::HostsReturned { hosts });
    }
    Ok(noted)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, MARK];
