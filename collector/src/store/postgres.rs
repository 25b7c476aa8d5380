//! The backend for many collectors: one PostgreSQL, any number of processes, none of which leads.
//!
//! ```text
//!  reports ─► writers (grouped commits, arrays) ─► database ◄─ pool (single operations, reads)
//!     └───────────► memory (last seen, identities) ◄── heartbeat (once a second) ──► other collectors
//! ```
//!
//! All state is in the database; what is in memory is a cache, and `memory` says for each why it may be believed. How
//! locks are taken, in one order, stands in `writer`.

mod address;
mod authority;
mod check;
mod dictionary;
mod fault;
mod heartbeat;
mod host;
mod identity;
mod index;
mod intern;
mod judge_queue;
mod last_seen;
mod ledger;
mod list;
mod memory;
mod migrate;
mod pool;
mod report;
mod row;
mod rules;
mod section;
mod section_hits;
mod session;
mod settle;
mod small_dictionaries;
mod snapshot;
mod software;
mod tally;
mod tls;
mod token;
mod verdict;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{
    Digest, HostId, KeyFingerprint, OrderId, Snapshot, SoftwareReport, Timestamp, TokenId, TokenReport,
};
use tokio::sync::Notify;

use self::address::Address;
use self::fault::{PostgresFault, Step};
use self::heartbeat::Heartbeat;
use self::intern::Intern;
use self::memory::Memory;
use self::pool::{Pool, ask, operation, read};
use self::session::Session;
use self::small_dictionaries::{SmallDictionaries, SmallDictionary};
use self::tls::Tls;
use self::writer::Writer;
use super::{
    AccountToken, CheckIn, CheckInAnswer, Delivered, Delivery, Enrolled, Enrollment, HostIdentity, HostQuery,
    IndexStep, KeyRenewal, LaneTally, LedgerRow, NewToken, QueueDepth, QueuedHost, Settlement, SoftwareQuery, Store,
    StoreCheck, StoreError, StoredHost, StoredHostRow, matches_its_digest, renewal_refused,
};
use crate::judge::Hit;

/// See the head of the file.
pub(super) struct PostgresStore {
    pool: Pool,
    memory: Arc<Memory>,
    intern: Arc<Intern>,
    dictionaries: Arc<SmallDictionaries>,
    writer: Arc<Writer>,
    heartbeat: Heartbeat,
    /// This collector's number: a new one for each start.
    me: i32,
}

/// Hosts and database of an address, for people.
pub(super) fn place(url: &str) -> String {
    Address::read(url).map_or_else(|_| "postgres://…".to_owned(), |address| address.place)
}

impl PostgresStore {
    /// Connects to the database that the address dictionaries, and migrates it when needed.
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
        let pool = Pool::new(address, tls);
        let (memory, intern, dictionaries) =
            (Arc::<Memory>::default(), Arc::<Intern>::default(), Arc::<SmallDictionaries>::default());
        let writer = Writer::start(pool.clone(), Arc::clone(&memory), Arc::clone(&intern), Arc::clone(&dictionaries));
        let writer = Arc::new(writer);
        let heartbeat = Heartbeat::start(pool.clone(), Arc::clone(&memory), Arc::clone(&writer), me).await;
        let heartbeat = heartbeat.map_err(|fault| fault.into_error("open", &place))?;
        Ok(Self { pool, memory, intern, dictionaries, writer, heartbeat, me })
    }

    async fn number(&self, session: &Session, dictionary: SmallDictionary, text: &str) -> Step<i32> {
        self.dictionaries.number(session, dictionary, text).await
    }

    /// The numbers of a host's phrases.
    async fn phrases(&self, session: &Session, texts: [&str; 4]) -> Step<[i32; 4]> {
        let numbers = self.dictionaries.numbers(session, SmallDictionary::Phrase, &BTreeSet::from(texts)).await?;
        Ok(texts.map(|text| numbers.get(text).copied().unwrap_or_default()))
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn authority_get(&self) -> Result<Option<String>, StoreError> {
        ask!(self.pool, "authority_get", |lease| authority::get(lease))
    }

    async fn authority_claim(&self, pin: &str) -> Result<String, StoreError> {
        operation!(self.pool, "authority_claim", |lease| authority::claim(lease, pin))
    }

    async fn token_create(&self, new: NewToken) -> Result<(), StoreError> {
        let site: Result<i32, StoreError> =
            ask!(self.pool, "token_create", |lease| self.number(lease, SmallDictionary::Site, new.site.as_str()));
        let site = site?;
        operation!(self.pool, "token_create", once | lease | token::create(lease, site, &new))
    }

    async fn token_list(&self) -> Result<Vec<TokenReport>, StoreError> {
        ask!(self.pool, "token_list", |lease| token::list(lease))
    }

    async fn token_revoke(&self, id: &TokenId, now: Timestamp) -> Result<bool, StoreError> {
        operation!(self.pool, "token_revoke", |lease| token::revoke(lease, id, now))
    }

    async fn account_token_put(&self, operator: AccountToken) -> Result<(), StoreError> {
        operation!(self.pool, "account_token_put", once | lease | token::account_token_put(lease, &operator))
    }

    async fn account_token_get(&self, id: &TokenId) -> Result<Option<AccountToken>, StoreError> {
        ask!(self.pool, "account_token_get", |lease| token::account_token_get(lease, id))
    }

    async fn host_enroll(&self, operation: Enrollment) -> Result<Enrolled, StoreError> {
        let facts = &operation.facts;
        let texts = [&*facts.os_name, &*facts.kernel, &*facts.architecture, &*facts.agent_version];
        let phrases: Result<[i32; 4], StoreError> = ask!(self.pool, "host_enroll", |lease| self.phrases(lease, texts));
        let phrases = phrases?;
        let enrolled = operation!(self.pool, "host_enroll", |lease| identity::enroll(lease, &operation, phrases));
        self.memory.queue_notify().notify_one();
        enrolled
    }

    async fn host_identify(&self, key: KeyFingerprint) -> Result<Option<HostIdentity>, StoreError> {
        let (known, generation) = self.memory.identity(&key);
        if known.is_some() {
            return Ok(known);
        }
        let found: Result<_, StoreError> = ask!(self.pool, "host_identify", |lease| identity::key(lease, &key));
        match found? {
            Some(found) if found.is_first_use() => {
                let identity = operation!(self.pool, "host_identify", |lease| identity::first_use(lease, &key));
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

    async fn host_rekey(&self, renewal: KeyRenewal) -> Result<(), StoreError> {
        let is_done: Result<bool, StoreError> =
            operation!(self.pool, "host_rekey", |lease| identity::rekey(lease, &renewal));
        self.memory.identities_forget(Some(renewal.host));
        if is_done? { Ok(()) } else { Err(renewal_refused(renewal.host)) }
    }

    async fn host_revoke(&self, host: HostId, now: Timestamp) -> Result<bool, StoreError> {
        let done = operation!(self.pool, "host_revoke", |lease| identity::revoke(lease, host, now));
        self.memory.identities_forget(Some(host));
        done
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

    async fn section_get(&self, digest: Digest) -> Result<Option<CanonicalSection>, StoreError> {
        if let Some(known) = self.memory.recent().section(&digest) {
            return Ok(Some(known));
        }
        ask!(self.pool, "section_get", |lease| section::get(lease, &self.intern, &digest))
    }

    fn queue_notify(&self) -> Arc<Notify> {
        Arc::clone(self.memory.queue_notify())
    }

    async fn queue_claim(&self, most: usize, now: Timestamp) -> Result<Vec<QueuedHost>, StoreError> {
        if let Some((number, version)) = self.memory.rules().to_bring_back() {
            let _: bool =
                operation!(self.pool, "queue_claim", |lease| rules::adopt(lease, &version, number, now, true))?;
        }
        ask!(self.pool, "queue_claim", |lease| judge_queue::claim(
            lease,
            &self.memory,
            &self.dictionaries,
            self.me,
            most,
            now
        ))
    }

    async fn hits_get(
        &self,
        sections: &[Digest],
        rules_version: &str,
    ) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError> {
        ask!(self.pool, "hits_get", |lease| async {
            match self.dictionaries.find(lease, SmallDictionary::Rules, rules_version).await? {
                Some(rules) => section_hits::hits_get(lease, sections, rules).await,
                None => Ok(BTreeMap::new()),
            }
        })
    }

    async fn snapshot_get(&self, digest: Digest) -> Result<Option<Snapshot>, StoreError> {
        if let Some(known) = self.memory.recent().snapshot(&digest) {
            return Ok(Some(known));
        }
        ask!(self.pool, "snapshot_get", |lease| snapshot::get(lease, &digest))
    }

    async fn queue_settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let numbers: Result<settle::Numbers<'_>, StoreError> =
            ask!(self.pool, "queue_settle", |lease| settle::Numbers::of(lease, &self.dictionaries, &settlement));
        let numbers = numbers?;
        let judged: Result<Vec<HostId>, StoreError> = operation!(self.pool, "queue_settle", |lease| settle::settle(
            lease,
            &self.dictionaries,
            &numbers,
            &settlement
        ));
        for host in judged? {
            self.memory.judged(host, settlement.now);
        }
        Ok(())
    }

    async fn rules_adopt(&self, rules_version: &str, now: Timestamp) -> Result<bool, StoreError> {
        let number: Result<i32, StoreError> =
            ask!(self.pool, "rules_adopt", |lease| self.number(lease, SmallDictionary::Rules, rules_version));
        let number = number?;
        self.memory.rules().have(number, rules_version);
        let adopted =
            operation!(self.pool, "rules_adopt", |lease| rules::adopt(lease, rules_version, number, now, false));
        self.memory.queue_notify().notify_one();
        adopted
    }

    async fn queue_depth(&self) -> Result<QueueDepth, StoreError> {
        ask!(self.pool, "queue_depth", |lease| judge_queue::depth(lease))
    }

    async fn lane_tally(&self, order: &OrderId, silent_before: Timestamp) -> Result<LaneTally, StoreError> {
        read!(self.pool, "lane_tally", |lease| async {
            let order = self.dictionaries.find(lease, SmallDictionary::Order, order.as_str()).await?;
            tally::read(lease, &self.memory, order, silent_before).await
        })
    }

    async fn host_list(&self, query: HostQuery) -> Result<Vec<StoredHostRow>, StoreError> {
        read!(self.pool, "host_list", |lease| list::list(lease, &self.memory, &self.dictionaries, &query))
    }

    async fn host_get(&self, host: HostId) -> Result<Option<StoredHost>, StoreError> {
        read!(self.pool, "host_get", |lease| host::get(lease, &self.memory, &self.dictionaries, host))
    }

    async fn host_find(&self, name: &str) -> Result<Vec<HostId>, StoreError> {
        ask!(self.pool, "host_find", |lease| host::find(lease, name))
    }

    async fn host_count(&self) -> Result<u64, StoreError> {
        ask!(self.pool, "host_count", |lease| host::count(lease))
    }

    async fn software_find(&self, query: SoftwareQuery) -> Result<SoftwareReport, StoreError> {
        read!(self.pool, "software_find", |lease| software::find(lease, &self.memory, &self.intern, &query))
    }

    async fn index_advance(&self, at_least: usize) -> Result<IndexStep, StoreError> {
        operation!(self.pool, "index_advance", |lease| index::advance(lease, at_least))
    }

    async fn ledger_list(&self, after: u64, most: usize) -> Result<Vec<LedgerRow>, StoreError> {
        read!(self.pool, "ledger_list", |lease| ledger::list(lease, after, most))
    }

    async fn check(&self) -> Result<StoreCheck, StoreError> {
        read!(self.pool, "check", |lease| check::check(lease))
    }

    async fn close(&self) -> Result<(), StoreError> {
        let flushed = self.heartbeat.close().await;
        self.writer.close().await;
        self.pool.close();
        flushed
    }
}
