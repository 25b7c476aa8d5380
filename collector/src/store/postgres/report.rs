//! Reports: check-ins and deliveries, written many at a time. This file is what is common to a batch; `read` is what it
//! must know first, `decide` what each report comes to, `write` how that is kept.

mod decide;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use muster_proto::model::{Digest, HostId, Look, RunId, Timestamp};
use tokio::sync::oneshot;

use self::decide::HostState;
use super::fault::{Fault, Step};
use super::intern::{Draft, Intern};
use super::memory::Memory;
use super::names::Names;
use super::session::Session;
use crate::store::{CheckIn, CheckInAnswer, Delivered};

/// Statements that are sent without waiting for the one before; they must be prepared first.
pub(super) const STATEMENTS: &[&str] = &[
    read::LOCK,
    read::FACTS,
    write::SECTIONS,
    write::LOOKS,
    write::COMPLETE,
    write::NOW,
    write::HISTORY,
    write::FACTS,
    write::STATES,
    write::DOCKET,
];

/// Sections and looks that are in the database for good, as far as they were met lately.
pub(super) struct Known {
    sections: Mutex<LruCache<Digest, i64>>,
    looks: Mutex<LruCache<Digest, i64>>,
}

impl Default for Known {
    fn default() -> Self {
        const SECTIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
        const LOOKS: NonZeroUsize = NonZeroUsize::new(32_768).unwrap();
        Self { sections: Mutex::new(LruCache::new(SECTIONS)), looks: Mutex::new(LruCache::new(LOOKS)) }
    }
}

/// What a batch works with.
pub(super) struct Desk<'a> {
    pub(super) session: &'a Session,
    /// The connection for new entries of dictionaries.
    pub(super) scribe: &'a Session,
    pub(super) memory: &'a Memory,
    pub(super) intern: &'a Intern,
    pub(super) names: &'a Names,
    pub(super) known: &'a Known,
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
    pub(super) look: Option<Look>,
    pub(super) drafts: Vec<Draft>,
}

/// A report that waits for its answer.
pub(super) struct Report(Kind);

enum Kind {
    CheckIn {
        deed: Box<CheckIn>,
        reply: Option<oneshot::Sender<Step<CheckInAnswer>>>,
        answer: Option<Step<CheckInAnswer>>,
    },
    Deliver {
        deed: Delivery,
        reply: oneshot::Sender<Step<Delivered>>,
        answer: Option<Step<Delivered>>,
    },
}

impl Report {
    pub(super) fn check_in(deed: CheckIn, reply: Option<oneshot::Sender<Step<CheckInAnswer>>>) -> Self {
        Self(Kind::CheckIn { deed: Box::new(deed), reply, answer: None })
    }

    pub(super) const fn deliver(deed: Delivery, reply: oneshot::Sender<Step<Delivered>>) -> Self {
        Self(Kind::Deliver { deed, reply, answer: None })
    }

    fn host(&self) -> HostId {
        match &self.0 {
            Kind::CheckIn { deed, .. } => deed.host,
            Kind::Deliver { deed, .. } => deed.host,
        }
    }

    /// The look that it speaks of.
    fn digest(&self) -> Digest {
        match &self.0 {
            Kind::CheckIn { deed, .. } => deed.look,
            Kind::Deliver { deed, .. } => deed.digest,
        }
    }

    const fn delivery(&self) -> Option<&Delivery> {
        match &self.0 {
            Kind::Deliver { deed, .. } => Some(deed),
            Kind::CheckIn { .. } => None,
        }
    }

    fn checked_in(&self) -> Option<&CheckIn> {
        match &self.0 {
            Kind::CheckIn { deed, .. } => Some(deed),
            Kind::Deliver { .. } => None,
        }
    }

    /// Tells what was decided. Whoever asked may have gone away; the deed is done all the same.
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

    pub(super) fn fail(self, fault: &Fault) {
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

/// What a batch knows of a look.
struct LookState {
    /// Its number, once it has one.
    no: Option<i64>,
    /// Sections of it that are not here.
    missing: Result<Vec<Digest>, Fault>,
    /// Whether its row says that it is complete.
    is_marked: bool,
}

/// One batch.
pub(super) struct Work<'r> {
    reports: &'r mut [Report],
    /// Numbers of the hosts that there are.
    numbers: HashMap<HostId, i32>,
    hosts: BTreeMap<i32, HostState>,
    looks: HashMap<Digest, LookState>,
    /// Numbers of sections that are in the database; once the transaction has begun, also of those that it makes.
    sections: HashMap<Digest, i64>,
    /// Looks whose rows say that they are not complete.
    incomplete: HashMap<Digest, Step<Look>>,
    /// Numbers of the phrases of facts.
    phrases: HashMap<String, i32>,
}

impl<'r> Work<'r> {
    pub(super) fn new(reports: &'r mut [Report]) -> Self {
        Self {
            reports,
            numbers: HashMap::new(),
            hosts: BTreeMap::new(),
            looks: HashMap::new(),
            sections: HashMap::new(),
            incomplete: HashMap::new(),
            phrases: HashMap::new(),
        }
    }

    /// Reads, decides, writes, and commits; then the memory learns of it.
    pub(super) async fn run(mut self, desk: &Desk<'_>) -> Step<()> {
        self.read(desk).await?;
        self.intern(desk).await?;
        self.begin(desk).await?;
        self.decide(desk);
        self.commit(desk).await?;
        self.tell(desk);
        Ok(())
    }

    /// Makes what sections and facts lack in the dictionaries.
    async fn intern(&mut self, desk: &Desk<'_>) -> Step<()> {
        let mut met = BTreeSet::new();
        let (sections, numbers) = (&self.sections, &self.numbers);
        let deliveries = self.reports.iter_mut().filter_map(|report| match &mut report.0 {
            Kind::Deliver { deed, .. } if numbers.contains_key(&deed.host) => Some(deed),
            Kind::CheckIn { .. } | Kind::Deliver { .. } => None,
        });
        let mut drafts: Vec<&mut Draft> = deliveries
            .flat_map(|deed| &mut deed.drafts)
            .filter(|draft| !sections.contains_key(&draft.digest()) && met.insert(draft.digest()))
            .collect();
        desk.intern.complete(desk.scribe, &mut drafts).await?;
        let facts = self.reports.iter().filter_map(|report| report.checked_in()?.facts.as_ref());
        let texts: BTreeSet<&str> = facts
            .flat_map(|facts| [&facts.os_name, &facts.kernel, &facts.architecture, &facts.agent_version])
            .map(String::as_str)
            .collect();
        if !texts.is_empty() {
            // By the connection that waits for the disk: what `names` remembers, it never forgets.
            let numbers = desk.names.numbers(desk.session, super::names::Book::Phrase, &texts).await?;
            self.phrases = numbers.into_iter().map(|(text, no)| (text.to_owned(), no)).collect();
        }
        Ok(())
    }
}

impl Known {
    /// Forgets everything: the server that is connected to next may be a standby that has not all of it.
    pub(super) fn forget(&self) {
        self.sections.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn look(&self, digest: &Digest) -> Option<i64> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied()
    }

    /// The numbers of these sections; those that are not known are left in `wanted`.
    fn sections(&self, wanted: &mut BTreeSet<Digest>) -> HashMap<Digest, i64> {
        let mut known = self.sections.lock().unwrap_or_else(PoisonError::into_inner);
        let found: HashMap<_, _> = wanted.iter().filter_map(|digest| Some((*digest, *known.get(digest)?))).collect();
        wanted.retain(|digest| !found.contains_key(digest));
        found
    }

    fn put(&self, sections: impl Iterator<Item = (Digest, i64)>, looks: impl Iterator<Item = (Digest, i64)>) {
        let mut known = self.sections.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, no) in sections {
            known.put(digest, no);
        }
        drop(known);
        let mut known = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, no) in looks {
            known.put(digest, no);
        }
    }
}
