//! Importing a list of machines.
//!
//! ```text
//!  begin ─► stage (rows that are new or changed) ─► start ─► apply, portion by portion ─► finish
//! ```
//!
//! Until `start`, nothing of the roster has changed. From then on the import is a part of the store: another start of the collector
//! goes on with it.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{EntryState, Identifier, ImportCounts, RosterRow, Timestamp};

use super::moves::{self, Moves, Place};
use super::pending;
use super::records::{self, NewRecord, Record, ShortDigest};
use crate::ledger::entry::Entry;
use crate::store::decide::roster::{EntryKnown, entry_of};
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const RUNNING: &str =
    "SELECT no, source, stage, started_at, touched_at FROM roster_import WHERE stage IN (1, 2, 4) ORDER BY no LIMIT 1";
const LAST: &str = "SELECT coalesce(max(no), 0) FROM roster_import";
const BEGIN: &str = "INSERT INTO roster_import 
     (no, source, stage, file, started_at, touched_at, account, total, added, changed, absent)
     VALUES ($1, $2, 1, $3, $4, $4, $5, 0, 0, 0, 0)";
const START: &str =
    "UPDATE roster_import SET stage = 2, total = $2, added = $3, changed = $4, absent = $5 WHERE no = $1";
const FINISH: &str = "UPDATE roster_import SET stage = 3 WHERE no = $1";
const GIVE_UP: &str = "UPDATE roster_import SET stage = 4 WHERE no = $1 AND stage IN (1, 4)";
const GIVEN_UP: &str = "UPDATE roster_import SET stage = 5 WHERE no = $1 AND stage = 4";
const FORGET_OLD: &str = "DELETE FROM roster_import WHERE stage IN (3, 5) AND no <= $1";
const GET: &str = "SELECT source, total, added, changed, absent FROM roster_import WHERE no = $1 AND stage = $2";
const TOUCH: &str = "UPDATE roster_import SET touched_at = $2 WHERE no = $1 AND stage = 1";
const STAGE: &str = "INSERT INTO roster_portion (import, no, packed) VALUES ($1, $2, $3)";
const PORTION: &str = "SELECT no, packed FROM roster_portion WHERE import = $1 ORDER BY no LIMIT 1";
const APPLIED: &str = "DELETE FROM roster_portion WHERE import = $1 AND no = $2";
const STAGED: &str = "DELETE FROM roster_portion WHERE import = $1 AND no <= $2";
const SOURCE: &str = "SELECT no FROM roster_source WHERE name = $1";
const LAST_SOURCE: &str = "SELECT coalesce(max(no), 0), count(*) FROM roster_source";
const ADD_SOURCE: &str = "INSERT INTO roster_source (no, name, imported_at) VALUES ($1, $2, $3)
     ON CONFLICT (no) DO UPDATE SET imported_at = excluded.imported_at";
const KEYS: &str = "SELECT no, key, digest FROM roster_record WHERE source = $1 AND no > $2 AND closed_at IS NULL ORDER BY no LIMIT $3";
const NAMES: &str = "SELECT e.name FROM roster_record r JOIN roster_entry e ON e.no = r.entry WHERE r.no = $1";
const ENTRY_OF_RECORD: &str = "SELECT entry FROM roster_record WHERE no = $1";
const LAST_ENTRY: &str = "SELECT coalesce(max(no), 0) FROM roster_entry";
const LAST_RECORD: &str = "SELECT coalesce(max(no), 0) FROM roster_record";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    RUNNING,
    LAST,
    BEGIN,
    START,
    FINISH,
    GIVE_UP,
    GIVEN_UP,
    FORGET_OLD,
    GET,
    TOUCH,
    STAGE,
    PORTION,
    APPLIED,
    STAGED,
    SOURCE,
    LAST_SOURCE,
    ADD_SOURCE,
    KEYS,
    NAMES,
    ENTRY_OF_RECORD,
    LAST_ENTRY,
    LAST_RECORD,
];

/// An import that waits longer than this for rows is over: its client is gone.
const ABANDONED_MS: i64 = 60_000;
/// While its rows arrive, and while they are applied.
const RECEIVING: i64 = 1;
const APPLYING: i64 = 2;
/// While it is thrown away.
const GIVING_UP: i64 = 4;
/// Sources that a roster may have.
const SOURCES: u64 = 32;
/// Past imports that are kept.
const KEPT: i64 = 1_000;
/// Rows of a portion that removes.
const CLOSED: usize = 20;
/// Records that are compared at a time.
const COMPARED: i64 = 5_000;
/// Portions that one transaction throws away.
const THROWN_AWAY: i64 = 400;

/// An import that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) no: i64,
    pub(crate) source: String,
    /// Whether its rows are being applied, so that it has to go on.
    pub(crate) is_applied: bool,
    /// Whether it is being thrown away.
    pub(crate) is_given_up: bool,
    pub(crate) started_at: Timestamp,
    /// When rows came last.
    pub(crate) touched_at: Timestamp,
}

impl Running {
    /// Whether nobody sends rows any more.
    pub(crate) fn is_abandoned(&self, now: Timestamp) -> bool {
        self.is_given_up || !self.is_applied && now.millis().saturating_sub(self.touched_at.millis()) > ABANDONED_MS
    }
}

/// Why an import cannot begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BeginRefusal {
    /// Another one has not ended.
    Running(Running),
    /// There are as many sources as there may be.
    Sources,
}

/// A portion of an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Portion {
    /// Rows that are new or changed.
    Rows(Vec<RosterRow>),
    /// Numbers of records that the list no longer has.
    Absent(Vec<i64>),
}

impl Portion {
    /// How many rows of the database a row of a list changes at most, when it is applied.
    pub(crate) fn weight(row: &RosterRow) -> usize {
        8 + 2 * row.identifiers().len()
    }

    /// The most that the rows of a portion may weigh together.
    pub(crate) const MOST: usize = 2_000;

    fn packed(&self) -> Step<Vec<u8>> {
        let text = serde_json::to_vec(self).map_err(|error| StoreFault::Other(error.to_string()))?;
        zstd::bulk::compress(&text, 3).map_err(|error| StoreFault::Other(error.to_string()))
    }

    fn read(packed: &[u8]) -> Step<Self> {
        let damaged = |error: String| StoreFault::damaged("a portion of an import", error);
        // A portion has at most a few hundred short texts.
        let text = zstd::bulk::decompress(packed, 1 << 20).map_err(|error| damaged(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))
    }
}

/// The key and the digest of a row.
pub(crate) fn digests(row: &RosterRow) -> (ShortDigest, ShortDigest) {
    let short = |bytes: &[u8]| -> ShortDigest {
        let mut short = ShortDigest::default();
        short.copy_from_slice(blake3::hash(bytes).as_bytes().split_at(16).0);
        short
    };
    (short(row.key().as_bytes()), short(format!("{row:?}").as_bytes()))
}

/// The import that is not finished.
///
/// # Errors
/// The database fails.
pub(crate) fn running(tx: &mut dyn AdminTx) -> Step<Option<Running>> {
    let rows = tx.query(RUNNING, &[])?;
    let read = |row: &Row| {
        Ok(Running {
            no: row.int(0)?,
            source: row.text(1)?.to_owned(),
            is_applied: row.int(2)? == APPLYING,
            is_given_up: row.int(2)? == GIVING_UP,
            started_at: row.time(3)?,
            touched_at: row.time(4)?,
        })
    };
    rows.first().map(read).transpose()
}

/// Begins an import.
///
/// # Errors
/// The database fails.
pub(crate) fn begin(
    tx: &mut dyn AdminTx,
    source: &str,
    file: &str,
    account: &str,
    now: Timestamp,
) -> Step<Result<i64, BeginRefusal>> {
    if let Some(running) = running(tx)? {
        return Ok(Err(BeginRefusal::Running(running)));
    }
    let sources = tx.query(LAST_SOURCE, &[])?.first().map_or(Ok(0), |row| row.count(1))?;
    if sources >= SOURCES && source_no(tx, source)?.is_none() {
        return Ok(Err(BeginRefusal::Sources));
    }
    let no = 1 + number(tx, LAST)?;
    tx.note_progress(BEGIN, &[no.into(), source.into(), file.into(), now.into(), account.into()])?;
    tx.note_progress(FORGET_OLD, &[(no - KEPT).into()])?;
    Ok(Ok(no))
}

/// The open records that a source has: number, key and digest, in the order of their numbers, those after this one.
///
/// # Errors
/// The database fails.
pub(crate) fn known(tx: &mut dyn AdminTx, source: &str, after: i64) -> Step<Vec<(i64, ShortDigest, ShortDigest)>> {
    let Some(source) = source_no(tx, source)? else { return Ok(Vec::new()) };
    let rows = tx.query(KEYS, &[source.into(), after.into(), COMPARED.into()])?;
    rows.iter().map(|row| Ok((row.int(0)?, row.bytes(1)?, row.bytes(2)?))).collect()
}

/// What the entries of these records are called.
///
/// # Errors
/// The database fails.
pub(crate) fn names(tx: &mut dyn AdminTx, records: &[i64]) -> Step<Vec<String>> {
    let lists: Vec<Vec<Value<'_>>> = records.iter().map(|no| vec![(*no).into()]).collect();
    tx.query_each(NAMES, &lists)?.iter().flatten().map(|row| row.text(0).map(ToOwned::to_owned)).collect()
}

/// Notes that rows still come.
///
/// # Errors
/// The import was thrown away, or the database fails.
pub(crate) fn touch(tx: &mut dyn AdminTx, import: i64, now: Timestamp) -> Step<()> {
    if tx.note_progress(TOUCH, &[import.into(), now.into()])? == 0 { Err(gone()) } else { Ok(()) }
}

/// Stages a portion; `no` orders them.
///
/// # Errors
/// The database fails.
pub(crate) fn stage(tx: &mut dyn AdminTx, import: i64, no: i64, portion: &Portion, now: Timestamp) -> Step<()> {
    let packed = portion.packed()?;
    touch(tx, import, now)?;
    tx.note_progress(STAGE, &[import.into(), no.into(), packed.as_slice().into()]).map(drop)
}

/// The portions that remove these records.
pub(crate) fn absent(records: &[i64]) -> impl Iterator<Item = Portion> {
    records.chunks(CLOSED).map(|chunk| Portion::Absent(chunk.to_vec()))
}

/// Starts to apply what was staged.
///
/// # Errors
/// The database fails.
pub(crate) fn start(tx: &mut dyn AdminTx, import: i64, counts: ImportCounts) -> Step<()> {
    let Some((source, _)) = get(tx, import, RECEIVING)? else { return Err(gone()) };
    let ImportCounts { added, changed, unchanged, absent } = counts;
    let total = added + changed + unchanged;
    let values = [total, added, changed, absent].map(|count| Value::from(count.cast_signed()));
    let [total, added, changed, absent] = values;
    tx.execute(START, &[import.into(), total, added, changed, absent])?;
    tx.record(Entry::RosterImportStarted { import: import.unsigned_abs(), source, counts });
    Ok(())
}

/// Throws a part of an import away whose rows were not applied; says whether something is left of it.
///
/// # Errors
/// The database fails.
pub(crate) fn throw_away(tx: &mut dyn AdminTx, import: i64) -> Step<bool> {
    // The row stays, so that no other import gets its number.
    if tx.note_progress(GIVE_UP, &[import.into()])? == 0 {
        return Ok(false);
    }
    let Some(first) = tx.query(PORTION, &[import.into()])?.first().map(|row| row.int(0)).transpose()? else {
        tx.note_progress(GIVEN_UP, &[import.into()])?;
        return Ok(false);
    };
    tx.note_progress(STAGED, &[import.into(), (first + THROWN_AWAY - 1).into()])?;
    Ok(true)
}

/// Applies one portion, or finishes the import if none is left; says whether something is left of it. `identifies` says whether an
/// identifier is of one machine, and no placeholder.
///
/// # Errors
/// The database fails.
pub(crate) fn apply(
    tx: &mut dyn AdminTx,
    import: i64,
    identifies: &dyn Fn(&Identifier) -> bool,
    now: Timestamp,
) -> Step<bool> {
    let Some((name, counts)) = get(tx, import, APPLYING)? else { return Ok(false) };
    let source = put_source(tx, &name, now)?;
    let rows = tx.query(PORTION, &[import.into()])?;
    let Some(row) = rows.first() else {
        tx.execute(FINISH, &[import.into()])?;
        tx.record(Entry::RosterImported { import: import.unsigned_abs(), source: name, counts });
        return Ok(false);
    };
    let (no, portion) = (row.int(0)?, Portion::read(row.blob(1)?)?);
    let mut moves = Moves::new(now);
    match portion {
        Portion::Rows(rows) => apply_rows(tx, source, &rows, identifies, &mut moves)?,
        Portion::Absent(records) => close(tx, &records, &mut moves, now)?,
    }
    moves.finish(tx)?;
    tx.note_progress(APPLIED, &[import.into(), no.into()])?;
    Ok(true)
}

/// Rows with their keys, their digests, and the records that the source has under these keys.
struct Keyed<'r> {
    row: &'r RosterRow,
    key: ShortDigest,
    digest: ShortDigest,
    record: Option<Record>,
}

fn apply_rows(
    tx: &mut dyn AdminTx,
    source: i64,
    rows: &[RosterRow],
    identifies: &dyn Fn(&Identifier) -> bool,
    moves: &mut Moves,
) -> Step<()> {
    let digests: Vec<_> = rows.iter().map(digests).collect();
    let keys: Vec<ShortDigest> = digests.iter().map(|(key, _)| *key).collect();
    let records = records::by_keys(tx, source, &keys)?;
    let keyed: Vec<Keyed<'_>> = rows
        .iter()
        .zip(digests)
        .zip(records)
        .map(|((row, (key, digest)), record)| Keyed { row, key, digest, record })
        .collect();
    let mut changed = BTreeSet::new();
    let new: Vec<&Keyed<'_>> = keyed.iter().filter(|keyed| keyed.record.is_none()).collect();
    let mut known = known_entries(tx, source, &new, identifies)?;
    let (mut last_entry, mut last_record) = (number(tx, LAST_ENTRY)?, number(tx, LAST_RECORD)?);
    for Keyed { row, key, digest, record } in &keyed {
        match record {
            Some(record) if record.digest == *digest && !record.is_closed => {}
            Some(record) => {
                records::change(tx, record, *digest, row)?;
                changed.insert(record.entry);
            }
            None => {
                let identifiers = row.identifiers().into_iter().filter(|one| identifies(one)).collect();
                let entry = match entry_of(&identifiers, &known) {
                    Some(entry) => entry,
                    None => {
                        last_entry += 1;
                        moves.create(tx, last_entry, &records::described(std::iter::once(*row)))?;
                        last_entry
                    }
                };
                // One entry has at most one record of a source.
                if let Some(known) = known.get_mut(&entry) {
                    known.has_source = true;
                }
                last_record += 1;
                let new = NewRecord { no: last_record, source, entry, key: *key, digest: *digest, row };
                records::add(tx, &new)?;
                changed.insert(entry);
            }
        }
    }
    // What identified one entry alone may now identify several, or the other way round.
    let mut identifiers: BTreeSet<Identifier> = BTreeSet::new();
    for Keyed { row, record, .. } in &keyed {
        let before = record.as_ref().map(|record| record.row.identifiers()).unwrap_or_default();
        let now = row.identifiers();
        identifiers.extend(now.symmetric_difference(&before).filter(|one| one.kind.is_certain()).cloned());
    }
    let neighbours = pending::entries_with(tx, &identifiers)?.into_values().flatten();
    let noted: BTreeSet<i64> = changed.iter().copied().chain(neighbours).collect();
    describe(tx, &changed, moves)?;
    pending::note(tx, &noted)
}

/// The open entries that share an identifier with new rows.
fn known_entries(
    tx: &mut dyn AdminTx,
    source: i64,
    new: &[&Keyed<'_>],
    identifies: &dyn Fn(&Identifier) -> bool,
) -> Step<BTreeMap<i64, EntryKnown>> {
    let identifiers = new.iter().flat_map(|keyed| keyed.row.identifiers()).filter(|one| identifies(one));
    let identifiers = identifiers.flat_map(|one| std::iter::once(one.clone()).chain(one.swapped())).collect();
    let found = pending::entries_with(tx, &identifiers)?.into_values();
    let entries: BTreeSet<i64> = found.filter(|entries| entries.len() < pending::COMMON).flatten().collect();
    let entries: Vec<i64> = entries.into_iter().collect();
    let identifiers = records::identifiers(tx, &entries)?;
    let mut known = BTreeMap::new();
    for (entry, records) in records::of_entries(tx, &entries)? {
        let identifiers =
            identifiers.get(&entry).into_iter().flatten().filter(|one| identifies(one)).cloned().collect();
        let has_source = records.iter().any(|record| record.source_no == source && record.closed.is_none());
        known.insert(entry, EntryKnown { identifiers, has_source });
    }
    Ok(known)
}

/// Writes what the open records say of entries. An entry without one is closed, and a closed one with one is open again.
fn describe(tx: &mut dyn AdminTx, entries: &BTreeSet<i64>, moves: &mut Moves) -> Step<()> {
    let numbers: Vec<i64> = entries.iter().copied().collect();
    let (rows, all) = (moves::load(tx, &numbers)?, records::of_entries(tx, &numbers)?);
    let mut unmatched = Vec::new();
    for (no, row) in &rows {
        let open: Vec<&RosterRow> = all
            .get(no)
            .into_iter()
            .flatten()
            .filter(|record| record.closed.is_none())
            .map(|record| &record.row)
            .collect();
        if open.is_empty() {
            unmatched.extend(row.host.map(|host| (*no, host)));
            moves.put(tx, row, Place::without(EntryState::Closed))?;
            continue;
        }
        moves.describe(tx, row, &records::described(open.into_iter()))?;
        if row.state == EntryState::Closed {
            let row = moves::load(tx, &[*no])?.remove(no).ok_or_else(gone)?;
            moves.put(tx, &row, Place::without(EntryState::Missing))?;
        }
    }
    pending::record_unmatched(tx, &unmatched)
}

fn close(tx: &mut dyn AdminTx, absent: &[i64], moves: &mut Moves, now: Timestamp) -> Step<()> {
    let lists: Vec<Vec<Value<'_>>> = absent.iter().map(|no| vec![(*no).into()]).collect();
    let found = tx.query_each(ENTRY_OF_RECORD, &lists)?;
    let entries: BTreeSet<i64> = found.iter().flatten().map(|row| row.int(0)).collect::<Step<_>>()?;
    let numbers: Vec<i64> = entries.iter().copied().collect();
    let mut identifiers: BTreeSet<Identifier> = BTreeSet::new();
    for (entry, records) in records::of_entries(tx, &numbers)? {
        for record in records.iter().filter(|record| absent.contains(&record.no) && record.closed.is_none()) {
            identifiers.extend(record.row.identifiers().into_iter().filter(|one| one.kind.is_certain()));
            records::close(tx, record, entry, now)?;
        }
    }
    let neighbours = pending::entries_with(tx, &identifiers)?.into_values().flatten();
    let noted: BTreeSet<i64> = entries.iter().copied().chain(neighbours).collect();
    describe(tx, &entries, moves)?;
    pending::note(tx, &noted)
}

/// The source of an import, and what it changes.
fn get(tx: &mut dyn AdminTx, import: i64, stage: i64) -> Step<Option<(String, ImportCounts)>> {
    let rows = tx.query(GET, &[import.into(), stage.into()])?;
    let read = |row: &Row| {
        let (total, added, changed, absent) = (row.count(1)?, row.count(2)?, row.count(3)?, row.count(4)?);
        let unchanged = total.saturating_sub(added + changed);
        Ok((row.text(0)?.to_owned(), ImportCounts { added, changed, unchanged, absent }))
    };
    rows.first().map(read).transpose()
}

fn gone() -> StoreFault {
    StoreFault::Other("the import is no longer there: no rows came for more than a minute".to_owned())
}

fn source_no(tx: &mut dyn AdminTx, name: &str) -> Step<Option<i64>> {
    tx.query(SOURCE, &[name.into()])?.first().map(|row| row.int(0)).transpose()
}

fn put_source(tx: &mut dyn AdminTx, name: &str, now: Timestamp) -> Step<i64> {
    let no = match source_no(tx, name)? {
        Some(no) => no,
        None => 1 + number(tx, LAST_SOURCE)?,
    };
    tx.note_progress(ADD_SOURCE, &[no.into(), name.into(), now.into()])?;
    Ok(no)
}

fn number(tx: &mut dyn AdminTx, sql: &'static str) -> Step<i64> {
    tx.query(sql, &[])?.first().map_or(Ok(0), |row| row.int(0))
}
