//! The store: everything that a collector remembers. One trait, two backends (SQLite, PostgreSQL), one contract suite.
//!
//! A method of the trait is one operation: one whole transaction, so that no caller can do half of it. What an
//! operation decides is written once, in `decide`; a backend loads, decides and writes. Rows and SQL are private to a
//! backend.
//!
//! Acknowledged means committed: the bytes of a delivery, the host's current snapshot, and its place in the judge
//! queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::model::{Digest, HostId, KeyFingerprint, OrderId, SiteId, Snapshot, SoftwareReport, Timestamp};
use muster_proto::terminal::Progress;
use tokio::sync::Notify;

pub use self::admin::roster::by_hand::ByHandRefusal;
pub use self::admin::sealing::{SealedLedger, StoredLeaf};
pub use self::backup::{copy_check, copy_in, copy_out, occupants};
pub use self::changes::{ChangeKey, ChangesQuery, NotAChangeKey, StoredChanges};
pub use self::contradiction::Contradiction;
pub use self::copy::{CopyCheck, Restoration, StoreKind};
pub use self::decide::accounts::AccountRefusal;
pub use self::decide::duties::FinishRefusal;
pub(crate) use self::decide::past::{NotKnown, OrderThen};
pub(crate) use self::decide::waivers::TermAsked;
pub use self::decide::waivers::{AskRefusal, DecideRefusal};
pub use self::edition_bounds::{Allowance, EditionLevel, EditionLimit, EditionTotals, HeldBack};
pub use self::history_removal::{HistoryRemoved, HistoryStep};
pub use self::host_filter::HostFilter;
pub use self::host_query::{HostKey, HostQuery, HostSort, SelectedHost};
pub use self::judged::{JudgedOrder, Judgement, QueuedHost, Settlement};
pub use self::operations::{
    CheckIn, CheckInAnswer, Delivered, Delivery, Enrolled, Enrollment, HostIdentity, KeyRenewal, NewToken, Readmission,
    Readmitted, Renewed,
};
pub use self::purge::Purged;
pub use self::search_budget::{AbandonOnDrop, SearchBudget, SearchLimits, SearchStop};
pub use self::site_scope::SiteScope;
pub use self::size::StoreSize;
pub(crate) use self::software::software_page_is_full;
pub use self::software::{IndexStep, InstalledStates, SoftwareQuery, VersionFilter};
pub use self::sql::{Acting, AdminTx, AdminWork};
pub use self::stored::{
    DecidedPlace, EntryCount, FleetTally, Inspection, LaneTally, LedgerRow, QueueDepth, StoreCheck, StoredHost,
    StoredHostRow, StoredSnapshot, StoredVerdict,
};
pub use self::unreferenced::{Unreferenced, UnreferencedPass, UnreferencedRemoved};
use crate::judge::Hit;

pub(crate) mod admin;
mod arena;
mod attestations;
mod backup;
mod body;
mod changes;
#[cfg(test)]
pub(crate) mod contract;
mod contradiction;
mod copy;
mod decide;
mod decision_sql;
mod edition_bounds;
mod edition_detail;
mod edition_search;
mod edition_table;
mod fault;
mod history_removal;
mod host_filter;
mod host_query;
mod judged;
mod last_seen;
mod number_set;
mod operations;
mod postgres;
mod postings;
mod product_code;
mod purge;
mod recent_uploads;
mod schema;
mod search_budget;
mod site_scope;
mod size;
mod snapshot_codec;
mod software;
pub mod sql;
mod sqlite;
mod stored;
mod texts;
mod unreferenced;
mod varint;
mod versioned_json;

/// Opens the store at a URL: `postgres://…`, or one that [`open`] accepts. Creates and migrates the schema if needed.
///
/// # Errors
/// The database cannot be reached or opened, has a newer schema, or is damaged; or there is no such kind of store.
pub async fn connect(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    if is_postgres(url) { Ok(Arc::new(postgres::PostgresStore::open(url).await?)) } else { open(url) }
}

/// Whether the URL is of a PostgreSQL database, which several collectors can share.
#[must_use]
pub fn is_postgres(url: &str) -> bool {
    matches!(url.split_once("://"), Some(("postgres" | "postgresql", _)))
}

/// The place of a store for messages: hosts and database, or the file. Contains no user and no password.
#[must_use]
pub fn place(url: &str) -> String {
    if is_postgres(url) { postgres::place(url) } else { url.to_owned() }
}

/// Opens the embedded store in a file: `sqlite:///var/lib/muster/fleet.db`, or the path alone. Creates and migrates it
/// if needed.
///
/// # Errors
/// The file cannot be opened, has a newer schema, or is damaged; or the URL is of another kind of store.
pub fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    is_embedded(url)?;
    Ok(Arc::new(sqlite::SqliteStore::open(url)?))
}

fn is_embedded(url: &str) -> Result<(), StoreError> {
    match url.split_once("://") {
        Some((scheme, _)) if scheme != "sqlite" => Err(StoreError::Open {
            // The rest of the URL may contain a password.
            place: format!("{scheme}://…"),
            reason: "the URL must be sqlite:///path/to/file or postgres://user@host/database".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Checks the store at a URL without changing anything: creates no file and no table, and migrates nothing. A collector
/// may use the store meanwhile. `progress` counts the records.
///
/// # Errors
/// The store is missing or empty, cannot be reached, has another schema, or is damaged so that it cannot be opened.
pub async fn inspect(url: &str, progress: &Progress) -> Result<Inspection, StoreError> {
    if is_postgres(url) {
        return postgres::inspect(url, progress).await;
    }
    is_embedded(url)?;
    let (place, url, progress) = (url.to_owned(), url.to_owned(), progress.clone());
    let inspected = tokio::task::spawn_blocking(move || sqlite::inspect(&url, &progress)).await;
    inspected.unwrap_or_else(|error| Err(StoreError::Open { place, reason: error.to_string() }))
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("cannot open the database {place}: {reason}")]
    Open {
        /// Path or address, without secrets.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A newer version of the collector has migrated the database.
    #[error("the database {place} has schema {found}, but this version supports only up to {known}")]
    NewerSchema {
        /// Path or address.
        place: String,
        /// The number of its schema.
        found: i64,
        /// The number of the newest schema that this version knows.
        known: i64,
    },
    /// The database needs migrations. Only a check reports this: a collector migrates when it opens the store.
    #[error("the database {place} has schema {found}; this version needs schema {known}")]
    OlderSchema {
        /// Path or address.
        place: String,
        /// The number of its schema.
        found: i64,
        /// The number of the newest schema that this version knows.
        known: i64,
    },
    /// The database has no tables. Only a check reports this: a collector creates them when it opens the store.
    #[error("the database {place} is empty")]
    Empty {
        /// Path or address.
        place: String,
    },
    /// Another build of the collector made the database: one of its migrations has another text than ours.
    #[error("the database {place} was made by another build of Muster: its migration {number} ({name}) differs")]
    OtherSchema {
        /// Path or address.
        place: String,
        /// The number of the migration.
        number: i64,
        /// The name of the migration.
        name: String,
    },
    /// A statement failed; nothing of the operation was stored.
    #[error("{operation}: {reason}")]
    Operation {
        /// The operation.
        operation: &'static str,
        /// What the database reported.
        reason: String,
    },
    /// The disk is full; nothing of the operation was stored.
    #[error("{operation}: no space left for the database {place}")]
    Full {
        /// The operation.
        operation: &'static str,
        /// Path or address.
        place: String,
    },
    /// The dictionary has as many editions as it may have; nothing of the operation was stored.
    #[error("{operation}: the dictionary of editions is full")]
    EditionsFull {
        /// The operation.
        operation: &'static str,
    },
    /// The database cannot be reached or accepts no writes. Nothing that was acknowledged is lost.
    #[error("{operation}: the database {place} is not reachable: {reason}")]
    Unreachable {
        /// The operation.
        operation: &'static str,
        /// Address, without secrets.
        place: String,
        /// What the system or the server reported.
        reason: String,
    },
    /// Stored bytes are not what they should be.
    #[error("{what} is damaged in the database: {reason}")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A search ended without an answer.
    #[error("the search was ended: {stop}")]
    SearchStopped {
        /// Why.
        stop: SearchStop,
    },
    /// The store is closing.
    #[error("{operation}: the store is closed")]
    Closed {
        /// The operation.
        operation: &'static str,
    },
}

impl StoreError {
    /// What to do about it, if the error alone says so.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NewerSchema { .. } => Some("start the newer collector, or restore a backup from before the upgrade"),
            Self::OtherSchema { .. } => Some(
                "start the build that made it, or restore a backup from this build with `muster-collector restore DIR`; \
                 nothing was changed",
            ),
            Self::OlderSchema { .. } => Some("start the collector: it migrates the database"),
            Self::Full { .. } => Some("free some space, then start again; nothing that was acknowledged is lost"),
            Self::Unreachable { .. } => Some("check that the database server runs and that store.url is right"),
            Self::EditionsFull { .. } => Some("raise editions.most or editions.text_bytes"),
            Self::Open { .. }
            | Self::Empty { .. }
            | Self::Operation { .. }
            | Self::Damaged { .. }
            | Self::SearchStopped { .. }
            | Self::Closed { .. } => None,
        }
    }
}

/// The store of one fleet. Every method is one operation: one whole transaction, which is committed before the method
/// returns. If a method fails, nothing of its operation was stored, except after [`StoreError::Unreachable`]: if the
/// connection is lost during the commit, the operation may have been stored. Operations may be repeated, except
/// [`Store::admin_write`], which may add another ledger entry.
///
/// Any method can fail with [`StoreError::Operation`], [`StoreError::Unreachable`], [`StoreError::Damaged`] and
/// [`StoreError::Closed`], and any method that writes with [`StoreError::Full`]; below, "the database fails" means
/// these.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes a little, as durably as everything else, to learn whether the store accepts writes. Also fails if another
    /// write has failed since the last call, because a small write can succeed where a larger one has no space.
    ///
    /// # Errors
    /// The store accepts no writes, or did not do so since the last call.
    async fn write_check(&self) -> Result<(), StoreError>;

    /// The pin of the CA that signs the certificates of the hosts in this store; `None` if no collector has used it yet.
    ///
    /// # Errors
    /// The database fails.
    async fn authority_get(&self) -> Result<Option<String>, StoreError>;

    /// Stores the pin of the CA, unless there is one already. Returns the pin that is stored.
    ///
    /// # Errors
    /// The database fails.
    async fn authority_claim(&self, pin: &str) -> Result<String, StoreError>;

    /// Does administrative work that writes: see [`sql`].
    ///
    /// # Errors
    /// The work broke a rule of the door ([`StoreError::Operation`]), or the database fails.
    async fn admin_write(&self, operation: &'static str, acting: Acting, work: AdminWork) -> Result<(), StoreError>;

    /// Does administrative work that only reads, at one moment of the database.
    ///
    /// # Errors
    /// The work tried to write ([`StoreError::Operation`]), or the database fails.
    async fn admin_read(&self, operation: &'static str, work: AdminWork) -> Result<(), StoreError>;

    /// Enrolls a host: counts one use of the token, creates the host with its key, and puts it on the judge queue. A
    /// repeated request with a known key gets the host of that key and costs no use.
    ///
    /// # Errors
    /// The database fails. A request that is refused is no error: see [`Enrolled`].
    async fn host_enroll(&self, operation: Enrollment) -> Result<Enrolled, StoreError>;

    /// The host that has this key, `None` if nobody has it. If a renewed key is shown for the first time, it is marked
    /// as in use, and from then on the older keys of the host are superseded.
    ///
    /// # Errors
    /// The database fails.
    async fn host_identify(&self, key: KeyFingerprint) -> Result<Option<HostIdentity>, StoreError>;

    /// The restores of this store from backups.
    ///
    /// # Errors
    /// The database fails.
    async fn restoration_list(&self) -> Result<Vec<Restoration>, StoreError>;

    /// Adds the key of a certificate, and its host if it is not stored. The caller has checked that the certificate was
    /// issued in the time that a restore has lost.
    ///
    /// # Errors
    /// The database fails. A request that is refused is no error: see [`Readmitted`].
    async fn host_readmit(&self, readmission: Readmission) -> Result<Readmitted, StoreError>;

    /// Gives the host a new key. The old one stays valid until the new one is used. Repeating a renewal changes
    /// nothing.
    ///
    /// # Errors
    /// The database fails. A renewal that is refused is no error: see [`Renewed`].
    async fn host_rekey(&self, renewal: KeyRenewal) -> Result<Renewed, StoreError>;

    /// Records a check-in, and changed facts and state if they were sent. If the snapshot is stored and complete, it
    /// becomes the host's current one. A repeated check-in is acknowledged only if everything that it says is current. A check-in that changes nothing but "last seen" is answered from memory; its
    /// time is written within about a second.
    ///
    /// # Errors
    /// The database fails. An unknown host is no error: see [`CheckInAnswer`].
    async fn check_in(&self, operation: CheckIn) -> Result<CheckInAnswer, StoreError>;

    /// Stores a delivery. When all sections of the snapshot are stored, it becomes the host's current one, and the host
    /// is put on the judge queue. From the first section on whose new editions exceed the allowance of the delivery or the
    /// bound of the dictionary, its sections are left out.
    ///
    /// # Errors
    /// [`StoreError::EditionsFull`] if other deliveries have filled the dictionary meanwhile.
    /// [`StoreError::Damaged`] if the snapshot does not have the digest that the delivery states. The database fails.
    async fn snapshot_deliver(&self, operation: Delivery) -> Result<Delivered, StoreError>;

    /// Sets the limit of the dictionary of editions. Until then it has none. A limit below what it holds removes nothing.
    fn editions_limit(&self, limit: EditionLimit);

    /// How full the dictionary of editions is.
    ///
    /// # Errors
    /// The database fails.
    async fn editions_level(&self) -> Result<EditionLevel, StoreError>;

    /// How large it is, and how much its disk can still hold.
    ///
    /// # Errors
    /// The database or its disk fails.
    async fn size(&self) -> Result<StoreSize, StoreError>;

    /// A section by its digest: from memory if it was delivered recently, otherwise rebuilt from its interned form.
    ///
    /// # Errors
    /// The database fails.
    async fn section_get(&self, digest: Digest) -> Result<Option<CanonicalSection>, StoreError>;

    /// Notified after each commit of this process that put a host on the judge queue.
    fn queue_notify(&self) -> Arc<Notify>;

    /// Notified after a change of what is applied over the rules, by this process or another one.
    fn rules_notify(&self) -> Arc<Notify>;

    /// Claims at most `most` hosts that wait for judgement, those that have waited longest first. A claim ends when the
    /// host is settled, or after a minute.
    ///
    /// # Errors
    /// The database fails.
    async fn queue_claim(&self, most: usize, now: Timestamp) -> Result<Vec<QueuedHost>, StoreError>;

    /// Hosts with all that judging them needs, whether they wait or not, at most `most`: those whose row numbers come after
    /// `after`. Also the last of their numbers; `None` if there are no more hosts. Claims nothing and writes nothing.
    ///
    /// # Errors
    /// The database fails.
    async fn host_judging_page(&self, after: i64, most: usize) -> Result<(Vec<QueuedHost>, Option<i64>), StoreError>;

    /// The hits of these sections under this version of the rules. A section that was not matched against this version
    /// yet has no entry; a section without hits has an empty one.
    ///
    /// # Errors
    /// The database fails.
    async fn hits_get(
        &self,
        sections: &[Digest],
        rules_version: &str,
    ) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError>;

    /// A snapshot by its digest, complete or not.
    ///
    /// # Errors
    /// The database fails.
    async fn snapshot_get(&self, digest: Digest) -> Result<Option<Snapshot>, StoreError>;

    /// Stores hits, verdicts, their history, ledger entries and the tally, and takes the hosts off the judge queue. A
    /// judgement is left out if its ticket is not the host's newest: the host has changed since, and is judged again. Hits
    /// of a section that is not stored are left out: it was removed meanwhile.
    ///
    /// # Errors
    /// The database fails.
    async fn queue_settle(&self, settlement: Settlement) -> Result<(), StoreError>;

    /// Puts every host on the judge queue if these rules are not the ones in force; `false` if they are.
    ///
    /// # Errors
    /// The database fails.
    async fn rules_adopt(&self, rules_version: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// The length of the judge queue.
    ///
    /// # Errors
    /// The database fails.
    async fn queue_depth(&self) -> Result<QueueDepth, StoreError>;

    /// The number of hosts of these sites under one order, by lane and by whether they are on the roster, and of the entries of
    /// the roster at these sites. A host is silent if it was last seen before `silent_before`; waivers and dispositions are those
    /// in force at `decided_at`.
    ///
    /// # Errors
    /// The database fails.
    async fn lane_tally(
        &self,
        order: &OrderId,
        sites: &SiteScope,
        silent_before: Timestamp,
        decided_at: Timestamp,
    ) -> Result<FleetTally, StoreError>;

    /// One page of hosts, at most [`HostQuery::rows`].
    ///
    /// # Errors
    /// The database fails.
    async fn host_list(&self, query: HostQuery) -> Result<Vec<StoredHostRow>, StoreError>;

    /// All hosts of a query, at most [`HostQuery::rows`], in the order of their ids. Reads no more of them than what says
    /// whether they match.
    ///
    /// # Errors
    /// The database fails.
    async fn host_select(&self, query: HostQuery) -> Result<Vec<SelectedHost>, StoreError>;

    /// Everything about one host.
    ///
    /// # Errors
    /// The database fails.
    async fn host_get(&self, host: HostId) -> Result<Option<StoredHost>, StoreError>;

    /// The first ten hosts of these sites with exactly this name, in any case of its letters, in the order of their ids.
    ///
    /// # Errors
    /// The database fails.
    async fn host_find(&self, name: &str, sites: &SiteScope) -> Result<Vec<HostId>, StoreError>;

    /// The number of hosts that match a query, on all of its pages. Reads every host of its sites: for lists without a
    /// name, counts are in [`Self::lane_tally`] and [`Self::site_tally`].
    ///
    /// # Errors
    /// The database fails.
    async fn host_matches(&self, query: HostQuery) -> Result<u64, StoreError>;

    /// The number of hosts of each of these sites, in the order of the sites' ids. Sites without hosts are left out.
    ///
    /// # Errors
    /// The database fails.
    async fn site_tally(&self, sites: &SiteScope) -> Result<Vec<(SiteId, u64)>, StoreError>;

    /// The number of hosts of these sites.
    ///
    /// # Errors
    /// The database fails.
    async fn host_count(&self, sites: &SiteScope) -> Result<u64, StoreError>;

    /// Which software matches a text, and which hosts have it in their current snapshots.
    ///
    /// # Errors
    /// The text cannot be searched for, or the database fails.
    async fn software_find(&self, query: SoftwareQuery) -> Result<SoftwareReport, StoreError>;

    /// Removes the past of some hosts that has ended long ago: a step of the job that keeps to the retention. What is current
    /// is never removed.
    ///
    /// # Errors
    /// The database fails.
    async fn history_remove(&self, step: HistoryStep) -> Result<HistoryRemoved, StoreError>;

    /// Goes over the whole store once and removes snapshots, sections and judged states that nothing refers to. It is made of
    /// many transactions, each of few rows; ending it in the middle is safe. What is removed and named again by a host is
    /// asked for again.
    ///
    /// # Errors
    /// The database fails. What was removed until then stays removed.
    async fn unreferenced_remove(&self, pass: UnreferencedPass) -> Result<UnreferencedRemoved, StoreError>;

    /// Builds a part of the search index: a segment of the newest sections, once they have at least `at_least`
    /// observations, or one merge of segments. Searches are correct without it, but slower.
    ///
    /// # Errors
    /// The database fails.
    async fn index_advance(&self, at_least: usize) -> Result<IndexStep, StoreError>;

    /// Hosts that changed lane, the newest or the oldest first, at most [`ChangesQuery::rows`]. What silence changes is computed. Takes time
    /// in proportion to the changes since [`ChangesQuery::since`] and to the number of silent hosts.
    ///
    /// # Errors
    /// The database fails.
    async fn change_list(&self, query: ChangesQuery) -> Result<StoredChanges, StoreError>;

    /// Checks digests, references, histories, tallies and the search index of the whole store. Takes time in proportion
    /// to its size.
    ///
    /// # Errors
    /// The database fails. What the check finds wrong is in its result.
    async fn check(&self) -> Result<StoreCheck, StoreError>;

    /// Writes what is only in memory ("last seen") and closes the store. Later operations fail with
    /// [`StoreError::Closed`]. Closing again does nothing.
    ///
    /// # Errors
    /// The last write failed: up to a second of "last seen" is lost.
    async fn close(&self) -> Result<(), StoreError>;
}

/// Checks once more that a snapshot has the digest under which it will be stored. Ingest has checked it and answered
/// the agent; sections compute their own digests.
fn matches_its_digest(operation: &Delivery) -> Result<(), StoreError> {
    match &operation.snapshot {
        Some(snapshot) if canonical::snapshot_digest(snapshot) != operation.digest => Err(StoreError::Damaged {
            what: format!("snapshot {}", operation.digest.short()),
            reason: "the delivered snapshot has another digest".to_owned(),
        }),
        _ => Ok(()),
    }
}
