//! When hosts were last seen: kept in memory, written to the table many at a time.

use muster_proto::model::{HostId, Timestamp};
use rusqlite::Connection;

use super::fault::Step;
use super::memory::{LastSeen, Memory};

/// Writes these check-ins in one transaction.
pub(super) fn write(sql: &Connection, taken: &[(HostId, i64, LastSeen)]) -> Step<()> {
    sql.execute_batch("BEGIN IMMEDIATE")?;
    for (_, no, seen) in taken {
        put(sql, *no, seen)?;
    }
    sql.execute_batch("COMMIT")?;
    Ok(())
}

/// Writes one check-in into the transaction that is open.
pub(super) fn put(sql: &Connection, no: i64, seen: &LastSeen) -> Step<()> {
    let previous = seen.previous;
    sql.prepare_cached(
        "UPDATE host_check_in SET last_seen = ?2, run = ?3, seq = ?4, previous_run = ?5, previous_seq = ?6,
             returns = ?7 WHERE host = ?1",
    )?
    .execute((
        no,
        seen.last_seen.millis(),
        seen.run.as_bytes(),
        seen.seq.cast_signed(),
        previous.map(|(run, _)| *run.as_bytes()),
        previous.map_or(0, |(_, seq)| seq.cast_signed()),
        seen.returns.code(),
    ))?;
    Ok(())
}

/// When a host was last seen: the newer of the memory and the column, which begins with the enrollment.
pub(super) fn newest(memory: &Memory, host: HostId, column: Timestamp) -> Timestamp {
    memory.seen(host).map_or(column, |seen| seen.last_seen.max(column))
}
