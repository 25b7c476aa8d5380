//! The ledger's table. Entries are written in the transaction of their operation and read in order.

use muster_proto::model::Timestamp;
use rusqlite::Connection;

use super::fault::{Step, StoreFault};
use super::row;
use crate::ledger::entry::Entry;
use crate::store::LedgerRow;

pub(super) fn write(sql: &Connection, at: Timestamp, entry: &Entry) -> Step<()> {
    sql.prepare_cached("INSERT INTO ledger (at, entry) VALUES (?1, ?2)")?.execute((at.millis(), entry.to_json()?))?;
    Ok(())
}

pub(super) fn list(sql: &Connection, after: u64, most: usize) -> Step<Vec<LedgerRow>> {
    let mut statement = sql.prepare_cached("SELECT no, at, entry FROM ledger WHERE no > ?1 ORDER BY no LIMIT ?2")?;
    let mut rows = statement.query((after.cast_signed(), i64::try_from(most).unwrap_or(i64::MAX)))?;
    let mut entries = Vec::new();
    while let Some(found) = rows.next()? {
        let number = row::count(found, 0)?;
        let entry = Entry::from_json(&found.get::<_, String>(2)?)
            .map_err(|error| StoreFault::damaged(format!("ledger entry {number}"), error.to_string()))?;
        entries.push(LedgerRow { number, at: row::instant(found, 1)?, entry });
    }
    Ok(entries)
}
