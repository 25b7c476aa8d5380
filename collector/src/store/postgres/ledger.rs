//! The ledger's table. Entries are written in the transaction of their operation; `store::admin::ledger`
//! reads them.
//!
//! Numbers are assigned under a lock that is held until the commit, so they are in the order of commits and have no gaps: a
//! reader that has read up to a number has missed nothing before it. Transactions that write entries mostly wait for each other
//! anyway (for a token, the tally or the host count), and the lock is taken late and held briefly.

use muster_proto::model::Timestamp;

use super::fault::Step;
use super::session::{Session, Values};
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;

/// The advisory lock under which numbers are assigned: "LEDG" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'4c454447'::int8)";

/// Inserts several entries of one actor.
const ENTRIES: &str = "
    INSERT INTO ledger (no, at, account, kind, entry)
    SELECT coalesce((SELECT max(no) FROM ledger), 0) + u.n, $1, $2, u.kind, u.entry
    FROM unnest($3::int2[], $4::text[]) WITH ORDINALITY AS u (kind, entry, n)";

/// The statements that are pipelined here; they must be prepared first.
pub(super) const STATEMENTS: [&str; 2] = [LOCK, ENTRIES];

pub(super) async fn write_all(
    session: &Session,
    at: Timestamp,
    actor: &ActorId,
    entries: impl Iterator<Item = Entry>,
) -> Step<()> {
    let mut kinds = Vec::new();
    let mut texts = Vec::new();
    for entry in entries {
        kinds.push(i16::from(entry.kind().code()));
        texts.push(entry.to_json(actor)?);
    }
    if texts.is_empty() {
        return Ok(());
    }
    let (at, account) = (at.millis(), actor.account().map(|account| account.as_str()));
    let values: Values<'_> = &[&at, &account, &kinds, &texts];
    // `biased` sends the lock first, so that numbers are assigned under it.
    let (locked, written) = tokio::join!(biased; session.execute(LOCK, &[]), session.execute(ENTRIES, values));
    locked?;
    written.map(drop)
}

pub(super) async fn write(session: &Session, at: Timestamp, actor: &ActorId, entry: &Entry) -> Step<()> {
    session.prepare(&STATEMENTS).await?;
    write_all(session, at, actor, std::iter::once(entry.clone())).await
}
