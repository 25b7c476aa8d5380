//! The ledger's table. Entries are written in the transaction of their operation and read in order.
//!
//! Numbers are assigned under a lock that is held until the commit, so they are in the order of commits: a reader that
//! has read up to a number has missed nothing before it. Transactions that write entries mostly wait for each other
//! anyway (for a token, the tally or the host count), and the lock is taken late and held briefly.

use muster_proto::model::Timestamp;

use super::fault::{PostgresFault, Step};
use super::row;
use super::session::{Session, Values};
use crate::ledger::entry::Entry;
use crate::store::LedgerRow;

/// The advisory lock under which numbers are assigned: "LEDG" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'4c454447'::int8)";

/// Inserts several entries.
const ENTRIES: &str = "INSERT INTO ledger (at, entry) SELECT $1, * FROM unnest($2::text[])";

/// The statements that are pipelined here; they must be prepared first.
pub(super) const STATEMENTS: [&str; 2] = [LOCK, ENTRIES];

pub(super) async fn write_all(session: &Session, at: Timestamp, entries: impl Iterator<Item = Entry>) -> Step<()> {
    let texts: Vec<String> = entries.map(|entry| entry.to_json()).collect::<Result<_, _>>()?;
    if texts.is_empty() { Ok(()) } else { put(session, at, &texts).await }
}

pub(super) async fn write(session: &Session, at: Timestamp, entry: &Entry) -> Step<()> {
    session.prepare(&STATEMENTS).await?;
    put(session, at, &[entry.to_json()?]).await
}

async fn put(session: &Session, at: Timestamp, texts: &[String]) -> Step<()> {
    let at = at.millis();
    let values: Values<'_> = &[&at, &texts];
    // `biased` sends the lock first, so that numbers are assigned under it.
    let (locked, written) = tokio::join!(biased; session.execute(LOCK, &[]), session.execute(ENTRIES, values));
    locked?;
    written.map(drop)
}

pub(super) async fn list(session: &Session, after: u64, most: usize) -> Step<Vec<LedgerRow>> {
    let find = "SELECT no, at, entry FROM ledger WHERE no > $1 ORDER BY no LIMIT $2";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut entries = Vec::new();
    for found in session.query(find, &[&after.cast_signed(), &most]).await? {
        let number = row::count(&found, 0)?;
        let entry = Entry::from_json(found.try_get(2)?)
            .map_err(|error| PostgresFault::damaged(format!("ledger entry {number}"), error.to_string()))?;
        entries.push(LedgerRow { number, at: row::instant(&found, 1)?, entry });
    }
    Ok(entries)
}
