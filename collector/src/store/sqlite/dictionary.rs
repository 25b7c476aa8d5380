//! Titles, versions and phrases, whole in memory: a text is given its number at the door, before the writer has seen it.
//!
//! Numbers grow by one. The writer begins every transaction with the texts that no transaction has kept yet, so a row
//! that names a number is never committed before the text is; when a transaction is lost, its texts are in the next one.
//! One process serves a file, so nobody else gives numbers.

use std::hash::BuildHasher as _;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use hashbrown::{DefaultHashBuilder, HashTable};
use muster_proto::model::{Kind, Platform};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use crate::store::codec::{Dictionary, Lookup, Title};

/// All three.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    pub(super) titles: Shelf,
    pub(super) versions: Shelf,
    pub(super) phrases: Shelf,
}

/// One dictionary: texts by number, numbers by text.
#[derive(Debug, Default)]
pub(super) struct Shelf(RwLock<Texts>);

#[derive(Debug, Default)]
struct Texts {
    /// All texts, one after the other.
    bytes: Vec<u8>,
    /// Where the text of number n ends, at n - 1.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Texts up to this number are in the file.
    saved: usize,
}

impl Texts {
    fn get(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number.checked_sub(1)?)?;
        let start = if number == 1 { 0 } else { self.ends[number - 2] };
        Some(&self.bytes[start..end])
    }

    fn find(&self, text: &[u8]) -> Option<u32> {
        let is_it = |number: &u32| self.get(*number as usize) == Some(text);
        self.numbers.find(self.hasher.hash_one(text), is_it).copied()
    }

    fn add(&mut self, text: &[u8]) -> u32 {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let Self { bytes, ends, numbers, hasher, .. } = self;
        let text_of = |number: &u32| {
            let at = *number as usize - 1;
            let start = if at == 0 { 0 } else { ends[at - 1] };
            &bytes[start..ends[at]]
        };
        numbers.insert_unique(hasher.hash_one(text), number, |other| hasher.hash_one(text_of(other)));
        number
    }
}

impl Shelf {
    /// The number of a text, made when it is new.
    pub(super) fn number(&self, text: &[u8]) -> u32 {
        if let Some(number) = self.read().find(text) {
            return number;
        }
        let mut texts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have been faster between the two locks.
        texts.find(text).unwrap_or_else(|| texts.add(text))
    }

    /// The text of a number.
    pub(super) fn text(&self, number: i64) -> Option<Vec<u8>> {
        self.read().get(usize::try_from(number).ok()?).map(<[u8]>::to_vec)
    }

    /// The text of a number, where it is one that people read.
    pub(super) fn words(&self, number: i64) -> Step<String> {
        let found = self.text(number).and_then(|bytes| String::from_utf8(bytes).ok());
        found.ok_or_else(|| Fault::damaged(format!("phrase {number}"), "it is not there"))
    }

    /// Up to which number the texts are in the file.
    fn kept(&self) -> usize {
        self.read().saved
    }

    /// Texts after this number, with their numbers, and the last of these.
    fn after(&self, number: usize) -> (Vec<(i64, Vec<u8>)>, usize) {
        let texts = self.read();
        let new = number + 1..=texts.ends.len();
        let row = |number| Some((i64::try_from(number).ok()?, texts.get(number)?.to_vec()));
        (new.filter_map(row).collect(), texts.ends.len())
    }

    fn saved(&self, up_to: usize) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).saved = up_to;
    }

    fn read(&self) -> RwLockReadGuard<'_, Texts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what stands in the file; rows come in the order of their numbers.
    fn load(&self, sql: &Connection, find: &str, key: impl Fn(&rusqlite::Row<'_>) -> Step<Vec<u8>>) -> Step<()> {
        let mut texts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut statement = sql.prepare(find)?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let number = usize::try_from(found.get::<_, i64>(0)?).unwrap_or(0);
            // A number without a row stands for nothing; `check` says so where something names it.
            while texts.ends.len() + 1 < number {
                let end = texts.bytes.len();
                texts.ends.push(end);
            }
            texts.add(&key(found)?);
        }
        texts.saved = texts.ends.len();
        Ok(())
    }
}

/// How far each dictionary is in the file once the transaction is committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved {
    titles: usize,
    versions: usize,
    phrases: usize,
}

impl Dictionaries {
    /// Reads what is in the file.
    pub(super) fn load(sql: &Connection) -> Step<Self> {
        let all = Self::default();
        all.titles.load(sql, "SELECT id, platform, kind, name, vendor FROM title ORDER BY id", |row| {
            let (name, vendor): (String, String) = (row.get(3)?, row.get(4)?);
            let mut key = Vec::new();
            title_key(&mut key, row.get(1)?, row.get(2)?, &name, &vendor);
            Ok(key)
        })?;
        let text = |row: &rusqlite::Row<'_>| Ok(row.get::<_, String>(1)?.into_bytes());
        all.versions.load(sql, "SELECT id, text FROM version ORDER BY id", text)?;
        all.phrases.load(sql, "SELECT no, text FROM phrase ORDER BY no", text)?;
        Ok(all)
    }

    /// Writes what no transaction has kept yet into the one that is open.
    pub(super) fn save(&self, sql: &Connection) -> Step<Saved> {
        let saved = Saved { titles: self.titles.kept(), versions: self.versions.kept(), phrases: self.phrases.kept() };
        self.save_since(sql, saved)
    }

    /// Writes what has come since the same transaction has saved so much.
    pub(super) fn save_since(&self, sql: &Connection, since: Saved) -> Step<Saved> {
        let (new, titles) = self.titles.after(since.titles);
        for (number, key) in new {
            let (platform, kind, name, vendor) = read_title_key(&key)?;
            sql.prepare_cached("INSERT INTO title (id, platform, kind, name, vendor) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((number, platform, kind, name, vendor))?;
        }
        let text = |text: Vec<u8>| String::from_utf8(text).map_err(|_| Fault::damaged("a new text", "it is not UTF-8"));
        let (new, versions) = self.versions.after(since.versions);
        for (number, version) in new {
            sql.prepare_cached("INSERT INTO version (id, text) VALUES (?1, ?2)")?.execute((number, text(version)?))?;
        }
        let (new, phrases) = self.phrases.after(since.phrases);
        for (number, phrase) in new {
            sql.prepare_cached("INSERT INTO phrase (no, text) VALUES (?1, ?2)")?.execute((number, text(phrase)?))?;
        }
        Ok(Saved { titles, versions, phrases })
    }

    /// The transaction was committed.
    pub(super) fn saved(&self, saved: Saved) {
        self.titles.saved(saved.titles);
        self.versions.saved(saved.versions);
        self.phrases.saved(saved.phrases);
    }

    /// The number of a phrase, made when it is new.
    pub(super) fn phrase(&self, text: &str) -> i64 {
        i64::from(self.phrases.number(text.as_bytes()))
    }

    /// Gives numbers to what a section holds.
    pub(super) const fn interner(&self) -> Interner<'_> {
        Interner { all: self, key: Vec::new() }
    }
}

/// Gives numbers. It holds no lock between one text and the next: a reader of one dictionary that waits to read the other
/// may, with writers waiting for both, wait for ever.
pub(super) struct Interner<'a> {
    all: &'a Dictionaries,
    key: Vec<u8>,
}

impl Dictionary for Interner<'_> {
    fn title(&mut self, platform: Platform, kind: Kind, name: &str, vendor: &str) -> Step<i64> {
        self.key.clear();
        title_key(&mut self.key, platform.code(), kind.code(), name, vendor);
        Ok(i64::from(self.all.titles.number(&self.key)))
    }

    fn version(&mut self, text: &str) -> Step<i64> {
        Ok(i64::from(self.all.versions.number(text.as_bytes())))
    }
}

impl Lookup for &Dictionaries {
    fn title(&mut self, id: i64) -> Step<Option<Title>> {
        self.titles.text(id).filter(|key| !key.is_empty()).map(|key| title_of(id, &key)).transpose()
    }

    fn version(&mut self, id: i64) -> Step<Option<String>> {
        Ok(self.versions.text(id).and_then(|text| String::from_utf8(text).ok()))
    }
}

/// Finds titles and versions in the tables alone: for a check, which believes the file and not the memory.
pub(super) struct Tables<'a>(pub(super) &'a Connection);

impl Lookup for Tables<'_> {
    fn title(&mut self, id: i64) -> Step<Option<Title>> {
        let find = "SELECT kind, name, vendor FROM title WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u8>(0)?, row.get(1)?, row.get(2)?));
        let found = self.0.prepare_cached(find)?.query_row([id], read).optional()?;
        found.map(|(kind, name, vendor)| Ok(Title { kind: kind_of(id, kind)?, name, vendor })).transpose()
    }

    fn version(&mut self, id: i64) -> Step<Option<String>> {
        let find = "SELECT text FROM version WHERE id = ?1";
        Ok(self.0.prepare_cached(find)?.query_row([id], |row| row.get(0)).optional()?)
    }
}

fn kind_of(id: i64, code: u8) -> Step<Kind> {
    Kind::from_code(code)
        .ok_or_else(|| Fault::damaged(format!("title {id}"), format!("the kind {code} has no meaning")))
}

/// Platform, kind, length of the name, name, vendor: one byte string for one title.
fn title_key(key: &mut Vec<u8>, platform: u8, kind: u8, name: &str, vendor: &str) {
    key.extend_from_slice(&[platform, kind]);
    key.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
    key.extend_from_slice(name.as_bytes());
    key.extend_from_slice(vendor.as_bytes());
}

fn read_title_key(key: &[u8]) -> Step<(u8, u8, &str, &str)> {
    let read = || {
        let [platform, kind, rest @ ..] = key else { return None };
        let (length, texts) = rest.split_first_chunk::<4>()?;
        let (name, vendor) = texts.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some((*platform, *kind, std::str::from_utf8(name).ok()?, std::str::from_utf8(vendor).ok()?))
    };
    read().ok_or_else(|| Fault::damaged("a title", "its key in memory is not readable"))
}

fn title_of(id: i64, key: &[u8]) -> Step<Title> {
    let (_, kind, name, vendor) = read_title_key(key)?;
    Ok(Title { kind: kind_of(id, kind)?, name: name.to_owned(), vendor: vendor.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number_and_a_number_one_text() {
        let shelf = Shelf::default();
        let numbers: Vec<u32> = (0..1_000).map(|n| shelf.number(format!("text {}", n % 700).as_bytes())).collect();
        assert_eq!(numbers[..700], (1..=700).collect::<Vec<u32>>());
        assert_eq!(numbers[700..], (1..=300).collect::<Vec<u32>>());
        assert_eq!(shelf.text(42), Some(b"text 41".to_vec()));
        assert_eq!((shelf.text(0), shelf.text(701), shelf.text(-1)), (None, None, None));
    }

    #[test]
    fn many_that_give_numbers_at_once_do_not_wait_for_each_other() {
        let all = std::sync::Arc::new(Dictionaries::default());
        let (done, finished) = std::sync::mpsc::channel();
        for thread in 0..8_u32 {
            let (all, done) = (std::sync::Arc::clone(&all), done.clone());
            std::thread::spawn(move || {
                for round in 0..200 {
                    let mut interner = all.interner();
                    for n in 0..20 {
                        let text = format!("{}", thread.wrapping_mul(7) + round * 3 + n);
                        interner.title(Platform::Linux, Kind::Deb, &text, "").expect("a number");
                        interner.version(&text).expect("a number");
                    }
                }
                done.send(()).expect("told");
            });
        }
        for _ in 0..8 {
            finished.recv_timeout(std::time::Duration::from_secs(30)).expect("nobody waits for ever");
        }
    }

    #[test]
    fn what_a_lost_transaction_would_have_kept_is_in_the_next_one() {
        let shelf = Shelf::default();
        shelf.number(b"one");
        assert_eq!(shelf.after(shelf.kept()).0, [(1, b"one".to_vec())]);
        shelf.number(b"two");
        let (again, up_to) = shelf.after(shelf.kept());
        assert_eq!((again.len(), up_to), (2, 2), "nothing was saved");
        shelf.saved(up_to);
        shelf.number(b"three");
        assert_eq!(shelf.after(shelf.kept()).0, [(3, b"three".to_vec())]);
    }

    #[test]
    fn name_and_vendor_of_a_title_do_not_run_into_each_other() {
        let mut keys = Vec::new();
        for (name, vendor) in [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")] {
            let mut key = Vec::new();
            title_key(&mut key, 1, 17, name, vendor);
            assert_eq!(read_title_key(&key).expect("reads"), (1, 17, name, vendor));
            assert!(!keys.contains(&key));
            keys.push(key);
        }
    }
}
