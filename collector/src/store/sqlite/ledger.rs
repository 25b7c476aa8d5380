//! The ledger's table. Entries are written in the transaction of their operation; `store::admin::ledger` reads them.

use muster_proto::model::Timestamp;
use rusqlite::Connection;

use super::fault::Step;
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;

pub(super) fn write(sql: &Connection, at: Timestamp, actor: &ActorId, entry: &Entry) -> Step<()> {
    let account = actor.account().map(|account| account.as_str());
    sql.prepare_cached("INSERT INTO ledger (at, kind, account, entry) VALUES (?1, ?2, ?3, ?4)")?.execute((
        at.millis(),
        entry.kind().code(),
        account,
        entry.to_json(actor)?,
    ))?;
    Ok(())
}
