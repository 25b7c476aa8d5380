//! The dictionaries of editions and phrases. They are in memory as a whole; a text gets its number before the writer is
//! involved.
//!
//! Numbers grow by one. The writer begins every transaction by storing the texts that no transaction has stored yet, so
//! a row that refers to a number is never committed before the text. If a transaction fails, its texts are stored by
//! the next one. Only one process serves a file, so nobody else assigns numbers.
//!
//! Rows of editions refer to titles, which have the same numbers in memory, and to versions. Only the writer needs the numbers
//! of versions, when it stores new editions, so they are only in the file.

mod editions;
mod phrases;

#[cfg(test)]
mod tests;

use muster_proto::canonical::{Edition, ObservationView};
use muster_proto::model::{Kind, Platform};
use rusqlite::{Connection, OptionalExtension as _};

use self::editions::EditionDictionary;
use self::phrases::Phrases;
use super::fault::{Step, StoreFault};
use super::row;
use crate::store::body::Lookup;
use crate::store::edition_bounds::EditionBound;
use crate::store::edition_search::EditionSearch;
use crate::store::software::Editions;
use crate::store::{Allowance, EditionLevel, HeldBack, SoftwareQuery};

/// All dictionaries of a file.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    editions: EditionDictionary,
    pub(super) phrases: Phrases,
    bound: EditionBound,
}

/// The numbers up to which the dictionaries are stored once the transaction is committed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Saved {
    editions: u32,
    titles: u32,
    phrases: u32,
}

impl Dictionaries {
    /// Loads all dictionaries of the file. Numbers of editions were given up to this one.
    pub(super) fn load(sql: &Connection, last_edition: i64) -> Step<Self> {
        let all = Self::default();
        all.editions.load(sql, last_edition)?;
        all.phrases.load(sql)?;
        Ok(all)
    }

    /// Stores, in the open transaction, the texts that no transaction has stored yet.
    pub(super) fn save(&self, sql: &Connection) -> Step<Saved> {
        let (editions, titles) = self.editions.saved();
        self.save_since(sql, Saved { editions, titles, phrases: self.phrases.saved() })
    }

    /// Stores the texts that came after the same transaction has stored those up to `since`.
    pub(super) fn save_since(&self, sql: &Connection, since: Saved) -> Step<Saved> {
        let (editions, titles) = self.editions.save_since(sql, since.editions, since.titles)?;
        Ok(Saved { editions, titles, phrases: self.phrases.save_since(sql, since.phrases)? })
    }

    /// Notes that the transaction was committed.
    pub(super) fn saved(&self, saved: Saved) {
        self.editions.set_saved(saved.editions, saved.titles);
        self.phrases.set_saved(saved.phrases);
    }

    /// The number of a phrase, which is added if it is new.
    pub(super) fn phrase(&self, text: &str) -> i64 {
        i64::from(self.phrases.number(text.as_bytes()))
    }

    /// The editions that match a search.
    pub(super) fn search(&self, query: &SoftwareQuery) -> Step<Editions> {
        let mut search = EditionSearch::new(query)?;
        // The lock is free between two steps, because deliveries add editions under it.
        while self.editions.search_step(&mut search)? {}
        Ok(search.found())
    }

    /// How often editions were forgotten.
    pub(super) fn epoch(&self) -> u64 {
        self.editions.epoch()
    }

    /// Forgets editions that are removed from the file. A section that was encoded before may have their numbers.
    pub(super) fn forget_editions(&self, editions: &[u32]) {
        self.editions.forget(editions);
    }

    /// Forgets the titles that no edition has, neither in the file nor yet to be stored. Returns the numbers of these, and of
    /// those whose rows an earlier pass could not remove. Nobody gets these numbers any more.
    pub(super) fn forget_titles(&self) -> Vec<u32> {
        self.editions.forget_titles()
    }

    /// The rows of these titles were removed.
    pub(super) fn titles_removed(&self, titles: &[u32]) {
        self.editions.titles_removed(titles);
    }

    /// The numbers of the editions of these observations, and the epoch in which they were found; new editions are added, unless
    /// they exceed the bound or the allowance.
    pub(super) fn editions(
        &self,
        platform: Platform,
        observations: &[ObservationView<'_>],
        allowance: &Allowance,
    ) -> Result<(Vec<u32>, u64), HeldBack> {
        let admit = |held, new| self.bound.admit(held, new, allowance);
        self.editions.numbers(platform.code(), observations, admit)
    }

    /// How many editions there may be.
    pub(super) const fn bound(&self) -> &EditionBound {
        &self.bound
    }

    /// How many editions there are.
    pub(super) fn level(&self) -> EditionLevel {
        let (held, memory_bytes) = self.editions.size();
        self.bound.level(held, memory_bytes)
    }
}

impl Lookup for &Dictionaries {
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
        Ok(u32::try_from(number).ok().and_then(|number| self.editions.edition(number)))
    }
}

/// Finds editions in memory, or else in the table: a reader may see a moment at which an edition was not removed yet.
pub(super) struct MemoryOrTable<'a>(pub(super) &'a Dictionaries, pub(super) &'a Connection);

impl Lookup for MemoryOrTable<'_> {
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
        let Self(mut memory, sql) = *self;
        match memory.edition(number)? {
            Some(known) => Ok(Some(known)),
            None => Table(sql).edition(number),
        }
    }
}

/// Finds editions in the table and not in memory: for the check, which trusts only the file.
pub(super) struct Table<'a>(pub(super) &'a Connection);

impl Lookup for Table<'_> {
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
        let find = "SELECT e.no, t.kind, t.name, t.vendor, v.text, e.from_name, e.id, e.state
            FROM edition e JOIN title t ON t.no = e.title JOIN version v ON v.no = e.version WHERE e.no = ?1";
        let found = self.0.prepare_cached(find)?.query_row([number], |row| Ok(edition_bytes(row))).optional()?;
        found.transpose()
    }
}

fn edition_bytes(found: &rusqlite::Row<'_>) -> Step<Vec<u8>> {
    let (name, vendor, version): (String, String, String) = (found.get(2)?, found.get(3)?, found.get(4)?);
    let what = || format!("edition {}", found.get::<_, i64>(0).unwrap_or_default());
    let kind = row::member(&what(), Kind::from_code, found, 1)?;
    let mut id = Vec::new();
    editions::stored_id(&what, found.get(5)?, found.get_ref(6)?)?.spell(name.as_bytes(), &mut id);
    let id = String::from_utf8(id).map_err(|_| StoreFault::damaged(what(), "its id is not UTF-8"))?;
    let mut bytes = Edition { kind, name: &name, vendor: &vendor, version: &version, id: &id }.to_bytes();
    bytes.extend_from_slice(found.get::<_, String>(7)?.as_bytes());
    Ok(bytes)
}

/// A text of a new row.
fn utf8(text: &[u8]) -> Step<&str> {
    std::str::from_utf8(text).map_err(|_| StoreFault::damaged("a new text", "it is not UTF-8"))
}
