//! The dictionaries of titles and versions: what sections that come are written in, and what sections that are read are
//! written out of.
//!
//! New titles and versions are made before the transaction that needs them, many with one statement, in a transaction of
//! their own whose commit does not wait for the disk: a later commit that uses them is later in the log too, so it can
//! only be durable together with them. When the server falls in between, the numbers that were remembered mean nothing:
//! whoever loses a connection forgets them all ([`Intern::forget`]), and what was numbered before is numbered anew.

mod tables;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashMap;
use muster_proto::canonical::{CanonicalSection, ObservationView};
use muster_proto::model::{Digest, Kind, Platform, SourceName};
use tokio_postgres::Row;

use self::tables::Books;
use super::fault::{Fault, Step};
use super::row;
use super::session::Session;
use crate::store::codec::{self, Dictionary};
use crate::store::fault;

/// Texts of each dictionary that are remembered; when there are more, all are forgotten and learned again.
const KNOWN: usize = 262_144;
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

#[derive(Debug, Default)]
struct Numbers {
    titles: HashMap<Box<[u8]>, i64>,
    versions: HashMap<Box<str>, i64>,
    epoch: u64,
}

/// See the head of the file.
#[derive(Default)]
pub(super) struct Intern {
    numbers: RwLock<Numbers>,
    books: Books,
}

/// A section on its way into the database: its observations with their numbers, as far as they are known.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) section: CanonicalSection,
    /// For each observation the numbers of its title and of its version; 0 is not known yet, or no version.
    numbers: Vec<(i64, i64)>,
    lacking: Vec<Lack>,
    epoch: u64,
    body: Option<Vec<u8>>,
}

/// An observation that lacks numbers, and by which keys they are found.
#[derive(Debug)]
struct Lack {
    at: usize,
    title: Option<Key>,
    version: Option<Key>,
}

impl Intern {
    /// Forgets all numbers: a server that fell may have forgotten them too.
    pub(super) fn forget(&self) {
        let mut numbers = self.write();
        numbers.titles.clear();
        numbers.versions.clear();
        numbers.epoch += 1;
        self.books.forget();
    }

    /// Numbers a section as far as that can be done without the database; whole, it is written at once.
    pub(super) fn draft(&self, section: CanonicalSection) -> Step<Draft> {
        let mut draft = Draft { section, numbers: Vec::new(), lacking: Vec::new(), epoch: 0, body: None };
        self.number(&mut draft);
        if draft.lacking.is_empty() {
            draft.write()?;
        }
        Ok(draft)
    }

    fn number(&self, draft: &mut Draft) {
        let numbers = self.read();
        let mut key = Vec::new();
        let platform = draft.section.platform();
        let Draft { section, numbers: given, lacking, .. } = draft;
        given.clear();
        lacking.clear();
        section.each(|_, seen| {
            title_bytes(platform, seen, &mut key);
            let title = numbers.titles.get(key.as_slice()).copied();
            let version = if seen.version.is_empty() { Some(0) } else { numbers.versions.get(seen.version).copied() };
            if title.is_none() || version.is_none() {
                lacking.push(Lack {
                    at: given.len(),
                    title: title.is_none().then(|| key_of(&key)),
                    version: version.is_none().then(|| key_of(seen.version.as_bytes())),
                });
            }
            given.push((title.unwrap_or(0), version.unwrap_or(0)));
        });
        draft.body = None;
        draft.epoch = numbers.epoch;
    }

    /// Makes what these drafts lack, and writes them. The session is in no transaction.
    pub(super) async fn complete(&self, session: &Session, drafts: &mut [&mut Draft]) -> Step<()> {
        let epoch = self.read().epoch;
        // Also for those whose texts have been learned since.
        for draft in drafts.iter_mut().filter(|draft| draft.epoch != epoch || draft.body.is_none()) {
            self.number(draft);
        }
        for _ in 0..ROUNDS {
            let wanted = Wanted::of(drafts);
            if wanted.is_empty() {
                break;
            }
            let (titles, versions) = wanted.put(session).await?;
            self.remember(&wanted, &titles, &versions, epoch);
            drop(wanted);
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
        let mut known = self.write();
        if known.epoch != epoch {
            return;
        }
        if known.titles.len() > KNOWN || known.versions.len() > KNOWN {
            known.titles.clear();
            known.versions.clear();
        }
        let mut bytes = Vec::new();
        for (key, (platform, seen)) in &wanted.titles {
            if let Some(id) = titles.get(key) {
                title_bytes(*platform, seen, &mut bytes);
                known.titles.insert(bytes.as_slice().into(), *id);
            }
        }
        for (key, text) in &wanted.versions {
            if let Some(id) = versions.get(key) {
                known.versions.insert((*text).into(), *id);
            }
        }
    }

    /// The section of an interned form. `remembering` is whether texts that were read before are believed.
    pub(super) async fn decode(
        &self,
        session: &Session,
        platform: Platform,
        source: SourceName,
        body: &[u8],
        remembering: bool,
    ) -> Step<CanonicalSection> {
        tables::decode(remembering.then_some(&self.books), session, platform, source, body).await
    }

    fn read(&self) -> RwLockReadGuard<'_, Numbers> {
        self.numbers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Numbers> {
        self.numbers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Draft {
    pub(super) const fn digest(&self) -> Digest {
        self.section.digest()
    }

    /// Its interned form.
    pub(super) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    fn fill(&mut self, titles: &Found, versions: &Found) {
        let numbers = &mut self.numbers;
        self.lacking.retain_mut(|lack| {
            let number = &mut numbers[lack.at];
            for (key, found, number) in
                [(&mut lack.title, titles, &mut number.0), (&mut lack.version, versions, &mut number.1)]
            {
                if let Some(id) = key.as_ref().and_then(|key| found.get(key)) {
                    (*number, *key) = (*id, None);
                }
            }
            lack.title.is_some() || lack.version.is_some()
        });
    }

    fn write(&mut self) -> Step<()> {
        self.body = Some(codec::encode(&self.section, &mut Numbered { numbers: &self.numbers, at: 0 })?);
        // They are in it now.
        self.numbers = Vec::new();
        Ok(())
    }
}

/// Gives the numbers that were found before, one observation after the other.
struct Numbered<'a> {
    numbers: &'a [(i64, i64)],
    at: usize,
}

impl Dictionary for Numbered<'_> {
    fn title(&mut self, _: Platform, _: Kind, _: &str, _: &str) -> fault::Step<i64> {
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
    titles: HashMap<Key, (Platform, ObservationView<'a>)>,
    versions: HashMap<Key, &'a str>,
}

impl<'a> Wanted<'a> {
    fn of(drafts: &'a [&mut Draft]) -> Self {
        let mut wanted = Self { titles: HashMap::new(), versions: HashMap::new() };
        for draft in drafts.iter().filter(|draft| !draft.lacking.is_empty()) {
            let (platform, observations) = (draft.section.platform(), draft.section.observations());
            for lack in &draft.lacking {
                let seen = observations[lack.at];
                if let Some(key) = lack.title {
                    wanted.titles.insert(key, (platform, seen));
                }
                if let Some(key) = lack.version {
                    wanted.versions.insert(key, seen.version);
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
            let names: Vec<&str> = self.titles.values().map(|(_, seen)| seen.name).collect();
            let vendors: Vec<&str> = self.titles.values().map(|(_, seen)| seen.vendor).collect();
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
fn title_bytes(platform: Platform, seen: &ObservationView<'_>, key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(&[platform.code(), seen.kind.code()]);
    key.extend_from_slice(&(seen.name.len() as u64).to_le_bytes());
    key.extend_from_slice(seen.name.as_bytes());
    key.extend_from_slice(seen.vendor.as_bytes());
}

/// By what the tables find a text: the beginning of its digest.
fn key_of(bytes: &[u8]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&Digest::of(bytes).as_bytes()[..16]);
    key
}
