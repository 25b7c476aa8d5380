//! The embedded backend: one SQLite file, one writer, a few readers.
//!
//! ```text
//!  operations ─► writer (own thread, grouped commits) ─► file ◄─ readers (blocking threads, read-only)
//!               └──► memory (last seen, identities, dictionaries, judge queue) ◄─┘
//! ```

mod admin;
mod attest;
mod authority;
mod backup;
mod changes;
mod check;
mod decisions;
mod dictionary;
mod facts;
mod fault;
mod gap;
mod host;
mod identity;
mod index;
mod inspect;
mod judge_queue;
mod last_seen;
mod ledger;
mod list;
mod mark;
mod memory;
mod migrate;
mod number_mark;
mod open;
mod purge;
mod readers;
mod report;
mod retention;
mod row;
mod said;
mod section;
mod section_hits;
mod settle;
mod snapshot;
mod software;
mod tally;
mod unreferenced;
mod verdict;
mod walk;
mod write_check;
mod writer;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{Digest, HostId, KeyFingerprint, OrderId, SiteId, Snapshot, SoftwareReport, Timestamp};
use muster_proto::terminal::Progress;
use rusqlite::Connection;
use tokio::sync::Notify;

pub(super) use self::backup::{copy_check, copy_in, copy_out, occupants};

use self::dictionary::MemoryOrTable;
pub(super) use self::inspect::inspect;
use self::memory::Memory;
use self::readers::Readers;
use self::report::ReceivedSnapshot;
use self::section::Packed;
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
#[derive(Debug)]
pub(super) struct SqliteStore {
    writer: Writer,
    readers: Readers,
    /// Connections of their own for searches, so that reports and the status do not wait for them.
    searches: Readers,
    memory: Arc<Memory>,
}

impl SqliteStore {
    /// Opens the file of a URL; creates and migrates it if needed.
    pub(super) fn open(url: &str) -> Result<Self, StoreError> {
        let path = open::path_of(url);
        let sql = open::writer(&path)?;
        Self::on(sql, &path)
    }

    /// Opens the file and limits its growth to this many pages, like a disk that is nearly full.
    #[cfg(test)]
    fn open_with_pages(path: &Path, more: i64) -> Result<Self, StoreError> {
        let sql = open::writer(path)?;
        let pages: i64 = sql.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("asks");
        sql.pragma_update(None, "max_page_count", pages + more).expect("limits");
        Self::on(sql, path)
    }

    fn on(sql: Connection, path: &Path) -> Result<Self, StoreError> {
        let place: Arc<str> = path.display().to_string().into();
        let memory = Arc::new(Memory::load(&sql).map_err(|fault| fault.into_error("open", &place))?);
        let readers = Readers::new(path, Arc::clone(&place), Arc::clone(&memory), readers::MOST);
        let searches = Readers::new(path, Arc::clone(&place), Arc::clone(&memory), readers::SEARCHES);
        let writer = Writer::start(sql, Arc::clone(&memory), Arc::clone(&place))
            .map_err(|error| StoreError::Open { place: place.to_string(), reason: error.to_string() })?;
        Ok(Self { writer, readers, searches, memory })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn write_check(&self) -> Result<(), StoreError> {
        let earlier = self.memory.write_fault_take();
        let written = self.writer.operation("write_check", |context| write_check::write(context.sql)).await;
        // Of the check itself, which is reported already.
        let _ = self.memory.write_fault_take();
        written?;
        earlier.map_or(Ok(()), |fault| Err(fault.into_error("write", self.writer.place())))
    }

    async fn authority_get(&self) -> Result<Option<String>, StoreError> {
        self.readers.read("authority_get", |sql, _| authority::get(sql)).await
    }

    async fn authority_claim(&self, pin: &str) -> Result<String, StoreError> {
        let pin = pin.to_owned();
        self.writer.operation("authority_claim", move |context| authority::claim(context.sql, &pin)).await
    }

    async fn admin_write(&self, operation: &'static str, acting: Acting, work: AdminWork) -> Result<(), StoreError> {
        self.writer.operation(operation, move |context| admin::write(context, &acting, &work)).await
    }

    async fn admin_read(&self, operation: &'static str, work: AdminWork) -> Result<(), StoreError> {
        self.readers.read(operation, move |sql, _| admin::read(sql, &work)).await
    }

    async fn host_enroll(&self, operation: Enrollment) -> Result<Enrolled, StoreError> {
        self.writer.operation("host_enroll", move |context| identity::enroll(context, &operation)).await
    }

    async fn host_identify(&self, key: KeyFingerprint) -> Result<Option<HostIdentity>, StoreError> {
        let (known, generation) = self.memory.identity(&key);
        if known.is_some() {
            return Ok(known);
        }
        let found = self.readers.read("host_identify", move |sql, _| identity::key(sql, &key)).await?;
        match found {
            // The first use of a key changes rows, so it is for the writer; a later request caches the identity.
            Some(found) if found.is_first_use() => {
                self.writer.operation("host_identify", move |context| identity::first_use(context, key)).await
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
        self.readers.read("restoration_list", |sql, _| identity::restorations(sql)).await
    }

    async fn host_readmit(&self, readmission: Readmission) -> Result<Readmitted, StoreError> {
        self.writer.operation("host_readmit", move |context| identity::readmit(context, &readmission)).await
    }

    async fn host_rekey(&self, renewal: KeyRenewal) -> Result<Renewed, StoreError> {
        self.writer.operation("host_rekey", move |context| identity::rekey(context, renewal)).await
    }

    async fn check_in(&self, operation: CheckIn) -> Result<CheckInAnswer, StoreError> {
        if let Some(answer) = self.memory.check_in(&operation) {
            return Ok(answer);
        }
        self.writer.operation("check_in", move |context| report::check_in(context, &operation)).await
    }

    async fn snapshot_deliver(&self, mut operation: Delivery) -> Result<Delivered, StoreError> {
        matches_its_digest(&operation)?;
        let mut packed = Vec::with_capacity(operation.sections.len());
        // Encoded in the caller's task, so that the only writer is not busy with it.
        let held_back = operation.sections.iter().try_for_each(|section| {
            packed.push(Packed::new(section, self.memory.dictionaries(), &operation.allowance)?);
            Ok(())
        });
        operation.sections.truncate(packed.len());
        let received = ReceivedSnapshot { operation, packed, held_back: held_back.err() };
        self.writer.operation("snapshot_deliver", move |context| report::deliver(context, &received)).await
    }

    fn editions_limit(&self, limit: EditionLimit) {
        self.memory.dictionaries().bound().set(limit);
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        self.readers.size().await
    }

    async fn editions_level(&self) -> Result<EditionLevel, StoreError> {
        Ok(self.memory.dictionaries().level())
    }

    async fn section_get(&self, digest: Digest) -> Result<Option<CanonicalSection>, StoreError> {
        if let Some(known) = self.memory.recent().section(&digest) {
            return Ok(Some(known));
        }
        let read = move |sql: &Connection, memory: &Memory| {
            section::get(sql, &mut MemoryOrTable(memory.dictionaries(), sql), &digest)
        };
        self.readers.read("section_get", read).await
    }

    fn queue_notify(&self) -> Arc<Notify> {
        Arc::clone(self.memory.queue_notify())
    }

    fn rules_notify(&self) -> Arc<Notify> {
        Arc::clone(self.memory.rules_notify())
    }

    async fn queue_claim(&self, most: usize, now: Timestamp) -> Result<Vec<QueuedHost>, StoreError> {
        self.readers.read("queue_claim", move |sql, memory| judge_queue::claim(sql, memory, most, now)).await
    }

    async fn hits_get(
        &self,
        sections: &[Digest],
        rules_version: &str,
    ) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError> {
        let (sections, rules) = (sections.to_vec(), rules_version.to_owned());
        self.readers.read("hits_get", move |sql, _| section_hits::hits_get(sql, &sections, &rules)).await
    }

    async fn snapshot_get(&self, digest: Digest) -> Result<Option<Snapshot>, StoreError> {
        if let Some(known) = self.memory.recent().snapshot(&digest) {
            return Ok(Some(known));
        }
        self.readers.read("snapshot_get", move |sql, _| snapshot::get(sql, &digest)).await
    }

    async fn queue_settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        self.writer.operation("queue_settle", move |context| settle::settle(context, &settlement)).await
    }

    async fn rules_adopt(&self, rules_version: &str, now: Timestamp) -> Result<bool, StoreError> {
        let rules = rules_version.to_owned();
        self.writer.operation("rules_adopt", move |context| judge_queue::rules_adopt(context, &rules, now)).await
    }

    async fn host_judging_page(&self, after: i64, most: usize) -> Result<(Vec<QueuedHost>, Option<i64>), StoreError> {
        let read = move |sql: &_, memory: &_| judge_queue::page(sql, memory, after, most);
        self.readers.read("host_judging_page", read).await
    }

    async fn queue_depth(&self) -> Result<QueueDepth, StoreError> {
        Ok(judge_queue::depth(&self.memory))
    }

    async fn lane_tally(
        &self,
        order: &OrderId,
        sites: &SiteScope,
        silent_before: Timestamp,
        decided_at: Timestamp,
    ) -> Result<FleetTally, StoreError> {
        let (order, sites) = (order.clone(), sites.clone());
        let instants = Instants { silent_before, decided_at };
        let read = move |sql: &Connection, memory: &Memory| tally::read(sql, memory, &order, &sites, instants);
        self.readers.read("lane_tally", read).await
    }

    async fn host_list(&self, query: HostQuery) -> Result<Vec<StoredHostRow>, StoreError> {
        self.readers.read("host_list", move |sql, memory| list::list(sql, memory, &query)).await
    }

    async fn host_get(&self, host: HostId) -> Result<Option<StoredHost>, StoreError> {
        self.readers.read("host_get", move |sql, memory| host::get(sql, memory, host)).await
    }

    async fn host_find(&self, name: &str, sites: &SiteScope) -> Result<Vec<HostId>, StoreError> {
        let (name, sites) = (name.to_owned(), sites.clone());
        self.readers.read("host_find", move |sql, _| host::find(sql, &name, &sites)).await
    }

    async fn host_select(&self, query: HostQuery) -> Result<Vec<SelectedHost>, StoreError> {
        self.readers.read("host_select", move |sql, memory| list::select(sql, memory, query)).await
    }

    async fn host_matches(&self, query: HostQuery) -> Result<u64, StoreError> {
        self.readers.read("host_matches", move |sql, _| list::count(sql, &query)).await
    }

    async fn site_tally(&self, sites: &SiteScope) -> Result<Vec<(SiteId, u64)>, StoreError> {
        let sites = sites.clone();
        self.readers.read("site_tally", move |sql, _| host::by_site(sql, &sites)).await
    }

    async fn host_count(&self, sites: &SiteScope) -> Result<u64, StoreError> {
        let sites = sites.clone();
        self.readers.read("host_count", move |sql, _| host::count(sql, &sites)).await
    }

    async fn software_find(&self, query: SoftwareQuery) -> Result<SoftwareReport, StoreError> {
        let (budget, most) = (query.budget.clone(), Some(query.budget.remaining()));
        let found =
            self.searches.read_until("software_find", most, move |sql, memory| software::find(sql, memory, &query));
        // A statement that was interrupted, and a read that was given up before it began, do not say why.
        found.await.map_err(|error| budget.check().err().map_or(error, |stop| StoreError::SearchStopped { stop }))
    }

    async fn history_remove(&self, step: HistoryStep) -> Result<HistoryRemoved, StoreError> {
        self.writer.operation("history_remove", move |context| retention::remove(context, &step)).await
    }

    async fn unreferenced_remove(&self, pass: UnreferencedPass) -> Result<UnreferencedRemoved, StoreError> {
        unreferenced::pass(self, pass).await
    }

    async fn index_advance(&self, at_least: usize) -> Result<IndexStep, StoreError> {
        let next = self.readers.read("index_advance", move |sql, _| index::next(sql, at_least)).await?;
        let Some(grown) = next else { return Ok(IndexStep::Nothing) };
        index::put(&self.writer, grown).await?;
        Ok(IndexStep::Taken)
    }

    async fn change_list(&self, query: ChangesQuery) -> Result<StoredChanges, StoreError> {
        self.readers.read("change_list", move |sql, memory| changes::list(sql, memory, &query)).await
    }

    async fn check(&self) -> Result<StoreCheck, StoreError> {
        self.readers.read("check", |sql, _| check::check(sql, &Progress::default())).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // Readers first: an open one can keep the writer from moving the log into the file.
        self.readers.close();
        self.searches.close();
        self.writer.close().await
    }
}
