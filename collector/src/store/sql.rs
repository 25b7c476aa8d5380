//! The door to the administrative tables: one SQL text for both backends, behind a synchronous interface.
//!
//! ```text
//!  admin::write(store, actor, work) ─► Store::admin_write ─► [ BEGIN  work(tx)  actor  queue  ledger  COMMIT ]
//! ```
//!
//! SQLite runs the work on the writer's thread, where an await would hold up every other writer; PostgreSQL runs it on a
//! blocking thread, under one advisory lock for all administrative writes. Rules of a statement, which the tests of
//! `admin` check on both databases:
//!
//! - Parameters are `$1`, `$2`, …; SQLite reads them as `?1`, `?2`, ….
//! - Every list has an `ORDER BY` that leaves no two rows equal. NULL sorts differently, so it is not sorted by.
//! - A sum is cast (`CAST(sum(x) AS bigint)`), because it is `numeric` on PostgreSQL. No `LIKE`, and no
//!   `$1 IS NULL OR …`: PostgreSQL cannot plan it; write two statements.
//! - Hot tables are read through views that both schemas have (`host_row`).

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_proto::model::{HostId, Timestamp};

use super::Purged;
pub use super::fault::{Step, StoreFault};
use crate::ledger::actor::Actor;
use crate::ledger::entry::Entry;

/// Most rows that one administrative transaction may change. A bulk action is split into several.
pub(in crate::store) const MAX_ROWS: u64 = 500;

/// Most rows of the progress of a job that one transaction may change. Jobs bound their portions to far fewer; this is for what
/// foreign lists and hosts can make of one.
pub(in crate::store) const MAX_PROGRESS: u64 = 20_000;

/// Up to this many hosts, identities are forgotten one by one. More are rare, and reading all identities again is cheaper than
/// looking for each of them.
const FORGOTTEN_ONE_BY_ONE: usize = 16;

/// A parameter of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A number, a time or a flag.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(at: Timestamp) -> Self {
        Self::Int(at.millis())
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Null, Self::from)
    }
}

impl From<Value<'_>> for Cell {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(number) => Self::Int(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl<'a> From<&'a Cell> for Value<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Int(number) => Self::Int(*number),
            Cell::Text(text) => Self::Text(text),
            Cell::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

/// A column of a row that a statement returned, or a parameter that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// No value.
    Null,
    /// A number, a time or a flag.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A row that a statement returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub(in crate::store) Vec<Cell>);

impl Row {
    fn wrong(&self, at: usize, wanted: &str) -> StoreFault {
        let found = match self.0.get(at) {
            None => "nothing",
            Some(Cell::Null) => "NULL",
            Some(Cell::Int(_)) => "a number",
            Some(Cell::Text(_)) => "a text",
            Some(Cell::Bytes(_)) => "bytes",
        };
        StoreFault::damaged("an administrative row", format!("column {at} has {found} instead of {wanted}"))
    }

    /// A number.
    ///
    /// # Errors
    /// The column has something else; the same holds for the other readers.
    pub fn int(&self, at: usize) -> Step<i64> {
        match self.0.get(at) {
            Some(Cell::Int(number)) => Ok(*number),
            _ => Err(self.wrong(at, "a number")),
        }
    }

    /// A number that is never negative.
    ///
    /// # Errors
    /// The column has something else.
    pub fn count(&self, at: usize) -> Step<u64> {
        u64::try_from(self.int(at)?).map_err(|_| self.wrong(at, "a count"))
    }

    /// A flag: 0 or 1.
    ///
    /// # Errors
    /// The column has something else.
    pub fn flag(&self, at: usize) -> Step<bool> {
        Ok(self.int(at)? != 0)
    }

    /// A text.
    ///
    /// # Errors
    /// The column has something else.
    pub fn text(&self, at: usize) -> Step<&str> {
        match self.0.get(at) {
            Some(Cell::Text(text)) => Ok(text),
            _ => Err(self.wrong(at, "a text")),
        }
    }

    /// A text that is read as an identifier or a member of a closed list. `what` names the record in an error.
    ///
    /// # Errors
    /// The column has something else.
    pub fn parse<T: std::str::FromStr>(&self, what: &str, at: usize) -> Step<T>
    where
        T::Err: std::fmt::Display,
    {
        self.text(at)?.parse().map_err(|error: T::Err| StoreFault::damaged(what, error.to_string()))
    }

    /// Bytes of a fixed length.
    ///
    /// # Errors
    /// The column has something else.
    pub fn bytes<const N: usize>(&self, at: usize) -> Step<[u8; N]> {
        match self.0.get(at) {
            Some(Cell::Bytes(bytes)) => bytes.as_slice().try_into().map_err(|_| self.wrong(at, "other bytes")),
            _ => Err(self.wrong(at, "bytes")),
        }
    }

    /// Bytes of any length.
    ///
    /// # Errors
    /// The column has something else.
    pub fn blob(&self, at: usize) -> Step<&[u8]> {
        match self.0.get(at) {
            Some(Cell::Bytes(bytes)) => Ok(bytes),
            _ => Err(self.wrong(at, "bytes")),
        }
    }

    /// Whether the row has a column with this number.
    #[must_use]
    pub fn has(&self, at: usize) -> bool {
        at < self.0.len()
    }

    /// Whether the column has no value.
    #[must_use]
    pub fn is_null(&self, at: usize) -> bool {
        self.0.get(at) == Some(&Cell::Null)
    }

    /// A time.
    ///
    /// # Errors
    /// The column has something else.
    pub fn time(&self, at: usize) -> Step<Timestamp> {
        self.int(at).map(Timestamp::from_millis)
    }

    /// A time or NULL.
    ///
    /// # Errors
    /// The column has something else.
    pub fn maybe_time(&self, at: usize) -> Step<Option<Timestamp>> {
        if self.is_null(at) { Ok(None) } else { self.time(at).map(Some) }
    }
}

/// One administrative transaction. See the head of the file for the rules of statements.
pub trait AdminTx {
    /// The rows of a statement.
    ///
    /// # Errors
    /// The database fails.
    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<Vec<Row>>;
    /// Executes a statement that writes; returns how many rows it changed.
    ///
    /// # Errors
    /// The database fails, or the transaction only reads.
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<u64>;
    /// Executes a statement that writes only what a job still has to do, or that a session was used or is over. This is no
    /// action, so it needs no ledger entry.
    ///
    /// # Errors
    /// The database fails, or the transaction only reads.
    fn note_progress(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<u64>;
    /// As [`AdminTx::note_progress`], where nobody asks how many rows changed: it is sent together with others before the next
    /// statement of another kind, or when the work is done. Over a network that is much faster than one after the other.
    ///
    /// # Errors
    /// The transaction only reads, or the database fails. It may also fail a later statement for this one.
    fn progress_later(&mut self, sql: &'static str, values: &[Value<'_>]) -> Step<()>;
    /// The rows of a statement for each of these lists of values, in their order. The statements are sent together, which is much
    /// faster than one after the other.
    ///
    /// # Errors
    /// The database fails.
    fn query_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Step<Vec<Vec<Row>>>;
    /// As [`AdminTx::note_progress`], for each of these lists of values, sent together.
    ///
    /// # Errors
    /// The database fails, or the transaction only reads.
    fn note_progress_each(&mut self, sql: &'static str, lists: &[Vec<Value<'_>>]) -> Step<u64>;
    /// Puts a host on the judge queue when the work is done, by its row number.
    fn requeue(&mut self, host_no: i64);
    /// Counts a host, by its row number, as a machine of the roster or not, when the work is done.
    fn list_host(&mut self, host_no: i64, is_listed: bool);
    /// Moves a host to another site, both by their row numbers, when the work is done.
    fn move_host(&mut self, host_no: i64, site_no: i64);
    /// Makes every collector read the identity of this host again after the commit.
    fn forget_identity(&mut self, host: HostId);
    /// Tells every collector after the commit that what is applied over the rules has changed.
    fn announce_rules(&mut self);
    /// Removes what a host sent and no other host has, at most about `most` rows of its own. The host itself stays, with its
    /// lanes and its keys.
    ///
    /// # Errors
    /// The database fails, or the transaction only reads.
    fn purge(&mut self, host: HostId, host_no: i64, most: u64, now: Timestamp) -> Step<Purged>;
    /// Adds a ledger entry when the work is done. The door adds actor and time. A transaction that writes rows without an
    /// entry is refused.
    fn record(&mut self, entry: Entry);
}

/// What a transaction does. It runs again after a conflict, so it must change nothing but the database.
pub type AdminWork = Arc<dyn Fn(&mut dyn AdminTx) -> Step<()> + Send + Sync>;

/// Who acts, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// Who acts.
    pub actor: Actor,
    /// Now.
    pub now: Timestamp,
}

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Mode {
    Read,
    Write,
}

/// What the work of a transaction leaves for its end.
#[derive(Debug)]
pub(in crate::store) struct AtEnd {
    mode: Mode,
    pub(in crate::store) requeued: Vec<i64>,
    /// Hosts that are now machines of the roster, or no longer.
    pub(in crate::store) listed: BTreeMap<i64, bool>,
    /// Hosts that are moved, with their new sites.
    pub(in crate::store) moved: BTreeMap<i64, i64>,
    pub(in crate::store) forgotten: Vec<HostId>,
    pub(in crate::store) purged: Vec<HostId>,
    pub(in crate::store) has_new_rules: bool,
    pub(in crate::store) entries: Vec<Entry>,
    changed: u64,
    /// Rows that say what a job still has to do.
    progress: u64,
}

impl AtEnd {
    pub(in crate::store) const fn new(mode: Mode) -> Self {
        Self {
            mode,
            requeued: Vec::new(),
            listed: BTreeMap::new(),
            moved: BTreeMap::new(),
            forgotten: Vec::new(),
            purged: Vec::new(),
            has_new_rules: false,
            entries: Vec::new(),
            changed: 0,
            progress: 0,
        }
    }

    /// The hosts whose identities are read again; `None` means every host.
    pub(in crate::store) fn identities(&self) -> Vec<Option<HostId>> {
        match self.forgotten.as_slice() {
            few if few.len() <= FORGOTTEN_ONE_BY_ONE => few.iter().copied().map(Some).collect(),
            _ => vec![None],
        }
    }

    /// Refuses a write in a transaction that only reads.
    pub(in crate::store) fn may_write(&self) -> Step<()> {
        match self.mode {
            Mode::Write => Ok(()),
            Mode::Read => Err(StoreFault::Other("an administrative read tried to write".to_owned())),
        }
    }

    /// Counts the rows that a statement changed.
    pub(in crate::store) const fn count(&mut self, rows: u64) {
        self.changed = self.changed.saturating_add(rows);
    }

    /// Counts the rows that a statement changed and that need no entry.
    pub(in crate::store) const fn count_progress(&mut self, rows: u64) {
        self.progress = self.progress.saturating_add(rows);
    }

    /// Refuses a transaction that changed rows without a trace, or too many rows.
    pub(in crate::store) fn check(&self) -> Step<()> {
        let hosts = self.requeued.len() + self.listed.len() + self.moved.len();
        let left = hosts + self.forgotten.len() + self.purged.len() + self.entries.len();
        if left > 0 {
            self.may_write()?;
        }
        // A host that is moved is judged again: that is one change.
        let changed = self.changed.saturating_add((hosts - self.moved.len()) as u64);
        if self.progress > MAX_PROGRESS {
            let text = format!("one transaction changed {} rows of a job; the limit is {MAX_PROGRESS}", self.progress);
            return Err(StoreFault::Other(text));
        }
        if changed > MAX_ROWS {
            let text = format!("one transaction changed {changed} administrative rows; the limit is {MAX_ROWS}");
            return Err(StoreFault::Other(text));
        }
        if (self.changed > 0 || !self.purged.is_empty()) && self.entries.is_empty() {
            return Err(StoreFault::Other("administrative rows were changed without a ledger entry".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_an_entry_and_too_many_rows_are_refused() {
        let mut end = AtEnd::new(Mode::Write);
        end.check().expect("nothing was written");
        end.count(1);
        let error = format!("{:?}", end.check().expect_err("no entry"));
        assert!(error.contains("without a ledger entry"), "{error}");
        end.entries.push(Entry::TokenRevoked { token: "t".parse().expect("an id") });
        end.check().expect("has an entry");
        let mut progress = AtEnd::new(Mode::Write);
        progress.count_progress(MAX_PROGRESS);
        progress.check().expect("the progress of a job needs no entry");
        progress.count_progress(1);
        let error = format!("{:?}", progress.check().expect_err("too many"));
        assert!(error.contains("20001"), "{error}");
        end.count(MAX_ROWS);
        let error = format!("{:?}", end.check().expect_err("too many"));
        assert!(error.contains("501"), "{error}");
    }

    #[test]
    fn a_column_of_another_type_is_damage() {
        let row = Row(vec![Cell::Int(-1), Cell::Text("x".to_owned()), Cell::Null]);
        assert!(row.count(0).is_err() && row.int(1).is_err() && row.text(2).is_err() && row.int(9).is_err());
        assert_eq!(row.maybe_time(2).expect("NULL"), None);
        assert!(row.maybe_time(1).is_err());
    }
}
