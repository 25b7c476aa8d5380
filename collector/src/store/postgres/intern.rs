//! The dictionaries of titles and versions: what sections that come are written in, and what sections that are read are
//! written out of.
//!
//! New titles and versions are made before the transaction that needs them, many with one statement, in a transaction of
//! their own whose commit does not wait for the disk: a later commit that uses them is later in the log too, so it can
//! only be durable together with them. When the server falls in between, the numbers that were remembered mean nothing:
//! whoever loses a connection forgets them all ([`Intern::forget`]), and what was numbered before is numbered anew.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use muster_proto::model::{Digest, Kind, Observation, Platform, Section, SourceName};
use tokio_postgres::Row;

use super::fault::{Fault, Step};
use super::row;
use super::session::Session;
use crate::store::codec::{self, Dictionary, Lookup, Title};
use crate::store::fault;

const TITLES: NonZeroUsize = NonZeroUsize::new(131_072).unwrap();
const VERSIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// How often what another collector made at the same moment is looked for.
const ROUNDS: usize = 8;

const TITLES_PUT: &str = "
    WITH found AS MATERIALIZED (
        SELECT w.*, t.id FROM unnest($1::bytea[], $2::int2[], $3::int2[], $4::text[], $5::text[])
            AS w (key, platform, kind, name, vendor) LEFT JOIN title t ON t.key = w.key
    ), made AS (
        INSERT INTO title (platform, kind, key, name, vendor)
        SELECT platform, kind, key, name, vendor FROM found WHERE id IS NULL ORDER BY key
        ON CONFLICT (key) DO NOTHING RETURNING id, key
    )
    SELECT id, key FROM found WHERE id IS NOT NULL UNION ALL SELECT id, key FROM made";

const VERSIONS_PUT: &str = "
    WITH found AS MATERIALIZED (
        SELECT w.*, v.id FROM unnest($1::bytea[], $2::text[]) AS w (key, text) LEFT JOIN version v ON v.key = w.key
    ), made AS (
        INSERT INTO version (key, text) SELECT key, text FROM found WHERE id IS NULL ORDER BY key
        ON CONFLICT (key) DO NOTHING RETURNING id, key
    )
    SELECT id, key FROM found WHERE id IS NOT NULL UNION ALL SELECT id, key FROM made";

#[derive(Debug)]
struct Numbers {
    titles: LruCache<Box<[u8]>, i64>,
    versions: LruCache<Box<str>, i64>,
    epoch: u64,
}

/// See the head of the file.
pub(super) struct Intern {
    numbers: Mutex<Numbers>,
    books: Books,
}

/// Titles and versions that were read lately.
struct Books {
    titles: Mutex<LruCache<i64, Title>>,
    versions: Mutex<LruCache<i64, String>>,
}

/// A section on its way into the database: its observations with their numbers, as far as they are known.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) digest: Digest,
    pub(super) section: Section,
    /// For each observation the numbers of its title and of its version; 0 is not known yet, or no version.
    numbers: Vec<(i64, i64)>,
    /// Positions of observations that lack a number.
    lacking: Vec<usize>,
    epoch: u64,
    body: Option<Vec<u8>>,
}

impl Default for Intern {
    fn default() -> Self {
        let numbers = Numbers { titles: LruCache::new(TITLES), versions: LruCache::new(VERSIONS), epoch: 0 };
        let books = Books { titles: Mutex::new(LruCache::new(TITLES)), versions: Mutex::new(LruCache::new(VERSIONS)) };
        Self { numbers: Mutex::new(numbers), books }
    }
}

impl Intern {
    /// Forgets all numbers: a server that fell may have forgotten them too.
    pub(super) fn forget(&self) {
        let mut numbers = lock(&self.numbers);
        numbers.titles.clear();
        numbers.versions.clear();
        numbers.epoch += 1;
        lock(&self.books.titles).clear();
        lock(&self.books.versions).clear();
    }

    /// Numbers a section as far as that can be done without the database; whole, it is written at once.
    pub(super) fn draft(&self, digest: Digest, section: Section) -> Step<Draft> {
        let mut draft = Draft { digest, section, numbers: Vec::new(), lacking: Vec::new(), epoch: 0, body: None };
        self.number(&mut draft);
        if draft.lacking.is_empty() {
            draft.write()?;
        }
        Ok(draft)
    }

    fn number(&self, draft: &mut Draft) {
        let mut guard = lock(&self.numbers);
        let Numbers { titles, versions, epoch } = &mut *guard;
        let mut key = Vec::new();
        draft.numbers.clear();
        draft.lacking.clear();
        draft.body = None;
        draft.epoch = *epoch;
        let platform = draft.section.platform();
        for (at, observation) in draft.section.observations().iter().enumerate() {
            title_bytes(platform, observation, &mut key);
            let title = titles.get(key.as_slice()).copied().unwrap_or(0);
            let version = match observation.version.as_str() {
                "" => 0,
                text => versions.get(text).copied().unwrap_or(0),
            };
            if title == 0 || (version == 0 && !observation.version.is_empty()) {
                draft.lacking.push(at);
            }
            draft.numbers.push((title, version));
        }
    }

    /// Makes what these drafts lack, and writes them. The session is in no transaction.
    pub(super) async fn complete(&self, session: &Session, drafts: &mut [&mut Draft]) -> Step<()> {
        let epoch = lock(&self.numbers).epoch;
        for draft in drafts.iter_mut().filter(|draft| draft.epoch != epoch) {
            self.number(draft);
        }
        for _ in 0..ROUNDS {
            let wanted = Wanted::of(drafts);
            if wanted.is_empty() {
                break;
            }
            let (titles, versions) = wanted.put(session).await?;
            self.remember(&wanted, &titles, &versions, epoch);
            for draft in drafts.iter_mut() {
                draft.fill(&titles, &versions);
            }
        }
        for draft in drafts.iter_mut().filter(|draft| draft.body.is_none()) {
            if !draft.lacking.is_empty() {
                return Err(Fault::Again("titles are made by others at the same time".to_owned()));
            }
            draft.write()?;
        }
        Ok(())
    }

    fn remember(&self, wanted: &Wanted<'_>, titles: &Found, versions: &Found, epoch: u64) {
        let mut guard = lock(&self.numbers);
        if guard.epoch != epoch {
            return;
        }
        let mut bytes = Vec::new();
        for (key, (platform, observation)) in &wanted.titles {
            if let Some(id) = titles.get(key) {
                title_bytes(*platform, observation, &mut bytes);
                guard.titles.put(bytes.as_slice().into(), *id);
            }
        }
        for (key, text) in &wanted.versions {
            if let Some(id) = versions.get(key) {
                guard.versions.put((*text).into(), *id);
            }
        }
    }

    /// The section of an interned form.
    pub(super) async fn decode(
        &self,
        session: &Session,
        platform: Platform,
        source: SourceName,
        body: &[u8],
        remembering: bool,
    ) -> Step<Section> {
        // Once to learn what it needs, and again when that was read.
        let mut tables = Tables { books: remembering.then_some(&self.books), ..Tables::default() };
        let section = codec::decode(platform, source, body, &mut tables)?;
        if tables.titles_wanted.is_empty() && tables.versions_wanted.is_empty() {
            return Ok(section);
        }
        tables.read(session).await?;
        Ok(codec::decode(platform, source, body, &mut tables)?)
    }
}

impl Draft {
    /// Its interned form.
    pub(super) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    fn fill(&mut self, titles: &Found, versions: &Found) {
        let (observations, platform) = (self.section.observations(), self.section.platform());
        let numbers = &mut self.numbers;
        self.lacking.retain(|at| {
            let (observation, number) = (&observations[*at], &mut numbers[*at]);
            if number.0 == 0 {
                number.0 = titles.get(&title_key(platform, observation)).copied().unwrap_or(0);
            }
            if number.1 == 0 && !observation.version.is_empty() {
                number.1 = versions.get(&version_key(&observation.version)).copied().unwrap_or(0);
            }
            number.0 == 0 || (number.1 == 0 && !observation.version.is_empty())
        });
    }

    fn write(&mut self) -> Step<()> {
        self.body = Some(codec::encode(&self.section, &mut Numbered { numbers: &self.numbers, at: 0 })?);
        Ok(())
    }
}

/// Gives the numbers that were found before, one observation after the other.
struct Numbered<'a> {
    numbers: &'a [(i64, i64)],
    at: usize,
}

impl Dictionary for Numbered<'_> {
    fn title(&mut self, _: Platform, _: &Observation) -> fault::Step<i64> {
        let found = self.numbers.get(self.at).map(|(title, _)| *title);
        self.at += 1;
        found.ok_or_else(|| fault::Fault::Other("a title has no number".to_owned()))
    }

    fn version(&mut self, _: &str) -> fault::Step<i64> {
        let found = self.numbers.get(self.at.wrapping_sub(1)).map(|(_, version)| *version);
        found.ok_or_else(|| fault::Fault::Other("a version has no number".to_owned()))
    }
}

type Key = [u8; 16];
type Found = HashMap<Key, i64>;

/// What drafts lack, each once.
struct Wanted<'a> {
    titles: HashMap<Key, (Platform, &'a Observation)>,
    versions: HashMap<Key, &'a str>,
}

impl<'a> Wanted<'a> {
    fn of(drafts: &'a [&mut Draft]) -> Self {
        let mut wanted = Self { titles: HashMap::new(), versions: HashMap::new() };
        for draft in drafts {
            let platform = draft.section.platform();
            for at in &draft.lacking {
                let (observation, number) = (&draft.section.observations()[*at], draft.numbers[*at]);
                if number.0 == 0 {
                    wanted.titles.insert(title_key(platform, observation), (platform, observation));
                }
                if number.1 == 0 && !observation.version.is_empty() {
                    wanted.versions.insert(version_key(&observation.version), &observation.version);
                }
            }
        }
        wanted
    }

    fn is_empty(&self) -> bool {
        self.titles.is_empty() && self.versions.is_empty()
    }

    /// Finds or makes all of it, each dictionary with one statement.
    async fn put(&self, session: &Session) -> Step<(Found, Found)> {
        let mut titles = Found::new();
        if !self.titles.is_empty() {
            let keys: Vec<&[u8]> = self.titles.keys().map(<[u8; 16]>::as_slice).collect();
            let platforms: Vec<i16> = self.titles.values().map(|(platform, _)| row::code(platform.code())).collect();
            let kinds: Vec<i16> = self.titles.values().map(|(_, seen)| row::code(seen.kind.code())).collect();
            let names: Vec<&str> = self.titles.values().map(|(_, seen)| seen.name.as_str()).collect();
            let vendors: Vec<&str> = self.titles.values().map(|(_, seen)| seen.vendor.as_str()).collect();
            titles = found(&session.query(TITLES_PUT, &[&keys, &platforms, &kinds, &names, &vendors]).await?)?;
        }
        let mut versions = Found::new();
        if !self.versions.is_empty() {
            let keys: Vec<&[u8]> = self.versions.keys().map(<[u8; 16]>::as_slice).collect();
            let texts: Vec<&str> = self.versions.values().copied().collect();
            versions = found(&session.query(VERSIONS_PUT, &[&keys, &texts]).await?)?;
        }
        Ok((titles, versions))
    }
}

fn found(rows: &[Row]) -> Step<Found> {
    rows.iter().map(|row| Ok((row::key(row, 1)?, i64::from(row.try_get::<_, i32>(0)?)))).collect()
}

/// What tells titles apart, in bytes.
fn title_bytes(platform: Platform, observation: &Observation, key: &mut Vec<u8>) {
    let Observation { kind, name, vendor, .. } = observation;
    key.clear();
    key.extend_from_slice(&[platform.code(), kind.code()]);
    key.extend_from_slice(&(name.len() as u64).to_le_bytes());
    key.extend_from_slice(name.as_bytes());
    key.extend_from_slice(vendor.as_bytes());
}

fn title_key(platform: Platform, observation: &Observation) -> Key {
    let mut bytes = Vec::new();
    title_bytes(platform, observation, &mut bytes);
    beginning(&Digest::of(&bytes))
}

fn version_key(text: &str) -> Key {
    beginning(&Digest::of(text.as_bytes()))
}

fn beginning(digest: &Digest) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_bytes()[..16]);
    key
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
