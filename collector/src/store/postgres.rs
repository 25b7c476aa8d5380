//! The backend for many collectors: one PostgreSQL and any number of processes, none of which is special.
//!
//! ```text
//!  deliveries ─► writers (grouped commits, arrays) ─► database ◄─ pool (single operations, reads)
//!     └──────────────► memory (last seen, identities) ◄── heartbeat (once a second) ──► other collectors
//! ```
//!
//! All state is in the database. What is in memory is a cache; `memory` explains why each part of it can be trusted.
//! The order in which locks are taken is documented in `writer`.

mod address;
mod admin;
mod admin_lock;
mod authority;
mod backup;
mod block;
mod changes;
mod check;
mod decisions;
mod dictionary;
mod enrollments;
mod fault;
mod heartbeat;
mod host;
mod identity;
mod index;
mod inspect;
mod intern;
mod judge_queue;
mod last_seen;
mod ledger;
mod list;
mod mark;
mod memory;
mod migrate;
mod pool;
mod purge;
mod removal;
mod report;
mod retention;
mod row;
mod rules;
mod said;
mod section;
mod section_hits;
mod session;
mod settle;
mod small_dictionaries;
mod snapshot;
mod software;
mod tally;
mod tls;
mod unreferenced;
mod verdict;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Digest, HostId, KeyFingerprint, OrderId, SiteId, Snapshot, SoftwareReport, Timestamp};
use muster_proto::terminal::Progress;
use tokio::sync::Notify;

pub(super) use self::backup::{copy_check, copy_in, copy_out, occupants};

use self::address::Address;
use self::enrollments::Enrollments;
use self::fault::PostgresFault;
use self::heartbeat::Heartbeat;
pub(super) use self::inspect::inspect;
use self::intern::Intern;
use self::memory::Memory;
use self::pool::Transaction::{Read, Statement, Write, WriteOnce};
use self::pool::{Lease, Pool};
use self::session::Session;
use self::small_dictionaries::{SmallDictionaries, SmallDictionary};
use self::tls::Tls;
use self::writer::Writer;
use super::{
    Acting, AdminWork, ChangesQuery, CheckIn, CheckInAnswer, Delivered, Delivery, EditionLevel, EditionLimit, Enrolled,
    Enrollment, FleetTally, HistoryRemoved, HistoryStep, HostIdentity, HostQuery, IndexStep, KeyRenewal, QueueDepth,
    QueuedHost, Readmission, Readmitted, Renewed, Restoration, SelectedHost, Settlement, SiteScope, SoftwareQuery,
    Store, StoreCheck, StoreError, StoreSize, StoredChanges, StoredHost, StoredHostRow, UnreferencedPass,
    UnreferencedRemoved, matches_its_digest,
};
use crate::judge::Hit;
use crate::store::decide::tally::Instants;

/// See the head of the file.
pub(super) struct PostgresStore {
    pool: Pool,
    /// Connections of their own for searches, so that reports and the status do not wait for them.
    searches: Pool,
    memory: Arc<Memory>,
    intern: Arc<Intern>,
    dictionaries: Arc<SmallDictionaries>,
    writer: Arc<Writer>,
    enrollments: Enrollments,
    heartbeat: Heartbeat,
    /// This collector's number, a new one for each start.
    me: i32,
}

/// Hosts and database of an address, for messages.
pub(super) fn place(url: &str) -> String {
    Address::read(url).map_or_else(|_| "postgres://…".to_owned(), |address| address.place)
}

impl PostgresStore {
    /// Connects to the database at this URL, and migrates it if needed.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let address = Address::read(url)?;
        let place = address.place.clone();
        let failed = |reason: String| StoreError::Open { place: place.clone(), reason };
        let tls = Tls::new(&address).map_err(failed)?;
        let session = Session::open(&address, &tls, None).await.map_err(|fault| match fault {
            PostgresFault::ConnectionLost(reason) | PostgresFault::Conflict(reason) => failed(reason),
            other @ PostgresFault::Store(_) => failed(other.into_error("open", &place).to_string()),
        })?;
        migrate::migrate(&session, &place).await?;
        let number = session.query_first("SELECT nextval('collector_no')::int4", &[]).await;
        let me = number.and_then(|found| found.map_or(Ok(0), |found| Ok(found.try_get(0)?)));
        let me: i32 = me.map_err(|fault| fault.into_error("open", &place))?;
        drop(session);
        let searches = Pool::new(address.clone(), tls.clone(), pool::SEARCHES);
        let pool = Pool::new(address, tls, pool::MOST);
        let (memory, intern, dictionaries) =
            (Arc::<Memory>::default(), Arc::<Intern>::default(), Arc::<SmallDictionaries>::default());
        let writer = Writer::start(pool.clone(), Arc::clone(&memory), Arc::clone(&intern), Arc::clone(&dictionaries));
        let writer = Arc::new(writer);
        let heartbeat = Heartbeat::start(pool.clone(), Arc::clone(&memory), Arc::clone(&writer), me).await;
        let heartbeat = heartbeat.map_err(|fault| fault.into_error("open", &place))?;
        let enrollments = Enrollments::new(pool.clone(), Arc::clone(&memory));
        Ok(Self { pool, searches, memory, intern, dictionaries, writer, enrollments, heartbeat, me })
    }

    /// The number of a text in a small dictionary, added if it is new.
    async fn number(
        &self,
        operation: &'static str,
        dictionary: SmallDictionary,
        text: &str,
    ) -> Result<i32, StoreError> {
        let number = |lease: Arc<Lease>| async move { self.dictionaries.number(&lease, dictionary, text).await };
        self.pool.run(operation, Statement, number).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn write_check(&self) -> Result<(), StoreError> {
        self.pool.run("write_check", Write, |lease| async move { authority::write_again(&lease).await }).await
    }

    async fn authority_get(&self) -> Result<Option<String>, StoreError> {
        self.pool.run("authority_get", Statement, |lease| async move { authority::get(&lease).await }).await
    }

    async fn authority_claim(&self, pin: &str) -> Result<String, StoreError> {
        self.pool.run("authority_claim", Write, |lease| async move { authority::claim(&lease, pin).await }).await
    }

    async fn admin_write(&self, operation: &'static str, acting: Acting, work: AdminWork) -> Result<(), StoreError> {
        let (acting, work) = (&acting, &work);
        let write = |lease: Arc<Lease>| async move { admin::write(lease, acting, work).await };
        let forgotten = self.pool.run(operation, WriteOnce, write).await;
        self.memory.queue_notify().notify_one();
        for host in forgotten? {
            self.memory.identities_forget(host);
        }
        Ok(())
    }

    async fn admin_read(&self, operation: &'static str, work: AdminWork) -> Result<(), StoreError> {
        let work = &work;
        self.pool.run(operation, Read, |lease: Arc<Lease>| async move { admin::read(lease, work).await }).await
    }

    async fn host_enroll(&self, operation: Enrollment) -> Result<Enrolled, StoreError> {
        let facts = &operation.facts;
        let texts = [&*facts.os_name, &*facts.kernel, &*facts.architecture, &*facts.agent_version];
        let number = |lease: Arc<Lease>| async move { self.dictionaries.phrases(&lease, texts).await };
        let phrases = self.pool.run("host_enroll", Statement, number).await?;
        self.enrollments.enroll(operation, phrases).await
    }

    async fn host_identify(&self, key: KeyFingerprint) -> Result<Option<HostIdentity>, StoreError> {
        let (known, generation) = self.memory.identity(&key);
        if known.is_some() {
            return Ok(known);
        }
        let find = |lease: Arc<Lease>| async move { identity::key(&lease, &key).await };
        match self.pool.run("host_identify", Statement, find).await? {
            Some(found) if found.is_first_use() => {
                let first_use = |lease: Arc<Lease>| async move { identity::first_use(&lease, &key).await };
                let identity = self.pool.run("host_identify", Write, first_use).await;
                self.memory.identities_forget(Some(found.host));
                identity
            }
            Some(found) => {
                let identity = found.identity();
                self.memory.identity_put(key, identity.clone(), generation);
                Ok(Some(identity))
            }
            None => Ok(None),
        }
    }

    async fn restoration_list(&self) -> Result<Vec<Restoration>, StoreError> {
        let list = |lease: Arc<Lease>| async move { identity::restorations(&lease).await };
        self.pool.run("restoration_list", Statement, list).await
    }

    async fn host_readmit(&self, readmission: Readmission) -> Result<Readmitted, StoreError> {
        let operation = "host_readmit";
        let readmission = &readmission;
        let number = |lease: Arc<Lease>| async move {
            let Some(facts) = &readmission.facts else { return Ok(None) };
            let texts = [&*facts.os_name, &*facts.kernel, &*facts.architecture, &*facts.agent_version];
            self.dictionaries.phrases(&lease, texts).await.map(Some)
        };
        let phrases = self.pool.run(operation, Statement, number).await?;
        let readmit = |lease: Arc<Lease>| async move { identity::readmit(&lease, readmission, phrases).await };
        let readmitted = self.pool.run(operation, Write, readmit).await;
        // Also after an error: it may have been committed.
        self.memory.identities_forget(Some(readmission.host));
        self.memory.queue_notify().notify_one();
        readmitted
    }

    async fn host_rekey(&self, renewal: KeyRenewal) -> Result<Renewed, StoreError> {
        let rekey = |lease: Arc<Lease>| async move { identity::rekey(&lease, &renewal).await };
        let renewed = self.pool.run("host_rekey", Write, rekey).await;
        // Also after an error: the renewal may have been committed.
        self.memory.identities_forget(Some(renewal.host));
        renewed
    }

    async fn check_in(&self, operation: CheckIn) -> Result<CheckInAnswer, StoreError> {
        match self.memory.check_in(operation) {
            ControlFlow::Break(answer) => Ok(answer),
            ControlFlow::Continue(operation) => self.writer.check_in(operation).await,
        }
    }

    async fn snapshot_deliver(&self, operation: Delivery) -> Result<Delivered, StoreError> {
        matches_its_digest(&operation)?;
        self.writer.snapshot_deliver(operation).await
    }

    fn editions_limit(&self, limit: EditionLimit) {
        self.intern.bound().set(limit);
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        let size = |lease: Arc<Lease>| async move { inspect::size(&lease).await };
        self.pool.run("size", Statement, size).await
    }

    async fn editions_level(&self) -> Result<EditionLevel, StoreError> {
        let level = |lease: Arc<Lease>| async move {
            self.intern.refresh(&lease).await?;
            Ok(self.intern.level())
        };
        self.pool.run("editions_level", Statement, level).await
    }

    async fn section_get(&self, digest: Digest) -> Result<Option<CanonicalSection>, StoreError> {
        if let Some(known) = self.memory.recent().section(&digest) {
            return Ok(Some(known));
        }
        let get = |lease: Arc<Lease>| async move { section::get(&lease, &self.intern, &digest).await };
        self.pool.run("section_get", Statement, get).await
    }

    fn queue_notify(&self) -> Arc<Notify> {
        Arc::clone(self.memory.queue_notify())
    }

    fn rules_notify(&self) -> Arc<Notify> {
        Arc::clone(self.memory.rules_notify())
    }

    async fn queue_claim(&self, most: usize, now: Timestamp) -> Result<Vec<QueuedHost>, StoreError> {
        if let Some((number, version)) = self.memory.rules().to_readopt() {
            let version = &*version;
            let adopt = |lease: Arc<Lease>| async move { rules::adopt(&lease, version, number, now, true).await };
            self.pool.run("queue_claim", Write, adopt).await?;
        }
        let claim = |lease: Arc<Lease>| async move {
            judge_queue::claim(&lease, &self.memory, &self.dictionaries, self.me, most, now).await
        };
        self.pool.run("queue_claim", Statement, claim).await
    }

    async fn hits_get(
        &self,
        sections: &[Digest],
        rules_version: &str,
    ) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError> {
        let get = |lease: Arc<Lease>| async move {
            match self.dictionaries.find(&lease, SmallDictionary::Rules, rules_version).await? {
                Some(rules) => section_hits::hits_get(&lease, sections, rules).await,
                None => Ok(BTreeMap::new()),
            }
        };
        self.pool.run("hits_get", Statement, get).await
    }

    async fn snapshot_get(&self, digest: Digest) -> Result<Option<Snapshot>, StoreError> {
        if let Some(known) = self.memory.recent().snapshot(&digest) {
            return Ok(Some(known));
        }
        self.pool.run("snapshot_get", Statement, |lease| async move { snapshot::get(&lease, &digest).await }).await
    }

    async fn queue_settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let (dictionaries, settlement) = (&*self.dictionaries, &settlement);
        let number = |lease: Arc<Lease>| async move { settle::Numbers::of(&lease, dictionaries, settlement).await };
        let numbers = &self.pool.run("queue_settle", Statement, number).await?;
        let settle = |lease: Arc<Lease>| async move { settle::settle(&lease, dictionaries, numbers, settlement).await };
        for host in self.pool.run("queue_settle", Write, settle).await? {
            self.memory.judged(host, settlement.now);
        }
        Ok(())
    }

    async fn rules_adopt(&self, rules_version: &str, now: Timestamp) -> Result<bool, StoreError> {
        let number = self.number("rules_adopt", SmallDictionary::Rules, rules_version).await?;
        self.memory.rules().have(number, rules_version);
        let adopt = |lease: Arc<Lease>| async move { rules::adopt(&lease, rules_version, number, now, false).await };
        let adopted = self.pool.run("rules_adopt", Write, adopt).await;
        self.memory.queue_notify().notify_one();
        adopted
    }

    async fn host_judging_page(&self, after: i64, most: usize) -> Result<(Vec<QueuedHost>, Option<i64>), StoreError> {
        let page = |lease: Arc<Lease>| async move {
            judge_queue::page(&lease, &self.memory, &self.dictionaries, after, most).await
        };
        self.pool.run("host_judging_page", Read, page).await
    }

    async fn queue_depth(&self) -> Result<QueueDepth, StoreError> {
        self.pool.run("queue_depth", Statement, |lease| async move { judge_queue::depth(&lease).await }).await
    }

    async fn lane_tally(
        &self,
        order: &OrderId,
        sites: &SiteScope,
        silent_before: Timestamp,
        decided_at: Timestamp,
    ) -> Result<FleetTally, StoreError> {
        let instants = Instants { silent_before, decided_at };
        let read = |lease: Arc<Lease>| async move {
            tally::read(&lease, &self.memory, &self.dictionaries, order, sites, instants).await
        };
        self.pool.run("lane_tally", Read, read).await
    }

    async fn host_list(&self, query: HostQuery) -> Result<Vec<StoredHostRow>, StoreError> {
        let query = &query;
        let read = |lease: Arc<Lease>| async move { list::list(&lease, &self.memory, &self.dictionaries, query).await };
        self.pool.run("host_list", Read, read).await
    }

    async fn host_get(&self, host: HostId) -> Result<Option<StoredHost>, StoreError> {
        let get = |lease: Arc<Lease>| async move { host::get(&lease, &self.memory, &self.dictionaries, host).await };
        self.pool.run("host_get", Read, get).await
    }

    async fn host_find(&self, name: &str, sites: &SiteScope) -> Result<Vec<HostId>, StoreError> {
        let find = |lease: Arc<Lease>| async move {
            host::find(&lease, name, &self.dictionaries.within(&lease, "site", sites).await?).await
        };
        self.pool.run("host_find", Statement, find).await
    }

    async fn host_select(&self, query: HostQuery) -> Result<Vec<SelectedHost>, StoreError> {
        let query = &query;
        let read =
            |lease: Arc<Lease>| async move { list::select(&lease, &self.memory, &self.dictionaries, query).await };
        self.pool.run("host_select", Read, read).await
    }

    async fn host_matches(&self, query: HostQuery) -> Result<u64, StoreError> {
        let query = &query;
        let count = |lease: Arc<Lease>| async move { list::count(&lease, &self.dictionaries, query).await };
        self.pool.run("host_matches", Read, count).await
    }

    async fn site_tally(&self, sites: &SiteScope) -> Result<Vec<(SiteId, u64)>, StoreError> {
        let read = |lease: Arc<Lease>| async move {
            host::by_site(&lease, &self.dictionaries.within(&lease, "c.site", sites).await?).await
        };
        self.pool.run("site_tally", Read, read).await
    }

    async fn host_count(&self, sites: &SiteScope) -> Result<u64, StoreError> {
        let count = |lease: Arc<Lease>| async move {
            host::count(&lease, &self.dictionaries.within(&lease, "site", sites).await?).await
        };
        self.pool.run("host_count", Statement, count).await
    }

    async fn software_find(&self, query: SoftwareQuery) -> Result<SoftwareReport, StoreError> {
        let query = &query;
        let find = |lease: Arc<Lease>| async move {
            software::find(&lease, &self.memory, &self.intern, &self.dictionaries, query).await
        };
        self.searches.run("software_find", Read, find).await
    }

    async fn history_remove(&self, step: HistoryStep) -> Result<HistoryRemoved, StoreError> {
        let step = &step;
        let remove = |lease: Arc<Lease>| async move { retention::remove(&lease, step).await };
        self.pool.run("history_remove", Write, remove).await
    }

    async fn unreferenced_remove(&self, pass: UnreferencedPass) -> Result<UnreferencedRemoved, StoreError> {
        unreferenced::pass(&self.pool, &self.intern, &pass).await
    }

    async fn index_advance(&self, at_least: usize) -> Result<IndexStep, StoreError> {
        self.pool.run("index_advance", Write, |lease| async move { index::advance(&lease, at_least).await }).await
    }

    async fn change_list(&self, query: ChangesQuery) -> Result<StoredChanges, StoreError> {
        let query = &query;
        let list =
            |lease: Arc<Lease>| async move { changes::list(&lease, &self.memory, &self.dictionaries, query).await };
        self.pool.run("change_list", Read, list).await
    }

    async fn check(&self) -> Result<StoreCheck, StoreError> {
        self.pool.run("check", Read, |lease| async move { check::check(&lease, &Progress::default()).await }).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // The last flush needs the pool and may give check-ins to the writers, so both end after it.
        let flushed = self.heartbeat.close().await;
        self.writer.close().await;
        self.pool.close();
        self.searches.close();
        flushed
    }
}
