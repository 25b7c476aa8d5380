//! The door on SQLite. Writes run on the writer's thread, reads on a reader's connection.

use muster_proto::model::{HostId, Timestamp};
use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::fault::{Step, StoreFault};
use super::writer::WriteContext;
use super::{judge_queue, ledger, purge, tally};
use crate::ledger::entry::Entry;
use crate::store::Purged;
use crate::store::admin::system_users;
use crate::store::sql::{Acting, AdminTx, AdminWork, AtEnd, Cell, Mode, Row, Value};

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// One administrative transaction.
struct SqliteTx<'a> {
    sql: &'a Connection,
    end: AtEnd,
}

impl SqliteTx<'_> {
    fn change(&self, sql: &str, values: &[Value<'_>]) -> Step<u64> {
        self.end.may_write()?;
        Ok(self.sql.prepare_cached(&numbered(sql))?.execute(rusqlite::params_from_iter(values))? as u64)
    }
}

impl AdminTx for SqliteTx<'_> {
    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<Vec<Row>> {
        let mut statement = self.sql.prepare_cached(&numbered(sql))?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|at| cell(row.get_ref(at)?)).collect::<Step<_>>()?;
            found.push(Row(cells));
        }
        Ok(found)
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<u64> {
        let rows = self.change(sql, values)?;
        self.end.count(rows);
        Ok(rows)
    }

    fn note_progress(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<u64> {
        let rows = self.change(sql, values)?;
        self.end.count_progress(rows);
        Ok(rows)
    }

    fn progress_later(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<()> {
        // Nothing lies between the statement and the database.
        self.note_progress(sql, values).map(drop)
    }

    fn query_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Step<Vec<Vec<Row>>> {
        lists.iter().map(|values| self.query(sql, values)).collect()
    }

    fn note_progress_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Step<u64> {
        lists.iter().map(|values| self.note_progress(sql, values)).sum()
    }

    fn requeue(&mut self, host_no: i64) {
        self.end.requeued.push(host_no);
    }

    fn forget_identity(&mut self, host: HostId) {
        self.end.forgotten.push(host);
    }

    fn announce_rules(&mut self) {
        self.end.has_new_rules = true;
    }

    fn list_host(&mut self, host_no: i64, is_listed: bool) {
        self.end.listed.insert(host_no, is_listed);
    }

    fn move_host(&mut self, host_no: i64, site_no: i64) {
        self.end.moved.insert(host_no, site_no);
    }

    fn purge(&mut self, host: HostId, host_no: i64, most: u64, now: Timestamp) -> Step<Purged> {
        self.end.may_write()?;
        let purged = purge::purge(self.sql, host_no, most, now)?;
        self.end.purged.extend((purged.own > 0).then_some(host));
        Ok(purged)
    }

    fn record(&mut self, entry: Entry) {
        self.end.entries.push(entry);
    }
}

/// `$1` names a parameter on SQLite and would be numbered by its first use, so it becomes `?1`.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn cell(value: ValueRef<'_>) -> Step<Cell> {
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(number) => Ok(Cell::Int(number)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Cell::Text(text.to_owned())),
            Err(error) => Err(StoreFault::damaged("an administrative row", error.to_string())),
        },
        ValueRef::Blob(bytes) => Ok(Cell::Bytes(bytes.to_vec())),
        ValueRef::Real(_) => Err(StoreFault::damaged("an administrative row", "it has a floating-point number")),
    }
}

/// Does the work, then writes what it left for the end.
pub(super) fn write(context: &mut WriteContext<'_>, acting: &Acting, work: &AdminWork) -> Step<()> {
    let mut tx = SqliteTx { sql: context.sql, end: AtEnd::new(Mode::Write) };
    work(&mut tx)?;
    let end = std::mem::replace(&mut tx.end, AtEnd::new(Mode::Write));
    end.check()?;
    tally::list(context.sql, &end.listed)?;
    tally::relocate(context.sql, &end.moved)?;
    if !end.entries.is_empty() {
        // The name of the user needs no entry: it is a part of this one.
        let actor = system_users::actor_id(&mut tx, &acting.actor)?;
        for entry in &end.entries {
            ledger::write(context.sql, acting.now, &actor, entry)?;
        }
    }
    for host in end.identities() {
        context.after_commit(move |memory| memory.identities_forget(host));
    }
    if end.has_new_rules {
        context.after_commit(|memory| memory.rules_notify().notify_one());
    }
    for host in end.purged {
        purge::forget(context, host);
    }
    for host in end.requeued {
        judge_queue::put(context, host, acting.now)?;
    }
    Ok(())
}

/// Does work that only reads.
pub(super) fn read(sql: &Connection, work: &AdminWork) -> Step<()> {
    let mut tx = SqliteTx { sql, end: AtEnd::new(Mode::Read) };
    work(&mut tx)?;
    tx.end.check()
}
