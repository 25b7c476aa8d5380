//! The dictionaries of titles and versions, as the writer uses them: found in a bounded cache, in the table, or made.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use muster_proto::model::{Kind, Observation, Platform};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use crate::store::codec::{Dictionary, Lookup, Title};

const TITLES: NonZeroUsize = NonZeroUsize::new(131_072).unwrap();
const VERSIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// The writer's cache. What a deed has made is forgotten again when the deed is rolled back.
pub(super) struct Titles {
    titles: LruCache<Box<[u8]>, i64>,
    versions: LruCache<Box<str>, i64>,
    new_titles: Vec<Box<[u8]>>,
    new_versions: Vec<Box<str>>,
    key: Vec<u8>,
}

impl Default for Titles {
    fn default() -> Self {
        Self {
            titles: LruCache::new(TITLES),
            versions: LruCache::new(VERSIONS),
            new_titles: Vec::new(),
            new_versions: Vec::new(),
            key: Vec::new(),
        }
    }
}

impl Titles {
    /// The deed is done: what it made stays until the commit says otherwise.
    pub(super) fn keep_new(&mut self) {
        self.new_titles.clear();
        self.new_versions.clear();
    }

    /// The deed is undone.
    pub(super) fn forget_new(&mut self) {
        for key in self.new_titles.drain(..) {
            self.titles.pop(&key);
        }
        for key in self.new_versions.drain(..) {
            self.versions.pop(&key);
        }
    }

    /// The transaction is undone.
    pub(super) fn forget_all(&mut self) {
        self.keep_new();
        self.titles.clear();
        self.versions.clear();
    }

    /// The dictionary over this connection.
    pub(super) const fn on<'a>(&'a mut self, sql: &'a Connection) -> Interner<'a> {
        Interner { titles: self, sql }
    }
}

/// Gives numbers, within the transaction of a deed.
pub(super) struct Interner<'a> {
    titles: &'a mut Titles,
    sql: &'a Connection,
}

impl Dictionary for Interner<'_> {
    fn title(&mut self, platform: Platform, observation: &Observation) -> Step<i64> {
        let Observation { kind, name, vendor, .. } = observation;
        let key = &mut self.titles.key;
        key.clear();
        key.extend_from_slice(&[platform.code(), kind.code()]);
        key.extend_from_slice(&(name.len() as u64).to_le_bytes());
        key.extend_from_slice(name.as_bytes());
        key.extend_from_slice(vendor.as_bytes());
        if let Some(id) = self.titles.titles.get(key.as_slice()) {
            return Ok(*id);
        }
        let row = (name, vendor, kind.code(), platform.code());
        let find = "SELECT id FROM title WHERE name = ?1 AND vendor = ?2 AND kind = ?3 AND platform = ?4";
        let make = "INSERT INTO title (name, vendor, kind, platform) VALUES (?1, ?2, ?3, ?4)";
        let found: Option<i64> = self.sql.prepare_cached(find)?.query_row(row, |row| row.get(0)).optional()?;
        let key: Box<[u8]> = self.titles.key.as_slice().into();
        let id = if let Some(id) = found {
            id
        } else {
            self.sql.prepare_cached(make)?.execute(row)?;
            self.titles.new_titles.push(key.clone());
            self.sql.last_insert_rowid()
        };
        self.titles.titles.put(key, id);
        Ok(id)
    }

    fn version(&mut self, text: &str) -> Step<i64> {
        if let Some(id) = self.titles.versions.get(text) {
            return Ok(*id);
        }
        let find = "SELECT id FROM version WHERE text = ?1";
        let found: Option<i64> = self.sql.prepare_cached(find)?.query_row([text], |row| row.get(0)).optional()?;
        let id = if let Some(id) = found {
            id
        } else {
            self.sql.prepare_cached("INSERT INTO version (text) VALUES (?1)")?.execute([text])?;
            self.titles.new_versions.push(text.into());
            self.sql.last_insert_rowid()
        };
        self.titles.versions.put(text.into(), id);
        Ok(id)
    }
}

/// Finds titles and versions by their numbers: in the memory, where there is one, or in the tables. Rows of a dictionary
/// are never changed, so what was read once is good for ever; a check reads the tables alone.
pub(super) struct Tables<'a> {
    pub(super) sql: &'a Connection,
    pub(super) memory: Option<&'a Books>,
}

/// Titles and versions that were read lately.
pub(super) struct Books {
    titles: Mutex<LruCache<i64, Title>>,
    versions: Mutex<LruCache<i64, String>>,
}

impl Default for Books {
    fn default() -> Self {
        Self { titles: Mutex::new(LruCache::new(TITLES)), versions: Mutex::new(LruCache::new(VERSIONS)) }
    }
}

impl std::fmt::Debug for Books {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Books")
    }
}

/// The value of a cache, or else what is read; a lock that a panic has poisoned still guards plain data.
fn remembered<T: Clone>(
    cache: Option<&Mutex<LruCache<i64, T>>>,
    id: i64,
    read: impl FnOnce() -> Step<Option<T>>,
) -> Step<Option<T>> {
    let Some(cache) = cache else { return read() };
    if let Some(known) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
        return Ok(Some(known.clone()));
    }
    let found = read()?;
    if let Some(found) = &found {
        cache.lock().unwrap_or_else(PoisonError::into_inner).put(id, found.clone());
    }
    Ok(found)
}

impl Lookup for Tables<'_> {
    fn title(&mut self, id: i64) -> Step<Option<Title>> {
        remembered(self.memory.map(|books| &books.titles), id, || {
            let find = "SELECT kind, name, vendor FROM title WHERE id = ?1";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u8>(0)?, row.get(1)?, row.get(2)?));
            let Some((code, name, vendor)) = self.sql.prepare_cached(find)?.query_row([id], read).optional()? else {
                return Ok(None);
            };
            let kind = Kind::from_code(code)
                .ok_or_else(|| Fault::damaged(format!("title {id}"), format!("the kind {code} has no meaning")))?;
            Ok(Some(Title { kind, name, vendor }))
        })
    }

    fn version(&mut self, id: i64) -> Step<Option<String>> {
        remembered(self.memory.map(|books| &books.versions), id, || {
            let find = "SELECT text FROM version WHERE id = ?1";
            Ok(self.sql.prepare_cached(find)?.query_row([id], |row| row.get(0)).optional()?)
        })
    }
}
