//! The dictionaries of editions and phrases. They are in memory as a whole; a text gets its number before the writer is
//! involved. Of titles and versions, of which rows of editions are made, only the numbers are in memory.
//!
//! Numbers grow by one. The writer begins every transaction by storing the texts that no transaction has stored yet, so
//! a row that refers to a number is never committed before the text. If a transaction fails, its texts are stored by
//! the next one. Only one process serves a file, so nobody else assigns numbers.

mod product_code;
mod row_numbers;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use muster_proto::canonical::{Edition, ObservationView};
use muster_proto::model::{Kind, Platform};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, ToSql};

use self::row_numbers::RowNumbers;
use super::fault::{Step, StoreFault};
use super::row;
use crate::store::body::Lookup;
use crate::store::edition_bounds::EditionBound;
use crate::store::software::{self, Editions, Wanted};
use crate::store::texts::{Texts, is_edition};
use crate::store::{Allowance, EditionLevel, EditionTotals, HeldBack, SoftwareQuery};

/// All dictionaries of a file.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    editions: Dictionary,
    /// Titles and versions, to which the rows of editions refer.
    titles: RowNumbers,
    versions: RowNumbers,
    pub(super) phrases: Dictionary,
    bound: EditionBound,
}

/// One dictionary: texts with numbers.
#[derive(Debug, Default)]
pub(super) struct Dictionary(RwLock<SavedTexts>);

#[derive(Debug, Default)]
struct SavedTexts {
    texts: Texts,
    /// Texts up to this number are stored in the file.
    saved: u32,
}

impl Dictionary {
    /// The number of a text, which is added if it is new.
    fn number(&self, text: &[u8]) -> u32 {
        let saved = self.read();
        let hash = saved.texts.hash(text);
        let found = saved.texts.find_by(hash, |known| known == text);
        // The read lock must be free before the write lock is taken, or this thread would wait for itself.
        drop(saved);
        found.unwrap_or_else(|| {
            let texts = &mut self.write().texts;
            // Another thread may have added it between the two locks.
            texts.find_by(hash, |known| known == text).unwrap_or_else(|| texts.add(hash, &[text]))
        })
    }

    /// The numbers of the editions of these observations; new editions are added. Takes one lock for all of them, and
    /// no other lock at the same time: two threads that each hold a read lock and wait for the other's dictionary
    /// deadlock if writers wait for both. If `admit` refuses what is new, nothing is added.
    fn numbers(
        &self,
        platform: u8,
        observations: &[ObservationView<'_>],
        admit: impl FnOnce(EditionTotals, EditionTotals) -> Result<(), HeldBack>,
    ) -> Result<Vec<u32>, HeldBack> {
        let mut found = self.read().texts.editions(platform, observations);
        if found.iter().any(|(_, number)| *number == 0) {
            let texts = &mut self.write().texts;
            // Counted under the write lock: of several threads, each sees what the others have added.
            let new = texts.new_editions(platform, observations, &mut found);
            admit(texts.totals(), new)?;
            for ((hash, number), seen) in found.iter_mut().zip(observations).filter(|((_, number), _)| *number == 0) {
                // An earlier observation of this section may have added it since.
                let known = texts.find_by(*hash, |known| is_edition(platform, seen, known));
                *number =
                    known.unwrap_or_else(|| texts.add(*hash, &[&[platform], seen.edition, seen.state.as_bytes()]));
            }
        }
        Ok(found.into_iter().map(|(_, number)| number).collect())
    }

    /// The text of a number.
    fn text(&self, number: i64) -> Option<Vec<u8>> {
        self.read().texts.get(u32::try_from(number).ok()?).map(<[u8]>::to_vec)
    }

    /// The text of a number, as a string.
    pub(super) fn words(&self, number: i64) -> Step<String> {
        let found = self.text(number).and_then(|bytes| String::from_utf8(bytes).ok());
        found.ok_or_else(|| StoreFault::damaged(format!("phrase {number}"), "it is not there"))
    }

    /// The number up to which texts are stored in the file.
    fn saved_up_to(&self) -> u32 {
        self.read().saved
    }

    /// The texts after this number with their numbers, and the last number.
    fn after(&self, number: u32) -> (Vec<(i64, Vec<u8>)>, u32) {
        let saved = self.read();
        let last = saved.texts.len();
        let row = |number| Some((i64::from(number), saved.texts.get(number)?.to_vec()));
        ((number + 1..=last).filter_map(row).collect(), last)
    }

    fn set_saved(&self, up_to: u32) {
        self.write().saved = up_to;
    }

    fn read(&self) -> RwLockReadGuard<'_, SavedTexts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, SavedTexts> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the rows of the file, which must be ordered by their numbers.
    fn load(&self, sql: &Connection, find: &str, key: impl Fn(&rusqlite::Row<'_>) -> Step<Vec<u8>>) -> Step<()> {
        let SavedTexts { texts, saved } = &mut *self.write();
        let mut statement = sql.prepare(find)?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let number = u32::try_from(found.get::<_, i64>(0)?).unwrap_or(0);
            // A missing row leaves a gap; `check` reports it if something refers to it.
            while texts.len() + 1 < number {
                texts.skip();
            }
            let key = key(found)?;
            texts.add(texts.hash(&key), &[&key]);
        }
        *saved = texts.len();
        Ok(())
    }
}

/// The number up to which each dictionary is stored once the transaction is committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved {
    editions: u32,
    titles: u32,
    versions: u32,
    phrases: u32,
}

impl Dictionaries {
    /// Loads all dictionaries of the file.
    pub(super) fn load(sql: &Connection) -> Step<Self> {
        let all = Self::default();
        let text = |found: &rusqlite::Row<'_>| Ok(found.get::<_, String>(1)?.into_bytes());
        // Joining the tables for each of millions of editions takes longer than holding their texts for a moment.
        let titles = Column::load(sql, TITLES, &all.titles, title_of)?;
        let versions = Column::load(sql, "SELECT no, text FROM version ORDER BY no", &all.versions, text)?;
        let find = "SELECT no, title, version, from_name, id, state FROM edition ORDER BY no";
        all.editions.load(sql, find, |found| loaded_edition(found, &titles, &versions))?;
        all.phrases.load(sql, "SELECT no, text FROM phrase ORDER BY no", text)?;
        Ok(all)
    }

    /// Stores, in the open transaction, the texts that no transaction has stored yet.
    pub(super) fn save(&self, sql: &Connection) -> Step<Saved> {
        let (editions, phrases) = (self.editions.saved_up_to(), self.phrases.saved_up_to());
        self.save_since(
            sql,
            Saved { editions, titles: self.titles.saved_up_to(), versions: self.versions.saved_up_to(), phrases },
        )
    }

    /// Stores the texts that came after the same transaction has stored those up to `since`.
    pub(super) fn save_since(&self, sql: &Connection, since: Saved) -> Step<Saved> {
        let (new, editions) = self.editions.after(since.editions);
        let mut rows = Vec::with_capacity(new.len());
        for (number, key) in &new {
            let Some((platform, edition, state)) = software::read(key) else {
                return Err(StoreFault::damaged(format!("edition {number}"), "its key in memory is not readable"));
            };
            let Edition { kind, name, vendor, version, id } = edition;
            let title =
                self.titles.number(&title_key(platform, kind.code(), name, vendor), |no| stored_title(sql, no))?;
            let version = self.versions.number(version.as_bytes(), |no| stored_version(sql, no))?;
            rows.push((number, title, version, Id::of(name, id), state));
        }
        // Editions refer to titles and versions, so those rows are written first.
        let (new, titles) = self.titles.after(since.titles);
        for (number, key) in new {
            let (platform, kind, name, vendor) = read_title_key(&key)?;
            sql.prepare_cached("INSERT INTO title (no, platform, kind, name, vendor) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((number, platform, kind, name, vendor))?;
        }
        let text =
            |text: Vec<u8>| String::from_utf8(text).map_err(|_| StoreFault::damaged("a new text", "it is not UTF-8"));
        let (new, versions) = self.versions.after(since.versions);
        for (number, version) in new {
            sql.prepare_cached("INSERT INTO version (no, text) VALUES (?1, ?2)")?.execute((number, text(version)?))?;
        }
        let make = "INSERT INTO edition (no, title, version, from_name, id, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        for (number, title, version, id, state) in rows {
            sql.prepare_cached(make)?.execute((number, title, version, matches!(id, Id::AfterName(_)), id, state))?;
        }
        let (new, phrases) = self.phrases.after(since.phrases);
        for (number, phrase) in new {
            sql.prepare_cached("INSERT INTO phrase (no, text) VALUES (?1, ?2)")?.execute((number, text(phrase)?))?;
        }
        Ok(Saved { editions, titles, versions, phrases })
    }

    /// Notes that the transaction was committed.
    pub(super) fn saved(&self, saved: Saved) {
        self.editions.set_saved(saved.editions);
        self.titles.set_saved(saved.titles);
        self.versions.set_saved(saved.versions);
        self.phrases.set_saved(saved.phrases);
    }

    /// The number of a phrase, which is added if it is new.
    pub(super) fn phrase(&self, text: &str) -> i64 {
        i64::from(self.phrases.number(text.as_bytes()))
    }

    /// The editions that match a search.
    pub(super) fn search(&self, query: &SoftwareQuery) -> Step<Editions> {
        let text = Wanted::new(&query.text)?;
        let (mut found, mut from) = (Editions::new(), 0);
        loop {
            // The lock is free between two steps, because deliveries add editions under it.
            let step = self.editions.read().texts.search(from, &text, query, &mut found)?;
            match step {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
    }

    /// The numbers of the editions of these observations; new editions are added, unless they exceed the bound or the
    /// allowance.
    pub(super) fn editions(
        &self,
        platform: Platform,
        observations: &[ObservationView<'_>],
        allowance: &Allowance,
    ) -> Result<Vec<u32>, HeldBack> {
        let admit = |held, new| self.bound.admit(held, new, allowance);
        self.editions.numbers(platform.code(), observations, admit)
    }

    /// How many editions there may be.
    pub(super) const fn bound(&self) -> &EditionBound {
        &self.bound
    }

    /// How many editions there are.
    pub(super) fn level(&self) -> EditionLevel {
        self.bound.level(self.editions.read().texts.totals())
    }
}

impl Lookup for &Dictionaries {
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
        let key = self.editions.text(number);
        // The first byte is the platform, which is no part of the edition.
        Ok(key.and_then(|key| key.split_first().map(|(_, edition)| edition.to_vec())))
    }
}

/// Finds editions in the table and not in memory: for the check, which trusts only the file.
pub(super) struct Table<'a>(pub(super) &'a Connection);

impl Lookup for Table<'_> {
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
        let find = format!("{EDITIONS} WHERE e.no = ?1");
        let found = self.0.prepare_cached(&find)?.query_row([number], |row| Ok(edition_bytes(row))).optional()?;
        found.transpose()
    }
}

/// The columns that [`edition_bytes`] reads; the first two are number and platform.
const EDITIONS: &str = "SELECT e.no, t.platform, t.kind, t.name, t.vendor, v.text, e.from_name, e.id, e.state
    FROM edition e JOIN title t ON t.no = e.title JOIN version v ON v.no = e.version";

fn edition_bytes(found: &rusqlite::Row<'_>) -> Step<Vec<u8>> {
    let (name, vendor, version): (String, String, String) = (found.get(3)?, found.get(4)?, found.get(5)?);
    let what = || format!("edition {}", found.get::<_, i64>(0).unwrap_or_default());
    let kind = row::member(&what(), Kind::from_code, found, 2)?;
    let id = id_of(&what, &name, found.get(6)?, found.get_ref(7)?)?;
    let mut bytes = Edition { kind, name: &name, vendor: &vendor, version: &version, id: &id }.to_bytes();
    bytes.extend_from_slice(found.get::<_, String>(8)?.as_bytes());
    Ok(bytes)
}

/// The id of an edition from its row.
fn id_of(what: &dyn Fn() -> String, name: &str, from_name: bool, stored: ValueRef<'_>) -> Step<String> {
    match stored {
        ValueRef::Null => Ok(String::new()),
        // Only product codes are stored as blobs.
        ValueRef::Blob(code) if code.len() == 16 => Ok(product_code::spelled(code)),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| StoreFault::damaged(what(), "its id is not UTF-8"))?;
            Ok(if from_name { format!("{name}{text}") } else { text.to_owned() })
        }
        ValueRef::Blob(_) | ValueRef::Integer(_) | ValueRef::Real(_) => {
            Err(StoreFault::damaged(what(), "its id is none"))
        }
    }
}

const TITLES: &str = "SELECT no, platform, kind, name, vendor FROM title ORDER BY no";

/// The texts of a table, while editions are loaded.
#[derive(Default)]
struct Column {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Column {
    /// Reads a table, whose rows must be ordered by their numbers, and notes the numbers.
    fn load(
        sql: &Connection,
        find: &str,
        numbers: &RowNumbers,
        text: impl Fn(&rusqlite::Row<'_>) -> Step<Vec<u8>>,
    ) -> Step<Self> {
        let mut column = Self::default();
        let mut statement = sql.prepare(find)?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let number: u32 = found.get(0)?;
            // A missing row leaves a gap, as in the dictionary of editions.
            while column.ends.len() + 1 < number as usize {
                column.ends.push(column.bytes.len());
            }
            let text = text(found)?;
            numbers.load(number, &text);
            column.bytes.extend_from_slice(&text);
            column.ends.push(column.bytes.len());
        }
        Ok(column)
    }

    fn get(&self, number: u32) -> Option<&[u8]> {
        let at = (number as usize).checked_sub(1)?;
        let end = *self.ends.get(at)?;
        Some(&self.bytes[at.checked_sub(1).map_or(0, |before| self.ends[before])..end])
    }
}

/// An edition as the dictionary has it, from its row and the texts of its title and version.
fn loaded_edition(found: &rusqlite::Row<'_>, titles: &Column, versions: &Column) -> Step<Vec<u8>> {
    let what = || format!("edition {}", found.get::<_, i64>(0).unwrap_or_default());
    let missing = |part: &str| StoreFault::damaged(what(), format!("its {part} is not there"));
    let title = titles.get(found.get(1)?).ok_or_else(|| missing("title"))?;
    let (platform, kind, name, vendor) = read_title_key(title)?;
    let kind = Kind::from_code(kind).ok_or_else(|| StoreFault::damaged(what(), format!("kind {kind} is unknown")))?;
    let version = versions.get(found.get(2)?).and_then(|text| std::str::from_utf8(text).ok());
    let version = version.ok_or_else(|| missing("version"))?;
    let id = id_of(&what, name, found.get(3)?, found.get_ref(4)?)?;
    let mut bytes = vec![platform];
    bytes.extend_from_slice(&Edition { kind, name, vendor, version, id: &id }.to_bytes());
    bytes.extend_from_slice(found.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?.as_bytes());
    Ok(bytes)
}

fn title_of(found: &rusqlite::Row<'_>) -> Step<Vec<u8>> {
    let (name, vendor): (String, String) = (found.get(3)?, found.get(4)?);
    Ok(title_key(found.get(1)?, found.get(2)?, &name, &vendor))
}

fn stored_title(sql: &Connection, number: u32) -> Step<Option<Vec<u8>>> {
    let find = "SELECT no, platform, kind, name, vendor FROM title WHERE no = ?1";
    sql.prepare_cached(find)?.query_row([number], |row| Ok(title_of(row))).optional()?.transpose()
}

fn stored_version(sql: &Connection, number: u32) -> Step<Option<Vec<u8>>> {
    let find = "SELECT text FROM version WHERE no = ?1";
    let found: Option<String> = sql.prepare_cached(find)?.query_row([number], |row| row.get(0)).optional()?;
    Ok(found.map(String::into_bytes))
}

/// How the id of an edition is stored.
enum Id<'a> {
    None,
    Text(&'a str),
    AfterName(&'a str),
    Code([u8; 16]),
}

impl<'a> Id<'a> {
    fn of(name: &str, id: &'a str) -> Self {
        if let Some(code) = product_code::code(id) {
            return Self::Code(code);
        }
        match id.strip_prefix(name) {
            // An empty id is tested first, because `strip_prefix` matches it if the name is empty too.
            _ if id.is_empty() => Self::None,
            Some(rest) if !name.is_empty() => Self::AfterName(rest),
            _ => Self::Text(id),
        }
    }
}

impl ToSql for Id<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::None => ValueRef::Null,
            Self::Text(text) | Self::AfterName(text) => ValueRef::Text(text.as_bytes()),
            Self::Code(code) => ValueRef::Blob(code),
        }))
    }
}

/// A title as one byte string: platform, kind, length of the name, name, vendor.
fn title_key(platform: u8, kind: u8, name: &str, vendor: &str) -> Vec<u8> {
    // The length keeps name and vendor apart, so that two titles cannot have the same key.
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[platform, kind], length.as_slice(), name.as_bytes(), vendor.as_bytes()].concat()
}

fn read_title_key(key: &[u8]) -> Step<(u8, u8, &str, &str)> {
    let read = || {
        let [platform, kind, rest @ ..] = key else { return None };
        let (length, texts) = rest.split_first_chunk::<4>()?;
        let (name, vendor) = texts.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some((*platform, *kind, std::str::from_utf8(name).ok()?, std::str::from_utf8(vendor).ok()?))
    };
    read().ok_or_else(|| StoreFault::damaged("a title", "its key in memory is not readable"))
}

#[cfg(test)]
mod tests {
    use muster_proto::canonical::CanonicalSection;
    use muster_proto::model::{Observation, Section, SourceName};

    use super::*;

    #[test]
    fn a_text_has_one_number_and_a_number_one_text() {
        let dictionary = Dictionary::default();
        let numbers: Vec<u32> = (0..1_000).map(|n| dictionary.number(format!("text {}", n % 700).as_bytes())).collect();
        assert_eq!(numbers[..700], (1..=700).collect::<Vec<u32>>());
        assert_eq!(numbers[700..], (1..=300).collect::<Vec<u32>>());
        assert_eq!(dictionary.text(42), Some(b"text 41".to_vec()));
        assert_eq!((dictionary.text(0), dictionary.text(701), dictionary.text(-1)), (None, None, None));
    }

    fn free() -> Allowance {
        Allowance::unlimited()
    }

    fn section(names: impl Iterator<Item = String>) -> CanonicalSection {
        let observations = names.map(|name| Observation { version: name.clone(), ..Observation::new(Kind::Deb, name) });
        CanonicalSection::from(&Section::new(Platform::Linux, SourceName::Dpkg, observations.collect()))
    }

    #[test]
    fn an_edition_has_one_number_on_a_platform_also_when_many_ask_at_once() {
        let all = std::sync::Arc::new(Dictionaries::default());
        let (done, finished) = std::sync::mpsc::channel();
        for thread in 0..8_u32 {
            let (all, done) = (std::sync::Arc::clone(&all), done.clone());
            std::thread::spawn(move || {
                for round in 0..200 {
                    let section = section((0..20).map(|n| format!("{}", thread * 7 + round * 3 + n)));
                    let observations = section.observations();
                    let numbers = all.editions(Platform::Linux, &observations, &free()).expect("no bound");
                    all.phrase(&format!("{round}"));
                    for (number, seen) in numbers.iter().zip(&observations) {
                        let kept = all.editions.text(i64::from(*number)).expect("is there");
                        assert_eq!(kept.split_first(), Some((&Platform::Linux.code(), seen.edition)));
                    }
                }
                done.send(()).expect("told");
            });
        }
        for _ in 0..8 {
            finished.recv_timeout(std::time::Duration::from_secs(30)).expect("nobody waits for ever");
        }
        let section = section((0..100).map(|n| n.to_string()));
        let observations = section.observations();
        let here = all.editions(Platform::Linux, &observations, &free()).expect("no bound");
        assert_eq!(here, all.editions(Platform::Linux, &observations, &free()).expect("no bound"), "the same again");
        assert_eq!(here.iter().collect::<std::collections::BTreeSet<_>>().len(), 100, "no two have one number");
        let there = all.editions(Platform::Windows, &observations, &free()).expect("no bound");
        assert!(here.iter().all(|number| !there.contains(number)), "another platform, another edition");
    }

    #[test]
    fn what_a_lost_transaction_would_have_kept_is_in_the_next_one() {
        let dictionary = Dictionary::default();
        dictionary.number(b"one");
        assert_eq!(dictionary.after(dictionary.saved_up_to()).0, [(1, b"one".to_vec())]);
        dictionary.number(b"two");
        let (again, up_to) = dictionary.after(dictionary.saved_up_to());
        assert_eq!((again.len(), up_to), (2, 2), "nothing was saved");
        dictionary.set_saved(up_to);
        dictionary.number(b"three");
        assert_eq!(dictionary.after(dictionary.saved_up_to()).0, [(3, b"three".to_vec())]);
    }

    #[test]
    fn editions_are_written_and_read_again_with_ids_of_every_form() {
        let observation = |name: &str, id: &str| Observation {
            state: if id.is_empty() { String::new() } else { "rc".to_owned() },
            vendor: "Vendor".to_owned(),
            id: id.to_owned(),
            version: "1.0".to_owned(),
            ..Observation::new(Kind::Deb, name)
        };
        let ids = [
            "",
            "curl",
            "curl:amd64",
            "{0123ABCD-4567-89EF-0011-223344556677}",
            "{0123abcd-4567-89EF-0011-223344556677}",
        ];
        let observations =
            ids.map(|id| observation("curl", id)).into_iter().chain([observation("", "x"), observation("a", "bc")]);
        let section = Section::new(Platform::Linux, SourceName::Dpkg, observations.collect());
        let section = CanonicalSection::from(&section);
        let seen = section.observations();
        let all = Dictionaries::default();
        let numbers = all.editions(Platform::Linux, &seen, &free()).expect("no bound");
        let sql = Connection::open_in_memory().expect("opens");
        sql.execute_batch(include_str!("../../../migrations/sqlite/0001_initial.sql")).expect("makes tables");
        let saved = all.save(&sql).expect("saves");
        all.saved(saved);
        let again = Dictionaries::load(&sql).expect("loads");
        for (number, seen) in numbers.iter().zip(&seen) {
            let from_table = Table(&sql).edition(i64::from(*number)).expect("reads").expect("is there");
            let edition = [seen.edition, seen.state.as_bytes()].concat();
            assert_eq!(from_table, edition);
            assert_eq!((&again).edition(i64::from(*number)).expect("reads"), Some(edition));
        }
        assert_eq!(again.editions(Platform::Linux, &seen, &free()), Ok(numbers), "and none is made again");
        let titles: i64 = sql.query_row("SELECT count(*) FROM title", [], |row| row.get(0)).expect("counts");
        assert_eq!(titles, 3, "a title stands once");
    }
}
