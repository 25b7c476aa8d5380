//! The dictionary of editions: in memory, and in the tables `edition`, `title` and `version`.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use muster_proto::canonical::ObservationView;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};

use super::super::fault::{Step, StoreFault};
use super::utf8;
use crate::store::arena::Arena;
use crate::store::edition_detail::{Detail, Id, Title, split, text_of, write_title_of};
use crate::store::edition_search::EditionSearch;
use crate::store::edition_table::EditionTable;
use crate::store::number_set::NumberSet;
use crate::store::{EditionTotals, HeldBack};

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct EditionDictionary(RwLock<SavedEditions>);

#[derive(Debug, Default)]
struct SavedEditions {
    table: EditionTable,
    /// Editions up to this number are stored in the file.
    saved: u32,
    /// As are titles up to this one.
    saved_titles: u32,
    /// How often editions were forgotten.
    epoch: u64,
    /// Titles that were forgotten and whose rows may still be in the file.
    titles_to_remove: BTreeSet<u32>,
}

/// An edition that is to be stored.
struct NewEdition {
    number: u32,
    title: u32,
    text: Vec<u8>,
}

/// What is to be stored: titles with their numbers, editions, and the last numbers of both.
struct NewTexts {
    titles: Vec<(u32, Vec<u8>)>,
    editions: Vec<NewEdition>,
    last: (u32, u32),
}

impl EditionDictionary {
    /// The numbers of the editions of these observations; new editions are added. Takes one lock for all of them, and
    /// no other lock at the same time: two threads that each hold a read lock and wait for the other's dictionary
    /// deadlock if writers wait for both. If `admit` refuses what is new, nothing is added. Also returns the epoch in which the
    /// first of them were found.
    pub(super) fn numbers(
        &self,
        platform: u8,
        observations: &[ObservationView<'_>],
        admit: impl FnOnce(EditionTotals, EditionTotals) -> Result<(), HeldBack>,
    ) -> Result<(Vec<u32>, u64), HeldBack> {
        let (mut found, epoch) = {
            let editions = self.read();
            (editions.table.editions(platform, observations), editions.epoch)
        };
        if found.iter().any(|found| found.number == 0) {
            let table = &mut self.write().table;
            // Counted under the write lock: of several threads, each sees what the others have added.
            let new = table.new_editions(platform, observations, &mut found);
            admit(table.totals(), new)?;
            for (found, seen) in found.iter_mut().zip(observations).filter(|(found, _)| found.number == 0) {
                // An earlier observation of this section may have added it since.
                found.number = table.number(&text_of(platform, seen)).unwrap_or_default();
            }
        }
        Ok((found.into_iter().map(|found| found.number).collect(), epoch))
    }

    pub(super) fn epoch(&self) -> u64 {
        self.read().epoch
    }

    pub(super) fn forget(&self, editions: &[u32]) {
        let saved = &mut *self.write();
        saved.epoch += 1;
        editions.iter().for_each(|edition| saved.table.forget(*edition));
    }

    /// Forgets the titles that no edition has, and returns the numbers of those that may be in the file.
    pub(super) fn forget_titles(&self) -> Vec<u32> {
        let SavedEditions { table, saved_titles, titles_to_remove, .. } = &mut *self.write();
        let in_use = table.titles_in_use();
        let is_unused = |title: &u32| !in_use.contains(i64::from(*title)) && table.has_title(*title);
        let unused: Vec<u32> = (1..=*saved_titles).filter(is_unused).collect();
        unused.iter().for_each(|title| table.title_forget(*title));
        titles_to_remove.extend(unused);
        titles_to_remove.iter().copied().collect()
    }

    /// The rows of these titles were removed.
    pub(super) fn titles_removed(&self, titles: &[u32]) {
        let to_remove = &mut self.write().titles_to_remove;
        to_remove.retain(|title| !titles.contains(title));
    }

    /// The text of an edition without the platform.
    pub(super) fn edition(&self, number: u32) -> Option<Vec<u8>> {
        self.read().table.edition(number)
    }

    /// What it holds, and the bytes of memory that it takes.
    pub(super) fn size(&self) -> (EditionTotals, usize) {
        let editions = self.read();
        (editions.table.totals(), editions.table.heap_bytes())
    }

    /// One step of a search; returns whether anything is left.
    pub(super) fn search_step(&self, search: &mut EditionSearch<'_>) -> Step<bool> {
        search.step(&self.read().table)
    }

    /// The numbers up to which editions and titles are stored in the file.
    pub(super) fn saved(&self) -> (u32, u32) {
        let editions = self.read();
        (editions.saved, editions.saved_titles)
    }

    pub(super) fn set_saved(&self, editions: u32, titles: u32) {
        let saved = &mut *self.write();
        (saved.saved, saved.saved_titles) = (editions, titles);
    }

    /// The titles and editions after these numbers.
    fn after(&self, edition: u32, title: u32) -> NewTexts {
        let table = &self.read().table;
        let last = (table.last(), table.titles().len());
        let titles = (title + 1..=last.1).filter_map(|number| Some((number, table.titles().get(number)?.to_vec())));
        let editions = (edition + 1..=last.0).filter_map(|number| {
            let (title, ..) = table.get(number)?;
            Some(NewEdition { number, title, text: table.text(number)? })
        });
        NewTexts { titles: titles.collect(), editions: editions.collect(), last }
    }

    /// Stores the editions and titles after these numbers, and returns the last numbers.
    pub(super) fn save_since(&self, sql: &Connection, edition: u32, title: u32) -> Step<(u32, u32)> {
        let NewTexts { titles, editions, last } = self.after(edition, title);
        // Editions refer to titles and versions, so those rows are written first.
        for (number, title) in titles {
            let Some(Title { platform, kind, name, vendor }) = Title::read(&title) else {
                return Err(StoreFault::damaged(format!("title {number}"), "its text in memory is not readable"));
            };
            sql.prepare_cached("INSERT INTO title (no, platform, kind, name, vendor) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((number, platform, kind, name, vendor))?;
        }
        for NewEdition { number, title, text } in editions {
            let Some((_, Detail { id, state, version })) = split(&text) else {
                return Err(StoreFault::damaged(format!("edition {number}"), "its text in memory is not readable"));
            };
            let version = version_number(sql, utf8(version)?)?;
            let from_name = matches!(id, Id::AfterName(_));
            sql.prepare_cached(
                "INSERT INTO edition (no, title, version, from_name, id, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((number, title, version, from_name, StoredId(id), utf8(state)?))?;
        }
        Ok(last)
    }

    /// Loads the tables. Numbers of editions were given up to this one.
    pub(super) fn load(&self, sql: &Connection, last: i64) -> Step<()> {
        let SavedEditions { table, saved, saved_titles, epoch: _, titles_to_remove } = &mut *self.write();
        *titles_to_remove = load_titles(sql, table)?;
        // Joining the tables for each of millions of editions takes longer than holding the versions for a moment.
        let versions = Versions::load(sql)?;
        table.reserve(last_number(sql, "SELECT max(no) FROM edition")?);
        let mut statement = sql.prepare("SELECT no, title, version, from_name, id, state FROM edition ORDER BY no")?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            // A missing row leaves a gap; `check` reports it if something refers to it.
            table.skip_to(found.get(0)?);
            load_edition(found, table, &versions)?;
        }
        // Editions with the last numbers may have been removed.
        table.skip_to(u32::try_from(last + 1).unwrap_or(u32::MAX));
        table.shrink();
        (*saved, *saved_titles) = (table.last(), table.titles().len());
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, SavedEditions> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, SavedEditions> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a version, which gets a row if it is new.
fn version_number(sql: &Connection, text: &str) -> Step<i64> {
    let find = "SELECT no FROM version WHERE text = ?1";
    if let Some(number) = sql.prepare_cached(find)?.query_row([text], |row| row.get(0)).optional()? {
        return Ok(number);
    }
    sql.prepare_cached("INSERT INTO version (text) VALUES (?1)")?.execute([text])?;
    Ok(sql.last_insert_rowid())
}

/// The greatest number of a table, which is about the number of its rows.
fn last_number(sql: &Connection, find: &str) -> Step<usize> {
    let last: Option<u32> = sql.query_row(find, [], |row| row.get(0))?;
    Ok(last.unwrap_or_default() as usize)
}

/// Loads the titles. Returns those that have a row and were forgotten.
fn load_titles(sql: &Connection, table: &mut EditionTable) -> Step<BTreeSet<u32>> {
    let mut forgotten = BTreeSet::new();
    table.titles_reserve(last_number(sql, "SELECT max(no) FROM title")?);
    let mut statement = sql.prepare("SELECT no, platform, kind, name, vendor FROM title ORDER BY no")?;
    let (mut rows, mut title) = (statement.query([])?, Vec::new());
    while let Some(found) = rows.next()? {
        write_title_of(found.get(1)?, found.get(2)?, bytes_of(found, 3)?, bytes_of(found, 4)?, &mut title);
        forgotten.extend(table.title_load(found.get(0)?, &title));
    }
    Ok(forgotten)
}

/// The versions by their numbers. One may be empty, so the numbers that have a row are known apart.
#[derive(Default)]
struct Versions {
    texts: Arena,
    numbers: NumberSet,
}

impl Versions {
    fn load(sql: &Connection) -> Step<Self> {
        let mut versions = Self::default();
        let mut statement = sql.prepare("SELECT no, text FROM version ORDER BY no")?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let number: u32 = found.get(0)?;
            versions.texts.skip_to(number);
            versions.texts.push(bytes_of(found, 1)?);
            versions.numbers.insert(i64::from(number));
        }
        Ok(versions)
    }

    fn get(&self, number: u32) -> Option<&[u8]> {
        self.texts.get(number).filter(|_| self.numbers.contains(i64::from(number)))
    }
}

fn load_edition(found: &Row<'_>, table: &mut EditionTable, versions: &Versions) -> Step<()> {
    let what = || format!("edition {}", found.get::<_, i64>(0).unwrap_or_default());
    let missing = |part: &str| StoreFault::damaged(what(), format!("its {part} is not there"));
    let title = found.get(1)?;
    if table.titles().get(title).is_none_or(<[u8]>::is_empty) {
        return Err(missing("title"));
    }
    let version = versions.get(found.get(2)?).ok_or_else(|| missing("version"))?;
    let id = stored_id(&what, found.get(3)?, found.get_ref(4)?)?;
    table.put(title, &Detail { id, state: bytes_of(found, 5)?, version });
    Ok(())
}

/// The bytes of a text in a row. SQLite does not check that they are UTF-8. They are checked where they become strings.
fn bytes_of<'r>(found: &'r Row<'_>, column: usize) -> Step<&'r [u8]> {
    Ok(found.get_ref(column)?.as_bytes().map_err(rusqlite::Error::from)?)
}

/// The id of an edition from its row.
pub(super) fn stored_id<'r>(what: &dyn Fn() -> String, from_name: bool, stored: ValueRef<'r>) -> Step<Id<'r>> {
    match stored {
        ValueRef::Null => Ok(Id::None),
        // Only product codes are stored as blobs.
        ValueRef::Blob(code) => {
            code.try_into().map(Id::Code).map_err(|_| StoreFault::damaged(what(), "its id is no product code"))
        }
        ValueRef::Text(text) => Ok(if from_name { Id::AfterName(text) } else { Id::Text(text) }),
        ValueRef::Integer(_) | ValueRef::Real(_) => Err(StoreFault::damaged(what(), "its id is no text")),
    }
}

/// An id as its column has it.
struct StoredId<'a>(Id<'a>);

impl ToSql for StoredId<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match &self.0 {
            Id::None => ValueRef::Null,
            Id::Text(text) | Id::AfterName(text) => ValueRef::Text(text),
            Id::Code(code) => ValueRef::Blob(code),
        }))
    }
}
