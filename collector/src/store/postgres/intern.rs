//! The dictionary of editions: what sections that come are written in, and what sections that are read are written out
//! of. Each collector has it whole in memory, and reads what others have added when it meets a number or a
//! text that it does not know.
//!
//! New texts are kept before the transaction that needs them, all of a batch together, in a transaction of their own
//! whose commit does not wait for the disk: a later commit that uses them is later in the log too, so it can only be
//! durable together with them. They are numbered under a lock that is held until that commit, so numbers grow without
//! gaps in the order of commits. When the server falls in between, the numbers that were remembered mean nothing: whoever
//! loses a connection forgets them all ([`Intern::forget`]), and a section that is read is held against its digest.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use muster_proto::canonical::{CanonicalSection, ObservationView};
use muster_proto::model::{Digest, Platform, SourceName};
use tokio::sync::Mutex;

use super::dictionary::{Shelf, block};
use super::fault::{PostgresFault, Step};
use super::session::{Session, Values};
use crate::store::body::{self, Lookup};
use crate::store::fault::StoreFault;
use crate::store::software::{Editions, Wanted};
use crate::store::texts::edition_key;

/// One at a time adds texts, among all collectors: "DICT" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'44494354'::int8)";

const READ: &str = "SELECT first, editions FROM dictionary WHERE first > $1 ORDER BY first";

const ADD: &str = "INSERT INTO dictionary (first, editions) VALUES ($1, $2)";

/// The dictionary as it is known.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    editions: Shelf,
    /// How often all was forgotten.
    epoch: u64,
}

/// See the head of the file.
#[derive(Default)]
pub(super) struct Intern {
    dictionary: RwLock<Dictionary>,
    /// One at a time adds texts: the next one finds most of its own already there.
    adding: Mutex<()>,
}

/// A section on its way into the database, written out as soon as all its editions have numbers.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) section: CanonicalSection,
    epoch: u64,
    /// Of the editions, in the order of the observations; 0 where one is missing.
    numbers: Vec<u32>,
    /// Which observations are of editions that have no number yet, and by what these are found.
    missing: Vec<(usize, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Dictionary {
    /// What the table has, at the moment that the session sees.
    pub(super) async fn read(session: &Session) -> Step<Self> {
        let mut dictionary = Self::default();
        dictionary.take(&blocks(session, 0).await?)?;
        Ok(dictionary)
    }

    fn take(&mut self, blocks: &[Block]) -> Step<()> {
        blocks.iter().try_for_each(|(first, editions)| self.editions.take(*first, editions))
    }

    /// The last number.
    fn last(&self) -> i32 {
        i32::try_from(self.editions.texts().len()).unwrap_or(i32::MAX)
    }

    /// The section of an interned form; `None` when it names an edition that is not here.
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

/// Editions as they are kept, with the number of the first.
type Block = (i32, Vec<u8>);

/// What the table has beyond this number.
async fn blocks(session: &Session, last: i32) -> Step<Vec<Block>> {
    let rows = session.query(READ, &[&last]).await?;
    rows.iter().map(|found| Ok((found.try_get(0)?, found.try_get(1)?))).collect()
}

impl Intern {
    /// Forgets all numbers: a server that fell may have forgotten them too.
    pub(super) fn forget(&self) {
        let mut dictionary = self.write();
        *dictionary = Dictionary { epoch: dictionary.epoch + 1, ..Dictionary::default() };
    }

    /// A section with the numbers of its editions, as far as that can be done without the database.
    pub(super) fn draft(&self, section: CanonicalSection) -> Draft {
        let mut draft = Draft { section, epoch: 0, numbers: Vec::new(), missing: Vec::new(), body: None };
        draft.number(&self.read());
        draft.write();
        draft
    }

    /// Makes what these drafts lack, and writes them. The session is in no transaction.
    pub(super) async fn complete(&self, session: &Session, drafts: &mut [&mut Draft]) -> Step<()> {
        if self.fill(drafts) {
            return Ok(());
        }
        let _turn = self.adding.lock().await;
        // Also those whose texts others have added while this one waited.
        if self.fill(drafts) {
            return Ok(());
        }
        let outcome = self.add(session, drafts).await;
        if outcome.is_err() {
            // Also when the transaction has not begun: then there is nothing to undo.
            let _ = session.batch("ROLLBACK").await;
        }
        outcome?;
        if self.fill(drafts) { Ok(()) } else { Err(PostgresFault::Conflict("the dictionary was forgotten".to_owned())) }
    }

    /// Writes what can be written; whether that is all. The lock is held for one section, and given back between two.
    fn fill(&self, drafts: &mut [&mut Draft]) -> bool {
        let mut is_whole = true;
        for draft in drafts {
            draft.number_missing(&self.read());
            is_whole &= draft.write();
        }
        is_whole
    }

    /// Adds the editions that the drafts lack, after those that others have added.
    async fn add(&self, session: &Session, drafts: &[&mut Draft]) -> Step<()> {
        session.prepare(&[LOCK, READ, ADD]).await?;
        let last = self.read().last();
        let (begun, locked, added) = tokio::join!(
            biased;
            session.batch("BEGIN"),
            session.execute(LOCK, &[]),
            blocks(session, last),
        );
        begun?;
        locked?;
        self.learn(&added?, last)?;
        let (wanted, last, epoch) = self.wanted(drafts);
        let new = (last + 1, block(&wanted));
        let values: Values<'_> = &[&new.0, &new.1];
        let put = async { if wanted.is_empty() { Ok(0) } else { session.execute(ADD, values).await } };
        let (put, committed) = tokio::join!(biased; put, session.batch("COMMIT"));
        put?;
        committed?;
        let mut dictionary = self.write();
        if dictionary.epoch == epoch { dictionary.take(&[new]) } else { Ok(()) }
    }

    /// The editions in the drafts that have no numbers, after which number they come, and in which epoch.
    fn wanted(&self, drafts: &[&mut Draft]) -> (BTreeSet<Vec<u8>>, i32, u64) {
        let dictionary = self.read();
        let missing = drafts.iter().flat_map(|draft| &draft.missing).map(|(_, key)| key);
        let wanted = missing.filter(|key| dictionary.editions.texts().find(key).is_none()).cloned().collect();
        (wanted, dictionary.last(), dictionary.epoch)
    }

    /// Takes what was read beyond a number.
    fn learn(&self, added: &[Block], last: i32) -> Step<()> {
        let mut dictionary = self.write();
        if dictionary.last() < last {
            return Err(PostgresFault::Conflict("the dictionary was forgotten".to_owned()));
        }
        dictionary.take(added)
    }

    /// The section of an interned form.
    pub(super) async fn decode(
        &self,
        session: &Session,
        platform: Platform,
        source: SourceName,
        bytes: &[u8],
    ) -> Step<CanonicalSection> {
        let last = {
            let dictionary = self.read();
            if let Some(section) = dictionary.decode(platform, source, bytes)? {
                return Ok(section);
            }
            dictionary.last()
        };
        self.learn(&blocks(session, last).await?, last)?;
        let section = self.read().decode(platform, source, bytes)?;
        section.ok_or_else(|| lost().into())
    }

    /// The editions whose name or vendor holds the text and whose version begins so, also those that another collector
    /// has added.
    pub(super) async fn search(&self, session: &Session, text: &str, version: &str) -> Step<Editions> {
        let text = Wanted::new(text)?;
        let (last, epoch) = {
            let dictionary = self.read();
            (dictionary.last(), dictionary.epoch)
        };
        self.learn(&blocks(session, last).await?, last)?;
        let dictionary = self.read();
        if dictionary.epoch != epoch {
            return Err(PostgresFault::Conflict("the dictionary was forgotten".to_owned()));
        }
        Ok(dictionary.editions.texts().search(&text, version)?)
    }

    fn read(&self) -> RwLockReadGuard<'_, Dictionary> {
        self.dictionary.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Dictionary> {
        self.dictionary.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A section names an edition that is not in the dictionary.
pub(super) fn lost() -> StoreFault {
    StoreFault::damaged("the body of a section", "an edition is not in the dictionary")
}

impl Draft {
    pub(super) const fn digest(&self) -> Digest {
        self.section.digest()
    }

    /// Its interned form.
    pub(super) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Looks for all its editions.
    fn number(&mut self, dictionary: &Dictionary) {
        let platform = self.section.platform().code();
        let observations = self.section.observations();
        let found = dictionary.editions.texts().editions(platform, &observations);
        self.numbers = found.into_iter().map(|(_, number)| number).collect();
        let missing = self.numbers.iter().zip(&observations).enumerate().filter(|(_, (number, _))| **number == 0);
        let key = |seen: &ObservationView<'_>| {
            let mut key = Vec::with_capacity(seen.edition.len() + 1);
            edition_key(platform, seen, &mut key);
            key
        };
        self.missing = missing.map(|(at, (_, seen))| (at, key(seen))).collect();
        (self.epoch, self.body) = (dictionary.epoch, None);
    }

    /// Looks for those that had no number, or for all when the numbers that it has mean nothing any more.
    fn number_missing(&mut self, dictionary: &Dictionary) {
        if self.epoch != dictionary.epoch {
            return self.number(dictionary);
        }
        let numbers = &mut self.numbers;
        self.missing.retain(|(at, key)| {
            let found = dictionary.editions.texts().find(key);
            numbers[*at] = found.unwrap_or_default();
            found.is_none()
        });
    }

    /// Writes it out, once no number is missing; whether it is written.
    fn write(&mut self) -> bool {
        if self.body.is_none() && self.missing.is_empty() {
            self.body = Some(body::encode(&self.section.observations(), &self.numbers));
        }
        self.body.is_some()
    }
}

/// Finds editions by their numbers, and notes when one is not here.
struct Reading<'a> {
    dictionary: &'a Dictionary,
    lacks: bool,
}

impl Lookup for Reading<'_> {
    fn edition(&mut self, number: i64) -> Result<Option<Vec<u8>>, StoreFault> {
        let found = u32::try_from(number).ok().and_then(|number| self.dictionary.editions.texts().get(number));
        self.lacks |= found.is_none();
        Ok(found.and_then(|text| text.split_first()).map(|(_, edition)| edition.to_vec()))
    }
}
