//! The ledger's table: entries in, in the transaction of their deed; entries out, in order.

use muster_proto::model::Timestamp;

use super::fault::{Fault, Step};
use super::row;
use super::session::Session;
use crate::ledger::entry::Entry;
use crate::store::LedgerRow;

/// Several entries with one statement.
pub(super) const ENTRIES: &str = "INSERT INTO ledger (at, entry) SELECT $1, * FROM unnest($2::text[])";

pub(super) async fn write_all(session: &Session, at: Timestamp, entries: impl Iterator<Item = Entry>) -> Step<()> {
    let texts: Vec<String> = entries.map(|entry| entry.to_json()).collect::<Result<_, _>>()?;
    if !texts.is_empty() {
        session.execute(ENTRIES, &[&at.millis(), &texts]).await?;
    }
    Ok(())
}

pub(super) async fn write(session: &Session, at: Timestamp, entry: &Entry) -> Step<()> {
    let text = entry.to_json()?;
    session.execute("INSERT INTO ledger (at, entry) VALUES ($1, $2)", &[&at.millis(), &text]).await?;
    Ok(())
}

pub(super) async fn list(session: &Session, after: u64, most: usize) -> Step<Vec<LedgerRow>> {
    let find = "SELECT no, at, entry FROM ledger WHERE no > $1 ORDER BY no LIMIT $2";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut entries = Vec::new();
    for found in session.query(find, &[&after.cast_signed(), &most]).await? {
        let number = row::count(&found, 0)?;
        let entry = Entry::from_json(found.try_get(2)?)
            .map_err(|error| Fault::damaged(format!("ledger entry {number}"), error.to_string()))?;
        entries.push(LedgerRow { number, at: row::instant(&found, 1)?, entry });
    }
    Ok(entries)
}
