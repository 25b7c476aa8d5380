//! Editions and phrases, whole in memory: a text is given its number at the door, before the writer has seen it.
//!
//! Numbers grow by one. The writer begins every transaction with the texts that no transaction has kept yet, so a row
//! that names a number is never committed before the text is; when a transaction is lost, its texts are in the next one.
//! One process serves a file, so nobody else gives numbers.

use std::hash::BuildHasher as _;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::{DefaultHashBuilder, HashTable};
use muster_proto::canonical::{Edition, ObservationView};
use muster_proto::model::{Kind, Platform};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use super::row;
use crate::store::body::Lookup;
use crate::store::software::{self, Editions};

/// Both.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    editions: Shelf,
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
    numbers: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    /// Texts up to this number are in the file.
    saved: usize,
}

/// A number with the place of its text: whoever looks for a text need not look for its place first.
#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u32,
    start: usize,
    length: u32,
}

impl Slot {
    fn text(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..][..self.length as usize]
    }
}

impl Texts {
    fn get(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number.checked_sub(1)?)?;
        let start = if number == 1 { 0 } else { self.ends[number - 2] };
        Some(&self.bytes[start..end])
    }

    fn find(&self, hash: u64, is_it: impl Fn(&[u8]) -> bool) -> Option<u32> {
        self.numbers.find(hash, |slot| is_it(slot.text(&self.bytes))).map(|slot| slot.number)
    }

    fn add(&mut self, hash: u64, text: &[&[u8]]) -> u32 {
        let start = self.bytes.len();
        text.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push(self.bytes.len());
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        let Self { bytes, numbers, hasher, .. } = self;
        numbers.insert_unique(hash, Slot { number, start, length }, |other| hasher.hash_one(other.text(bytes)));
        number
    }
}

impl Shelf {
    /// The number of a text, made when it is new.
    fn number(&self, text: &[u8]) -> u32 {
        let texts = self.read();
        let hash = texts.hasher.hash_one(text);
        let found = texts.find(hash, |known| known == text);
        drop(texts);
        found.unwrap_or_else(|| {
            let mut texts = self.write();
            // Another may have been faster between the two locks.
            texts.find(hash, |known| known == text).unwrap_or_else(|| texts.add(hash, &[text]))
        })
    }

    /// The numbers of the editions of these observations, made where they are new. One lock for all of them, and never
    /// another one beside it: a reader of one dictionary that waits to read the other may, with writers waiting for
    /// both, wait for ever.
    fn numbers(&self, platform: u8, observations: &[ObservationView<'_>]) -> Vec<u32> {
        let is_it = |edition: &[u8], known: &[u8]| known.split_first() == Some((&platform, edition));
        let mut key = Vec::new();
        let texts = self.read();
        let hashes: Vec<u64> = observations
            .iter()
            .map(|seen| {
                key.clear();
                key.push(platform);
                key.extend_from_slice(seen.edition);
                texts.hasher.hash_one(key.as_slice())
            })
            .collect();
        // 0 is the number of nothing.
        let find = |(hash, seen): (&u64, &ObservationView<'_>)| texts.find(*hash, |known| is_it(seen.edition, known));
        let mut numbers: Vec<u32> =
            hashes.iter().zip(observations).map(|pair| find(pair).unwrap_or_default()).collect();
        drop(texts);
        if numbers.contains(&0) {
            let mut texts = self.write();
            for ((number, hash), seen) in numbers.iter_mut().zip(hashes).zip(observations) {
                if *number == 0 {
                    let found = texts.find(hash, |known| is_it(seen.edition, known));
                    *number = found.unwrap_or_else(|| texts.add(hash, &[&[platform], seen.edition]));
                }
            }
        }
        numbers
    }

    /// The text of a number.
    fn text(&self, number: i64) -> Option<Vec<u8>> {
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
        self.write().saved = up_to;
    }

    fn read(&self) -> RwLockReadGuard<'_, Texts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Texts> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what stands in the file; rows come in the order of their numbers.
    fn load(&self, sql: &Connection, find: &str, key: impl Fn(&rusqlite::Row<'_>) -> Step<Vec<u8>>) -> Step<()> {
        let mut texts = self.write();
        let mut statement = sql.prepare(find)?;
        let mut rows = statement.query([])?;
        while let Some(found) = rows.next()? {
            let number = usize::try_from(found.get::<_, i64>(0)?).unwrap_or(0);
            // A number without a row stands for nothing; `check` says so where something names it.
            while texts.ends.len() + 1 < number {
                let end = texts.bytes.len();
                texts.ends.push(end);
            }
            let key = key(found)?;
            let hash = texts.hasher.hash_one(key.as_slice());
            texts.add(hash, &[&key]);
        }
        texts.saved = texts.ends.len();
        Ok(())
    }
}

/// How far each dictionary is in the file once the transaction is committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved {
    editions: usize,
    phrases: usize,
}

impl Dictionaries {
    /// Reads what is in the file.
    pub(super) fn load(sql: &Connection) -> Step<Self> {
        let all = Self::default();
        let find = "SELECT no, kind, name, vendor, version, platform FROM edition ORDER BY no";
        all.editions.load(sql, find, |found| Ok([vec![found.get(5)?], edition_bytes(found)?].concat()))?;
        all.phrases.load(sql, "SELECT no, text FROM phrase ORDER BY no", |found| {
            Ok(found.get::<_, String>(1)?.into_bytes())
        })?;
        Ok(all)
    }

    /// Writes what no transaction has kept yet into the one that is open.
    pub(super) fn save(&self, sql: &Connection) -> Step<Saved> {
        self.save_since(sql, Saved { editions: self.editions.kept(), phrases: self.phrases.kept() })
    }

    /// Writes what has come since the same transaction has saved so much.
    pub(super) fn save_since(&self, sql: &Connection, since: Saved) -> Step<Saved> {
        let (new, editions) = self.editions.after(since.editions);
        for (number, key) in new {
            let Some((platform, Edition { kind, name, vendor, version })) = software::read(&key) else {
                return Err(Fault::damaged(format!("edition {number}"), "its key in memory is not readable"));
            };
            sql.prepare_cached(
                "INSERT INTO edition (no, platform, kind, name, vendor, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((number, platform, kind.code(), name, vendor, version))?;
        }
        let (new, phrases) = self.phrases.after(since.phrases);
        for (number, phrase) in new {
            let phrase = String::from_utf8(phrase).map_err(|_| Fault::damaged("a new text", "it is not UTF-8"))?;
            sql.prepare_cached("INSERT INTO phrase (no, text) VALUES (?1, ?2)")?.execute((number, phrase))?;
        }
        Ok(Saved { editions, phrases })
    }

    /// The transaction was committed.
    pub(super) fn saved(&self, saved: Saved) {
        self.editions.saved(saved.editions);
        self.phrases.saved(saved.phrases);
    }

    /// The number of a phrase, made when it is new.
    pub(super) fn phrase(&self, text: &str) -> i64 {
        i64::from(self.phrases.number(text.as_bytes()))
    }

    /// Editions whose name or vendor holds the text, without regard to case, and whose version begins so.
    pub(super) fn search(&self, text: &str, version: &str) -> Step<Editions> {
        let text = software::any_case(text)?;
        let texts = self.editions.read();
        software::search(&texts.bytes, &texts.ends, &text, version)
    }

    /// The numbers of the editions of these observations, made where they are new.
    pub(super) fn editions(&self, platform: Platform, observations: &[ObservationView<'_>]) -> Vec<u32> {
        self.editions.numbers(platform.code(), observations)
    }
}

impl Lookup for &Dictionaries {
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
        let key = self.editions.text(number);
        Ok(key.and_then(|key| key.split_first().map(|(_, edition)| edition.to_vec())))
    }
}

/// Finds editions in the table alone: for a check, which believes the file and not the memory.
pub(super) struct Table<'a>(pub(super) &'a Connection);

impl Lookup for Table<'_> {
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
        let find = "SELECT no, kind, name, vendor, version FROM edition WHERE no = ?1";
        let found = self.0.prepare_cached(find)?.query_row([number], |row| Ok(edition_bytes(row))).optional()?;
        found.transpose()
    }
}

fn edition_bytes(found: &rusqlite::Row<'_>) -> Step<Vec<u8>> {
    let (name, vendor, version): (String, String, String) = (found.get(2)?, found.get(3)?, found.get(4)?);
    let kind = row::member(&format!("edition {}", found.get::<_, i64>(0)?), Kind::from_code, found, 1)?;
    Ok(Edition { kind, name: &name, vendor: &vendor, version: &version }.to_bytes())
}

#[cfg(test)]
mod tests {
    use muster_proto::canonical::CanonicalSection;
    use muster_proto::model::{Observation, Section, SourceName};

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
                    let numbers = all.editions(Platform::Linux, &observations);
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
        let here = all.editions(Platform::Linux, &observations);
        assert_eq!(here, all.editions(Platform::Linux, &observations), "the same again");
        assert_eq!(here.iter().collect::<std::collections::BTreeSet<_>>().len(), 100, "no two have one number");
        let there = all.editions(Platform::Windows, &observations);
        assert!(here.iter().all(|number| !there.contains(number)), "another platform, another edition");
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
}
