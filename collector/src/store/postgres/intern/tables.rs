//! Titles and versions by their numbers, for sections that are read.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Kind, Platform, SourceName};

use crate::store::codec::{self, Lookup, Title};
use crate::store::fault;
use crate::store::postgres::fault::Step;
use crate::store::postgres::row;
use crate::store::postgres::session::Session;

const TITLES: NonZeroUsize = NonZeroUsize::new(131_072).unwrap();
const VERSIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

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

impl Books {
    pub(super) fn forget(&self) {
        lock(&self.titles).clear();
        lock(&self.versions).clear();
    }
}

/// The section of an interned form.
pub(super) async fn decode(
    books: Option<&Books>,
    session: &Session,
    platform: Platform,
    source: SourceName,
    body: &[u8],
) -> Step<CanonicalSection> {
    // Once to learn what it needs, and again when that was read. What stands in for a text makes no section.
    let mut tables = Tables { books, ..Tables::default() };
    let section = codec::decode(platform, source, body, &mut tables);
    if tables.titles_wanted.is_empty() && tables.versions_wanted.is_empty() {
        return Ok(section?);
    }
    tables.read(session).await?;
    Ok(codec::decode(platform, source, body, &mut tables)?)
}

/// Finds titles and versions by their numbers: in the memory, where there is one, or in what was read from the tables.
/// What is in neither is noted, and stands for itself until it was read.
#[derive(Default)]
struct Tables<'a> {
    books: Option<&'a Books>,
    titles: HashMap<i64, Title>,
    versions: HashMap<i64, String>,
    titles_wanted: HashSet<i64>,
    versions_wanted: HashSet<i64>,
    is_read: bool,
}
impl Tables<'_> {
    async fn read(&mut self, session: &Session) -> Step<()> {
        self.is_read = true;
        let wanted = |ids: &HashSet<i64>| ids.iter().filter_map(|id| i32::try_from(*id).ok()).collect::<Vec<i32>>();
        let find = "SELECT id, kind, name, vendor FROM title WHERE id = ANY ($1::int4[])";
        for row in session.query(find, &[&wanted(&self.titles_wanted)]).await? {
            let id = i64::from(row.try_get::<_, i32>(0)?);
            let kind = row::member(&format!("title {id}"), Kind::from_code, &row, 1)?;
            let title = Title { kind, name: row.try_get(2)?, vendor: row.try_get(3)? };
            if let Some(books) = self.books {
                lock(&books.titles).put(id, title.clone());
            }
            self.titles.insert(id, title);
        }
        let find = "SELECT id, text FROM version WHERE id = ANY ($1::int4[])";
        for row in session.query(find, &[&wanted(&self.versions_wanted)]).await? {
            let (id, text) = (i64::from(row.try_get::<_, i32>(0)?), row.try_get::<_, String>(1)?);
            if let Some(books) = self.books {
                lock(&books.versions).put(id, text.clone());
            }
            self.versions.insert(id, text);
        }
        Ok(())
    }
}

impl Lookup for Tables<'_> {
    fn title(&mut self, id: i64) -> fault::Step<Option<Title>> {
        if let Some(known) = self.titles.get(&id) {
            return Ok(Some(known.clone()));
        }
        if let Some(known) = self.books.and_then(|books| lock(&books.titles).get(&id).cloned()) {
            return Ok(Some(known));
        }
        if self.is_read {
            return Ok(None);
        }
        self.titles_wanted.insert(id);
        Ok(Some(Title { kind: Kind::ALL[0], name: String::new(), vendor: String::new() }))
    }

    fn version(&mut self, id: i64) -> fault::Step<Option<String>> {
        if let Some(known) = self.versions.get(&id) {
            return Ok(Some(known.clone()));
        }
        if let Some(known) = self.books.and_then(|books| lock(&books.versions).get(&id).cloned()) {
            return Ok(Some(known));
        }
        if self.is_read {
            return Ok(None);
        }
        self.versions_wanted.insert(id);
        Ok(Some(String::new()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
