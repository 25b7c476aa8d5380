//! Marks of hosts: as readers see them, and the one that reports set. `store::admin` sets the others.

use std::collections::HashMap;

use muster_proto::model::{HoldersSign, HostId, HostMark, MarkReport, Timestamp};
use rusqlite::Connection;

use super::fault::Step;
use super::{ledger, row, walk};
use crate::ledger::actor::ActorId;
use crate::store::decide::marks;

/// Marks a host with whose key two machines report. Returns whether it was not marked before.
pub(super) fn two_holders(sql: &Connection, host: (i64, HostId), sign: HoldersSign, now: Timestamp) -> Step<bool> {
    let (hash, entry) = marks::two_holders(host.1, sign);
    let put = "INSERT INTO host_mark (mark, host, since, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let values = (HostMark::TwoHolders.code(), host.0, now.millis(), hash.as_bytes());
    if sql.prepare_cached(put)?.execute(values)? == 0 {
        return Ok(false);
    }
    let note = "INSERT INTO note (hash, words) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING";
    sql.prepare_cached(note)?.execute((hash.as_bytes(), sign.text()))?;
    ledger::write(sql, now, &ActorId::Agent, &entry)?;
    Ok(true)
}

/// The marks of these hosts, whose numbers are ascending.
pub(super) fn of_hosts(sql: &Connection, hosts: &[i64]) -> Step<HashMap<i64, Vec<HostMark>>> {
    let mut marks: HashMap<i64, Vec<HostMark>> = HashMap::new();
    let find = "SELECT host, mark FROM host_mark INDEXED BY host_mark_by_host WHERE host >= ?1 ORDER BY host";
    walk::rows_of(sql, find, hosts, |host, found, is_wanted| {
        if is_wanted {
            marks.entry(host).or_default().push(row::member("a mark of a host", HostMark::from_code, found, 1)?);
        }
        Ok(())
    })?;
    marks.values_mut().for_each(|marks| marks.sort_unstable());
    Ok(marks)
}

/// The marks of a host with the reasons that people gave.
pub(super) fn reports(sql: &Connection, host: i64) -> Step<Vec<MarkReport>> {
    let mut statement = sql.prepare_cached(
        "SELECT m.mark, m.since, n.words FROM host_mark m LEFT JOIN note n ON n.hash = m.note
         WHERE m.host = ?1 ORDER BY m.mark",
    )?;
    let mut rows = statement.query([host])?;
    let mut marks = Vec::new();
    while let Some(found) = rows.next()? {
        marks.push(MarkReport {
            mark: row::member("a mark of a host", HostMark::from_code, found, 0)?,
            since: row::instant(found, 1)?,
            reason: found.get::<_, Option<String>>(2)?.unwrap_or_default(),
        });
    }
    Ok(marks)
}
