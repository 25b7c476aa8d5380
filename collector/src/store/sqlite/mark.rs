//! Marks of hosts as readers see them. `store::admin` sets them.

use muster_proto::model::{HostMark, MarkReport};
use rusqlite::Connection;

use super::fault::Step;
use super::row;

/// The marks of a host, by its number.
pub(super) fn of_host(sql: &Connection, host: i64) -> Step<Vec<HostMark>> {
    let mut statement = sql.prepare_cached("SELECT mark FROM host_mark WHERE host = ?1 ORDER BY mark")?;
    let mut rows = statement.query([host])?;
    let mut marks = Vec::new();
    while let Some(found) = rows.next()? {
        marks.push(row::member("a mark of a host", HostMark::from_code, found, 0)?);
    }
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
