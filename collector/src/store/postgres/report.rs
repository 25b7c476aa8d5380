//! Check-ins and deliveries, written many at a time. This file holds a batch, `read` loads what it needs,
//! `locked` applies the decisions to the locked hosts, and `write` writes what has changed.

mod locked;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use muster_proto::model::{Digest, HostId, Platform, RunId, Snapshot, Timestamp};
use tokio::sync::oneshot;

use self::locked::LockedHost;
use super::fault::{PostgresFault, Step};
use super::intern::{Draft, Intern};
use super::memory::Memory;
use super::removal;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use crate::store::contradiction::SectionRow;
use crate::store::{CheckIn, CheckInAnswer, Contradiction, Delivered, HeldBack};

/// Statements that are sent without waiting for the one before; they must be prepared first.
pub(super) const STATEMENTS: &[&str] = &[
    removal::SHARE,
    removal::GENERATIONS,
    read::LOCK,
    read::FACTS,
    write::SECTIONS,
    write::SNAPSHOTS,
    write::COMPLETE,
    write::NOW,
    write::HISTORY,
    write::GAPS,
    write::OLD_GAPS,
    write::FACTS,
    write::STATES,
    write::JUDGE_QUEUE,
];

/// Numbers of sections and snapshots that are in the database, of those that were used lately.
pub(super) struct DigestCache(Mutex<Cached>);

struct Cached {
    /// The generation of removals in which these numbers were read, see `removal`.
    generation: i64,
    sections: LruCache<Digest, SectionRow>,
    snapshots: LruCache<Digest, (i64, Platform)>,
}

/// The first batch learns the generation.
const UNKNOWN: i64 = -1;

impl Cached {
    fn restart(&mut self, generation: i64) {
        self.generation = generation;
        self.sections.clear();
        self.snapshots.clear();
    }
}

impl Default for DigestCache {
    fn default() -> Self {
        const SECTIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
        const SNAPSHOTS: NonZeroUsize = NonZeroUsize::new(32_768).unwrap();
        let (sections, snapshots) = (LruCache::new(SECTIONS), LruCache::new(SNAPSHOTS));
        Self(Mutex::new(Cached { generation: UNKNOWN, sections, snapshots }))
    }
}

/// What a batch works with; shared by all batches but for the sessions.
pub(super) struct BatchContext<'a> {
    pub(super) session: &'a Session,
    /// The connection for new entries of dictionaries.
    pub(super) dictionary_session: &'a Session,
    pub(super) memory: &'a Memory,
    pub(super) intern: &'a Intern,
    pub(super) dictionaries: &'a SmallDictionaries,
    pub(super) digests: &'a DigestCache,
}

/// A delivery whose sections are interned as far as the memory knows their editions.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) host: HostId,
    pub(super) run: RunId,
    pub(super) seq: u64,
    pub(super) observed_at: Timestamp,
    pub(super) now: Timestamp,
    pub(super) digest: Digest,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) drafts: Vec<Draft>,
    /// Why sections of it are left out.
    pub(super) held_back: Option<HeldBack>,
}

/// A check-in or a delivery that waits for its answer.
pub(super) struct Report(Kind);

enum Kind {
    CheckIn {
        operation: Box<CheckIn>,
        reply: Option<oneshot::Sender<Step<CheckInAnswer>>>,
        answer: Option<Step<CheckInAnswer>>,
    },
    Deliver {
        operation: Delivery,
        reply: oneshot::Sender<Step<Delivered>>,
        answer: Option<Step<Delivered>>,
    },
}

impl Report {
    pub(super) fn check_in(operation: CheckIn, reply: Option<oneshot::Sender<Step<CheckInAnswer>>>) -> Self {
        Self(Kind::CheckIn { operation: Box::new(operation), reply, answer: None })
    }

    pub(super) const fn deliver(operation: Delivery, reply: oneshot::Sender<Step<Delivered>>) -> Self {
        Self(Kind::Deliver { operation, reply, answer: None })
    }

    fn host(&self) -> HostId {
        match &self.0 {
            Kind::CheckIn { operation, .. } => operation.host,
            Kind::Deliver { operation, .. } => operation.host,
        }
    }

    /// The snapshot that it names or brings.
    fn digest(&self) -> Digest {
        match &self.0 {
            Kind::CheckIn { operation, .. } => operation.snapshot,
            Kind::Deliver { operation, .. } => operation.digest,
        }
    }

    const fn delivery(&self) -> Option<&Delivery> {
        match &self.0 {
            Kind::Deliver { operation, .. } => Some(operation),
            Kind::CheckIn { .. } => None,
        }
    }

    fn checked_in(&self) -> Option<&CheckIn> {
        match &self.0 {
            Kind::CheckIn { operation, .. } => Some(operation),
            Kind::Deliver { .. } => None,
        }
    }

    /// Sends the answer. The caller may have gone away; the report is committed all the same.
    pub(super) fn answer(self) {
        match self.0 {
            Kind::CheckIn { reply, answer, .. } => {
                if let (Some(reply), Some(answer)) = (reply, answer) {
                    let _ = reply.send(answer);
                }
            }
            Kind::Deliver { reply, answer, .. } => {
                if let Some(answer) = answer {
                    let _ = reply.send(answer);
                }
            }
        }
    }

    pub(super) fn fail(self, fault: &PostgresFault) {
        match self.0 {
            Kind::CheckIn { reply, .. } => {
                if let Some(reply) = reply {
                    // As in `answer`, the caller may have gone away.
                    let _ = reply.send(Err(fault.clone()));
                }
            }
            Kind::Deliver { reply, .. } => {
                let _ = reply.send(Err(fault.clone()));
            }
        }
    }
}

/// A snapshot that a batch names.
struct SnapshotState {
    /// Its number; `None` until it is stored.
    no: Option<i64>,
    platform: Platform,
    /// Its sections that are not stored; or why it cannot be read.
    missing: Result<Vec<Digest>, PostgresFault>,
    /// A stored section that it names wrongly.
    foreign: Option<Contradiction>,
    /// Whether its row says that it is complete.
    is_marked: bool,
}

impl SnapshotState {
    fn is_complete(&self) -> bool {
        matches!(&self.missing, Ok(missing) if missing.is_empty()) && self.foreign.is_none()
    }
}

/// The reports of one transaction, with what was loaded for them.
pub(super) struct Batch<'r> {
    reports: &'r mut [Report],
    /// Numbers of the hosts that exist.
    numbers: HashMap<HostId, i32>,
    hosts: BTreeMap<i32, LockedHost>,
    snapshots: HashMap<Digest, SnapshotState>,
    /// Sections that are in the database; once the transaction has begun, also those that it makes.
    sections: HashMap<Digest, SectionRow>,
    /// Snapshots whose rows say that they are not complete.
    incomplete: HashMap<Digest, Step<Snapshot>>,
    /// Numbers of the phrases of facts.
    phrases: HashMap<String, i32>,
    /// The generation of removals in which everything was read.
    generation: i64,
}

impl<'r> Batch<'r> {
    pub(super) fn new(reports: &'r mut [Report]) -> Self {
        Self {
            reports,
            numbers: HashMap::new(),
            hosts: BTreeMap::new(),
            snapshots: HashMap::new(),
            sections: HashMap::new(),
            incomplete: HashMap::new(),
            phrases: HashMap::new(),
            generation: 0,
        }
    }

    /// Reads, decides, writes and commits; then updates the memory.
    pub(super) async fn run(mut self, context: &BatchContext<'_>) -> Step<()> {
        self.read(context).await?;
        // Before the transaction, because locks of dictionaries come first in the order of locks.
        self.intern(context).await?;
        self.begin(context).await?;
        self.decide(context);
        self.commit(context).await?;
        self.remember(context);
        Ok(())
    }

    /// Adds to the dictionaries what sections and facts need.
    async fn intern(&mut self, context: &BatchContext<'_>) -> Step<()> {
        let mut met = BTreeSet::new();
        // Reports of unknown hosts add nothing to the dictionary.
        let (sections, numbers) = (&self.sections, &self.numbers);
        let deliveries = self.reports.iter_mut().filter_map(|report| match &mut report.0 {
            Kind::Deliver { operation, .. } if numbers.contains_key(&operation.host) => Some(operation),
            Kind::CheckIn { .. } | Kind::Deliver { .. } => None,
        });
        // Of several drafts of one section, only the first is encoded; it is the one that is written.
        let mut drafts: Vec<&mut Draft> = deliveries
            .flat_map(|operation| &mut operation.drafts)
            .filter(|draft| !sections.contains_key(&draft.digest()) && met.insert(draft.digest()))
            .collect();
        context.intern.complete(context.dictionary_session, &mut drafts).await?;
        let facts = self.reports.iter().filter_map(|report| report.checked_in()?.facts.as_ref());
        let texts: BTreeSet<&str> = facts
            .flat_map(|facts| [&facts.os_name, &facts.kernel, &facts.architecture, &facts.agent_version])
            .map(String::as_str)
            .collect();
        if !texts.is_empty() {
            // On the session whose commits wait for the disk: `dictionaries` never forgets what it remembers.
            let numbers = context
                .dictionaries
                .numbers(context.session, super::small_dictionaries::SmallDictionary::Phrase, &texts)
                .await?;
            self.phrases = numbers.into_iter().map(|(text, no)| (text.to_owned(), no)).collect();
        }
        Ok(())
    }
}

impl DigestCache {
    /// Forgets everything: the next server may be a standby that has not received all of it.
    pub(super) fn forget(&self) {
        self.cached().restart(UNKNOWN);
    }

    /// The generation of removals in which the numbers were read; `None` if it is not known yet.
    fn generation(&self) -> Option<i64> {
        Some(self.cached().generation).filter(|generation| *generation != UNKNOWN)
    }

    /// Begins anew if this generation of removals is a later one.
    pub(super) fn advance(&self, generation: i64) {
        let mut cached = self.cached();
        if cached.generation < generation {
            cached.restart(generation);
        }
    }

    fn snapshot(&self, digest: &Digest) -> Option<(i64, Platform)> {
        self.cached().snapshots.get(digest).copied()
    }

    /// The rows of these sections; those that are not in the cache are left in `wanted`.
    fn sections(&self, wanted: &mut BTreeSet<Digest>) -> HashMap<Digest, SectionRow> {
        let mut cached = self.cached();
        let row = |digest: &Digest| Some((*digest, *cached.sections.get(digest)?));
        let found: HashMap<_, _> = wanted.iter().filter_map(row).collect();
        wanted.retain(|digest| !found.contains_key(digest));
        found
    }

    /// Keeps what was read in this generation of removals, unless there is a later one.
    fn put(
        &self,
        generation: i64,
        sections: impl Iterator<Item = (Digest, SectionRow)>,
        snapshots: impl Iterator<Item = (Digest, (i64, Platform))>,
    ) {
        let mut cached = self.cached();
        if cached.generation != generation {
            return;
        }
        for (digest, row) in sections {
            cached.sections.put(digest, row);
        }
        for (digest, known) in snapshots {
            cached.snapshots.put(digest, known);
        }
    }

    fn cached(&self) -> MutexGuard<'_, Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
