//! Notes what administrative work does, so that a test can compare it on two databases.

use muster_proto::model::{HostId, Timestamp};

use crate::ledger::entry::Entry;
use crate::store::Purged;
use crate::store::sql::{AdminTx, Row, Step, Value};

/// A statement that was executed, its parameters, and its rows or how many it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) values: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) changed: u64,
}

/// A transaction that notes its statements.
pub(crate) struct Recorder<'t> {
    tx: &'t mut dyn AdminTx,
    statements: Vec<Statement>,
}

impl<'t> Recorder<'t> {
    pub(crate) fn new(tx: &'t mut dyn AdminTx) -> Self {
        Self { tx, statements: Vec::new() }
    }

    pub(crate) fn statements(self) -> Vec<Statement> {
        self.statements
    }
}

impl AdminTx for Recorder<'_> {
    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<Vec<Row>> {
        let rows = self.tx.query(sql, values)?;
        self.statements.push(Statement { sql, values: format!("{values:?}"), rows: rows.clone(), changed: 0 });
        Ok(rows)
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<u64> {
        let changed = self.tx.execute(sql, values)?;
        self.statements.push(Statement { sql, values: format!("{values:?}"), rows: Vec::new(), changed });
        Ok(changed)
    }

    fn note_progress(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<u64> {
        let changed = self.tx.note_progress(sql, values)?;
        self.statements.push(Statement { sql, values: format!("{values:?}"), rows: Vec::new(), changed });
        Ok(changed)
    }

    fn progress_later(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<()> {
        self.tx.progress_later(sql, values)?;
        self.statements.push(Statement { sql, values: format!("{values:?}"), rows: Vec::new(), changed: 0 });
        Ok(())
    }

    fn query_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Step<Vec<Vec<Row>>> {
        let found = self.tx.query_each(sql, lists)?;
        for (values, rows) in lists.iter().zip(&found) {
            self.statements.push(Statement { sql, values: format!("{values:?}"), rows: rows.clone(), changed: 0 });
        }
        Ok(found)
    }

    fn note_progress_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Step<u64> {
        let changed = self.tx.note_progress_each(sql, lists)?;
        self.statements.push(Statement { sql, values: format!("{lists:?}"), rows: Vec::new(), changed });
        Ok(changed)
    }

    fn requeue(&mut self, host_no: i64) {
        self.tx.requeue(host_no);
    }

    fn list_host(&mut self, host_no: i64, is_listed: bool) {
        self.tx.list_host(host_no, is_listed);
    }

    fn move_host(&mut self, host_no: i64, site_no: i64) {
        self.tx.move_host(host_no, site_no);
    }

    fn forget_identity(&mut self, host: HostId) {
        self.tx.forget_identity(host);
    }

    fn announce_rules(&mut self) {
        self.tx.announce_rules();
    }

    fn purge(&mut self, host: HostId, host_no: i64, most: u64, now: Timestamp) -> Step<Purged> {
        self.tx.purge(host, host_no, most, now)
    }

    fn record(&mut self, entry: Entry) {
        self.tx.record(entry);
    }
}
