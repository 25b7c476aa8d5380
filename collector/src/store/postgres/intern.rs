//! Interning: sections are stored as numbers into the dictionary of editions, and rebuilt from it.
//!
//! Each collector holds the whole dictionary in memory. When it meets a number or an edition that it does not know, it
//! reads what other collectors have added.
//!
//! The new editions of a batch are stored before the transaction that needs them, in one transaction whose commit does
//! not wait for the disk. That is safe: a later commit that uses them is also later in the log, so it is durable only
//! together with them. Numbers are assigned under a lock that is held until that commit, so they grow without gaps in
//! the order of commits. If the server crashes in between, the cached numbers may be wrong. Therefore a collector that
//! loses a connection forgets all of them ([`Intern::forget`]), and every section that is read is checked against its
//! digest.
//!
//! Editions that no section has are removed, by any collector. Each removal is a generation of `removal`. A batch is
//! committed only if its numbers were found in the generation of the database; if not, the collector forgets what was
//! removed since ([`Intern::sync`]), and the batch finds its numbers again.

mod learn;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Digest, Platform, SourceName};
use tokio::sync::Mutex;

use self::learn::{READ, blocks, forgotten};
use super::block::block;
use super::dictionary::EditionTexts;
use super::fault::{PostgresFault, Step};
use super::session::{Session, Values};
use crate::store::body::{self, Lookup};
use crate::store::contradiction::SectionRow;
use crate::store::edition_bounds::EditionBound;
use crate::store::edition_detail::text_of;
use crate::store::edition_search::EditionSearch;
use crate::store::fault::StoreFault;
use crate::store::software::Editions;
use crate::store::{Allowance, EditionLevel, EditionTotals, HeldBack, SoftwareQuery};

/// The advisory lock under which one collector at a time adds editions: "DICT" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'44494354'::int8)";

const ADD: &str = "INSERT INTO dictionary (first, editions) VALUES ($1, $2)";

/// The dictionary as this collector knows it.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    editions: EditionTexts,
    version: Version,
}

/// What the dictionary has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Version {
    /// How often all of it was forgotten.
    epoch: u64,
    /// The last removal of which it has forgotten the editions; `None` until it is asked for, before the first block is read.
    generation: Option<i32>,
}

/// How far the dictionary is known.
#[derive(Debug, Clone, Copy)]
struct Known {
    last: i32,
    version: Version,
}

/// See the head of the file.
#[derive(Default)]
pub(super) struct Intern {
    dictionary: RwLock<Dictionary>,
    /// One batch at a time adds editions: the next one then finds most of its own in the dictionary.
    adding: Mutex<()>,
    /// One caller at a time reads the whole dictionary; the others then find it in memory.
    reading: Mutex<()>,
    bound: EditionBound,
}

/// A section that is being stored. It is encoded as soon as all its editions have numbers.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) section: CanonicalSection,
    version: Version,
    /// The numbers of the editions, in the order of the observations; 0 where one is missing.
    numbers: Vec<u32>,
    /// The observations whose editions have no number yet, with the keys of these editions.
    missing: Vec<(usize, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Dictionary {
    fn take(&mut self, blocks: &[Block]) -> Step<()> {
        blocks.iter().try_for_each(|(first, editions)| self.editions.take(*first, editions))
    }

    /// The last number.
    fn last(&self) -> i32 {
        i32::try_from(self.editions.table().last()).unwrap_or(i32::MAX)
    }

    fn known(&self) -> Known {
        Known { last: self.last(), version: self.version }
    }

    /// The numbers of editions.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        let table = self.editions.table();
        (1..=table.last()).filter(|number| table.get(*number).is_some())
    }

    /// An edition that has another number too; there must be none.
    pub(super) fn repeated(&self) -> Option<u32> {
        let table = self.editions.table();
        self.numbers().find(|number| table.text(*number).is_some_and(|text| table.find(&text) != Some(*number)))
    }

    /// The section of an interned form; `None` if it refers to an edition that is not in the dictionary.
    pub(super) fn decode(
        &self,
        platform: Platform,
        source: SourceName,
        bytes: &[u8],
    ) -> Result<Option<CanonicalSection>, StoreFault> {
        let mut reading = Reading { dictionary: self, lacks: false };
        let section = body::decode(platform, source, bytes, &mut reading);
        if reading.lacks { Ok(None) } else { section.map(Some) }
    }
}

/// A block of editions as it is stored, with the number of the first.
type Block = (i32, Vec<u8>);

impl Intern {
    /// Forgets all numbers: a server that crashed may have lost them too.
    pub(super) fn forget(&self) {
        let mut dictionary = self.write();
        let version = Version { epoch: dictionary.version.epoch + 1, generation: None };
        *dictionary = Dictionary { version, ..Dictionary::default() };
    }

    /// A section with the numbers of those of its editions that are in memory.
    pub(super) fn draft(&self, section: CanonicalSection) -> Draft {
        let version = Version::default();
        let mut draft = Draft { section, version, numbers: Vec::new(), missing: Vec::new(), body: None };
        draft.number(&self.read());
        draft.write();
        draft
    }

    /// Whether all editions of a draft have in this generation the numbers that it has found in an earlier one.
    pub(super) fn has(&self, draft: &Draft, generation: i32) -> bool {
        let dictionary = self.read();
        let (version, table) = (dictionary.version, dictionary.editions.table());
        version == Version { epoch: draft.version.epoch, generation: Some(generation) }
            && draft.numbers.iter().all(|number| table.get(*number).is_some())
    }

    /// How many editions there may be.
    pub(super) const fn bound(&self) -> &EditionBound {
        &self.bound
    }

    /// How many editions this collector knows.
    pub(super) fn level(&self) -> EditionLevel {
        let dictionary = self.read();
        let table = dictionary.editions.table();
        self.bound.level(table.totals(), table.heap_bytes())
    }

    fn held(&self) -> EditionTotals {
        self.read().editions.table().totals()
    }

    /// Whether the new editions of a draft may be added, as far as this collector knows. [`Self::complete`] has the last
    /// word on the bound, because others add too.
    pub(super) fn admit(&self, draft: &mut Draft, allowance: &Allowance) -> Result<(), HeldBack> {
        draft.number_missing(&self.read());
        let new = draft.new_editions();
        if new.editions == 0 { Ok(()) } else { self.bound.admit(self.held(), new, allowance) }
    }

    /// Whether nothing is known, so that every edition looks new.
    pub(super) fn is_empty(&self) -> bool {
        self.read().last() == 0
    }

    /// Adds the editions that these drafts lack, and encodes the drafts. The session must not be in a transaction.
    pub(super) async fn complete(&self, session: &Session, drafts: &mut [&mut Draft]) -> Step<()> {
        if self.fill(drafts) {
            return Ok(());
        }
        let _turn = self.adding.lock().await;
        // Another batch may have added them while this one waited for the lock.
        if self.fill(drafts) {
            return Ok(());
        }
        let outcome = self.add(session, drafts).await;
        if outcome.is_err() {
            // Harmless if the transaction has not begun.
            let _ = session.batch("ROLLBACK").await;
        }
        outcome?;
        // The dictionary may have been forgotten after `add`; then the whole batch is tried again.
        if self.fill(drafts) { Ok(()) } else { Err(forgotten()) }
    }

    /// Encodes the drafts whose editions all have numbers; returns whether that is all of them. The lock is released
    /// after each section, so that others need not wait for a whole batch.
    fn fill(&self, drafts: &mut [&mut Draft]) -> bool {
        let mut is_whole = true;
        for draft in drafts {
            draft.number_missing(&self.read());
            is_whole &= draft.write();
        }
        is_whole
    }

    /// Adds the editions that the drafts lack, after reading those that others have added.
    async fn add(&self, session: &Session, drafts: &[&mut Draft]) -> Step<()> {
        if self.is_empty() {
            // Not under the lock of the database, because that takes seconds.
            self.refresh(session).await?;
        }
        session.prepare(&[LOCK, READ, ADD]).await?;
        self.ask_generation(session).await?;
        let known = self.read().known();
        // `biased` sends these in order: what is read under the lock is all that there is.
        let (begun, locked, added) = tokio::join!(
            biased;
            session.batch("BEGIN"),
            session.execute(LOCK, &[]),
            blocks(session, known.last),
        );
        begun?;
        locked?;
        let Some(learned) = self.learn(&added?, known)? else { return Err(forgotten()) };
        // Nobody else adds while the lock is held, so the next number is known without the server.
        let (wanted, known) = self.wanted(drafts);
        // Without what was learned the next number would be 1, which other editions have.
        if known.version.epoch != learned.version.epoch {
            return Err(forgotten());
        }
        let mut new = EditionTotals::default();
        wanted.iter().for_each(|text| new.add(text.len()));
        if !wanted.is_empty() && !self.bound.admits(self.held(), new) {
            return Err(StoreFault::EditionsFull.into());
        }
        let new = (known.last + 1, block(&wanted));
        let values: Values<'_> = &[&new.0, &new.1];
        let put = async { if wanted.is_empty() { Ok(0) } else { session.execute(ADD, values).await } };
        let (put, committed) = tokio::join!(biased; put, session.batch("COMMIT"));
        put?;
        committed?;
        let mut dictionary = self.write();
        // A dictionary that was forgotten meanwhile lacks the blocks before this one; and some of these editions may have been
        // removed already. The block is then read like those of others.
        if dictionary.version == known.version { dictionary.take(&[new]) } else { Ok(()) }
    }

    /// The editions of the drafts that have no numbers, and how far the dictionary is known.
    fn wanted(&self, drafts: &[&mut Draft]) -> (BTreeSet<Vec<u8>>, Known) {
        let dictionary = self.read();
        let missing = drafts.iter().flat_map(|draft| &draft.missing).map(|(_, key)| key);
        let wanted = missing.filter(|key| dictionary.editions.table().find(key).is_none()).cloned().collect();
        (wanted, dictionary.known())
    }

    /// The section of an interned form.
    pub(super) async fn decode(
        &self,
        session: &Session,
        platform: Platform,
        source: SourceName,
        bytes: &[u8],
    ) -> Step<CanonicalSection> {
        let known = self.read().decode(platform, source, bytes)?;
        if let Some(section) = known {
            return Ok(section);
        }
        self.refresh(session).await?;
        let section = self.read().decode(platform, source, bytes)?;
        section.ok_or_else(|| lost().into())
    }

    /// The editions that match a search, including those that other collectors have added.
    pub(super) async fn search(self: &Arc<Self>, session: &Session, query: &SoftwareQuery) -> Step<Editions> {
        let epoch = self.read().version.epoch;
        self.refresh(session).await?;
        let (intern, query) = (Arc::clone(self), query.clone());
        // On a thread of its own, because it would keep a worker of the runtime busy.
        let searched = tokio::task::spawn_blocking(move || intern.search_now(&query, epoch)).await;
        searched.unwrap_or_else(|error| Err(PostgresFault::other(error.to_string())))
    }

    fn search_now(&self, query: &SoftwareQuery, epoch: u64) -> Step<Editions> {
        let mut search = EditionSearch::new(query)?;
        loop {
            // The lock is free between two steps, because deliveries add editions under it.
            let dictionary = self.read();
            // What was removed meanwhile is in no section, so it does not matter here.
            if dictionary.version.epoch != epoch {
                return Err(forgotten());
            }
            if !search.step(dictionary.editions.table())? {
                return Ok(search.found());
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Dictionary> {
        self.dictionary.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Dictionary> {
        self.dictionary.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A section refers to an edition that is not in the dictionary.
pub(super) fn lost() -> StoreFault {
    StoreFault::damaged("the body of a section", "an edition is not in the dictionary")
}

impl Draft {
    /// Its row under this number.
    pub(super) const fn row(&self, no: i64) -> SectionRow {
        SectionRow { no, platform: self.section.platform(), source: self.section.source() }
    }

    pub(super) const fn digest(&self) -> Digest {
        self.section.digest()
    }

    /// The generation of removals in which its numbers were found.
    pub(super) const fn generation(&self) -> Option<i32> {
        self.version.generation
    }

    /// The interned form.
    pub(super) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Finds the numbers of all editions.
    fn number(&mut self, dictionary: &Dictionary) {
        let platform = self.section.platform().code();
        let observations = self.section.observations();
        let found = dictionary.editions.table().editions(platform, &observations);
        self.numbers = found.into_iter().map(|found| found.number).collect();
        let missing = self.numbers.iter().zip(&observations).enumerate().filter(|(_, (number, _))| **number == 0);
        self.missing = missing.map(|(at, (_, seen))| (at, text_of(platform, seen))).collect();
        (self.version, self.body) = (dictionary.version, None);
    }

    /// Finds the numbers that were missing, or all of them if some were forgotten since.
    fn number_missing(&mut self, dictionary: &Dictionary) {
        if self.version != dictionary.version {
            return self.number(dictionary);
        }
        let numbers = &mut self.numbers;
        self.missing.retain(|(at, key)| {
            let found = dictionary.editions.table().find(key);
            numbers[*at] = found.unwrap_or_default();
            found.is_none()
        });
    }

    /// The editions that have no number, each once.
    fn new_editions(&self) -> EditionTotals {
        let mut new = EditionTotals::default();
        let missing: BTreeSet<&[u8]> = self.missing.iter().map(|(_, key)| key.as_slice()).collect();
        missing.iter().for_each(|key| new.add(key.len()));
        new
    }

    /// Whether an edition has no number.
    pub(super) const fn is_incomplete(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Encodes the section if no number is missing; returns whether it is encoded.
    fn write(&mut self) -> bool {
        if self.body.is_none() && self.missing.is_empty() {
            self.body = Some(body::encode(&self.section.observations(), &self.numbers));
        }
        self.body.is_some()
    }
}

/// Finds editions by their numbers, and notes if one is missing.
struct Reading<'a> {
    dictionary: &'a Dictionary,
    lacks: bool,
}

impl Lookup for Reading<'_> {
    fn edition(&mut self, number: i64) -> Result<Option<Vec<u8>>, StoreFault> {
        let found = u32::try_from(number).ok().and_then(|number| self.dictionary.editions.table().edition(number));
        self.lacks |= found.is_none();
        Ok(found)
    }
}
