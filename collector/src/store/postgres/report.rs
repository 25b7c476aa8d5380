//! Reports: check-ins and deliveries, written many at a time. This file is what is common to a batch; `read` is what it
//! must know first, `decide` what each report comes to, `write` how that is kept.

mod decide;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use muster_proto::model::{Digest, HostId, RunId, Snapshot, Timestamp};
use tokio::sync::oneshot;

use self::decide::HostState;
use super::fault::{PostgresFault, Step};
use super::intern::{Draft, Intern};
use super::memory::Memory;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use crate::store::{CheckIn, CheckInAnswer, Delivered};

/// Statements that are sent without waiting for the one before; they must be prepared first.
pub(super) const STATEMENTS: &[&str] = &[
    read::LOCK,
    read::FACTS,
    write::SECTIONS,
    write::SNAPSHOTS,
    write::COMPLETE,
    write::NOW,
    write::HISTORY,
    write::FACTS,
    write::STATES,
    write::JUDGE_QUEUE,
];

/// Sections and snapshots that are in the database for good, as far as they were met lately.
pub(super) struct DigestCache {
    sections: Mutex<LruCache<Digest, i64>>,
    snapshots: Mutex<LruCache<Digest, i64>>,
}

impl Default for DigestCache {
    fn default() -> Self {
        const SECTIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
        const SNAPSHOTS: NonZeroUsize = NonZeroUsize::new(32_768).unwrap();
        Self { sections: Mutex::new(LruCache::new(SECTIONS)), snapshots: Mutex::new(LruCache::new(SNAPSHOTS)) }
    }
}

/// What a batch works with.
pub(super) struct BatchContext<'a> {
    pub(super) session: &'a Session,
    /// The connection for new entries of dictionaries.
    pub(super) scribe: &'a Session,
    pub(super) memory: &'a Memory,
    pub(super) intern: &'a Intern,
    pub(super) dictionaries: &'a SmallDictionaries,
    pub(super) known: &'a DigestCache,
}

/// A delivery whose sections are numbered as far as that could be done before.
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
}

/// A report that waits for its answer.
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

    /// The snapshot that it speaks of.
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

    /// Tells what was decided. Whoever asked may have gone away; the operation is done all the same.
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
                    let _ = reply.send(Err(fault.clone()));
                }
            }
            Kind::Deliver { reply, .. } => {
                let _ = reply.send(Err(fault.clone()));
            }
        }
    }
}

/// What a batch knows of a snapshot.
struct SnapshotState {
    /// Its number, once it has one.
    no: Option<i64>,
    /// Sections of it that are not here.
    missing: Result<Vec<Digest>, PostgresFault>,
    /// Whether its row says that it is complete.
    is_marked: bool,
}

/// One batch.
pub(super) struct Work<'r> {
    reports: &'r mut [Report],
    /// Numbers of the hosts that there are.
    numbers: HashMap<HostId, i32>,
    hosts: BTreeMap<i32, HostState>,
    snapshots: HashMap<Digest, SnapshotState>,
    /// Numbers of sections that are in the database; once the transaction has begun, also of those that it makes.
    sections: HashMap<Digest, i64>,
    /// Looks whose rows say that they are not complete.
    incomplete: HashMap<Digest, Step<Snapshot>>,
    /// Numbers of the phrases of facts.
    phrases: HashMap<String, i32>,
}

impl<'r> Work<'r> {
    pub(super) fn new(reports: &'r mut [Report]) -> Self {
        Self {
            reports,
            numbers: HashMap::new(),
            hosts: BTreeMap::new(),
            snapshots: HashMap::new(),
            sections: HashMap::new(),
            incomplete: HashMap::new(),
            phrases: HashMap::new(),
        }
    }

    /// Reads, decides, writes, and commits; then the memory learns of it.
    pub(super) async fn run(mut self, context: &BatchContext<'_>) -> Step<()> {
        self.read(context).await?;
        self.intern(context).await?;
        self.begin(context).await?;
        self.decide(context);
        self.commit(context).await?;
        self.tell(context);
        Ok(())
    }

    /// Makes what sections and facts lack in the dictionaries.
    async fn intern(&mut self, context: &BatchContext<'_>) -> Step<()> {
        let mut met = BTreeSet::new();
        let (sections, numbers) = (&self.sections, &self.numbers);
        let deliveries = self.reports.iter_mut().filter_map(|report| match &mut report.0 {
            Kind::Deliver { operation, .. } if numbers.contains_key(&operation.host) => Some(operation),
            Kind::CheckIn { .. } | Kind::Deliver { .. } => None,
        });
        let mut drafts: Vec<&mut Draft> = deliveries
            .flat_map(|operation| &mut operation.drafts)
            .filter(|draft| !sections.contains_key(&draft.digest()) && met.insert(draft.digest()))
            .collect();
        context.intern.complete(context.scribe, &mut drafts).await?;
        let facts = self.reports.iter().filter_map(|report| report.checked_in()?.facts.as_ref());
        let texts: BTreeSet<&str> = facts
            .flat_map(|facts| [&facts.os_name, &facts.kernel, &facts.architecture, &facts.agent_version])
            .map(String::as_str)
            .collect();
        if !texts.is_empty() {
            // By the connection that waits for the disk: what `dictionaries` remembers, it never forgets.
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
    /// Forgets everything: the server that is connected to next may be a standby that has not all of it.
    pub(super) fn forget(&self) {
        self.sections.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn snapshot(&self, digest: &Digest) -> Option<i64> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied()
    }

    /// The numbers of these sections; those that are not known are left in `wanted`.
    fn sections(&self, wanted: &mut BTreeSet<Digest>) -> HashMap<Digest, i64> {
        let mut known = self.sections.lock().unwrap_or_else(PoisonError::into_inner);
        let found: HashMap<_, _> = wanted.iter().filter_map(|digest| Some((*digest, *known.get(digest)?))).collect();
        wanted.retain(|digest| !found.contains_key(digest));
        found
    }

    fn put(&self, sections: impl Iterator<Item = (Digest, i64)>, snapshots: impl Iterator<Item = (Digest, i64)>) {
        let mut known = self.sections.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, no) in sections {
            known.put(digest, no);
        }
        drop(known);
        let mut known = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, no) in snapshots {
            known.put(digest, no);
        }
    }
}
