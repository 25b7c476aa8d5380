//! What is kept, and the operations that change it. One trait, two backends, one contract suite.
//!
//! A method is a whole operation in one transaction: its caller cannot forget half of it. Rows and SQL are private to a
//! backend. Acknowledged means committed: bytes, the host's pointer to its snapshot, and its place on the judge queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::model::{
    Digest, HostId, KeyFingerprint, OrderId, Snapshot, SoftwareReport, Timestamp, TokenId, TokenReport,
};
use tokio::sync::Notify;

pub use self::judged::{JudgedOrder, Judgement, QueuedHost, Settlement};
pub use self::operations::{
    AccountToken, CheckIn, CheckInAnswer, Delivered, Delivery, Enrolled, Enrollment, HostIdentity, KeyRenewal, NewToken,
};
pub use self::software::{IndexStep, SoftwareQuery};
pub use self::stored::{
    HostQuery, LaneTally, LedgerRow, QueueDepth, StoreCheck, StoredHost, StoredHostRow, StoredSnapshot, StoredVerdict,
};
use crate::judge::Hit;

mod body;
#[cfg(test)]
pub(crate) mod contract;
mod decide;
mod fault;
mod judged;
mod last_seen;
mod operations;
mod postgres;
mod postings;
mod recent_uploads;
mod snapshot_codec;
mod software;
mod sqlite;
mod stored;
mod texts;
mod versioned_json;

/// Opens the store that a setting names: `postgres://…`, or what [`open`] opens.
///
/// # Errors
/// It cannot be reached or opened, was written by a newer version, is damaged, or is of a kind that there is not.
pub async fn connect(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    if is_postgres(url) { Ok(Arc::new(postgres::PostgresStore::open(url).await?)) } else { open(url) }
}

/// Whether the setting names a PostgreSQL, which many collectors may share.
#[must_use]
pub fn is_postgres(url: &str) -> bool {
    matches!(url.split_once("://"), Some(("postgres" | "postgresql", _)))
}

/// Hosts and database, or the file, for people: never a user or a password.
#[must_use]
pub fn place(url: &str) -> String {
    if is_postgres(url) { postgres::place(url) } else { url.to_owned() }
}

/// Opens the embedded store in a file: `sqlite:///var/lib/muster/fleet.db`, or the bare path of the file.
///
/// # Errors
/// It cannot be opened, was written by a newer version, is damaged, or is of another kind.
pub fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    match url.split_once("://") {
        Some((scheme, _)) if scheme != "sqlite" => Err(StoreError::Open {
            // The rest of an address may hold a password.
            place: format!("{scheme}://…"),
            reason: "a store is sqlite:///path/of/the/file or postgres://user@host/database".to_owned(),
        }),
        _ => Ok(Arc::new(sqlite::SqliteStore::open(url)?)),
    }
}

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("open the database {place}: {reason}")]
    Open {
        /// Path or address, without secrets.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The database was written by a newer version.
    #[error(
        "the database {place} has schema {found}, this version knows up to {known}: start the newer collector, or restore a backup"
    )]
    NewerSchema {
        /// Path or address.
        place: String,
        /// Its schema.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// A statement failed; nothing of the operation was kept.
    #[error("{operation}: {reason}")]
    Operation {
        /// The operation.
        operation: &'static str,
        /// What the backend said.
        reason: String,
    },
    /// The disk is full; nothing of the operation was kept.
    #[error("{operation}: no space left for the database {place}")]
    Full {
        /// The operation.
        operation: &'static str,
        /// Path or address.
        place: String,
    },
    /// The database cannot be reached, or takes no writes; nothing that was acknowledged is lost.
    #[error("{operation}: the database {place} is not reachable: {reason}")]
    Unreachable {
        /// The operation.
        operation: &'static str,
        /// Address, without secrets.
        place: String,
        /// What the system or the server said.
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
    /// The store is closing.
    #[error("{operation}: the store is closed")]
    Closed {
        /// The operation.
        operation: &'static str,
    },
}

/// What is kept. See the head of the file; every method is one transaction.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The pin of the CA whose hosts these are, when the store is shared between collectors and remembers one.
    async fn authority_get(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
    /// Makes a shared store remember this pin, unless it remembers one; gives back the one that it remembers.
    async fn authority_claim(&self, pin: &str) -> Result<String, StoreError> {
        Ok(pin.to_owned())
    }

    /// Keeps a new enrollment token.
    async fn token_create(&self, token: NewToken) -> Result<(), StoreError>;
    /// All enrollment tokens, newest first.
    async fn token_list(&self) -> Result<Vec<TokenReport>, StoreError>;
    /// Withdraws an enrollment token; `false` when there is none.
    async fn token_revoke(&self, id: &TokenId, now: Timestamp) -> Result<bool, StoreError>;
    /// Keeps an operator's token, replacing one of the same id.
    async fn account_token_put(&self, token: AccountToken) -> Result<(), StoreError>;
    /// An operator's token by its public half.
    async fn account_token_get(&self, id: &TokenId) -> Result<Option<AccountToken>, StoreError>;

    /// Enrolls a host.
    async fn host_enroll(&self, operation: Enrollment) -> Result<Enrolled, StoreError>;
    /// The host that has this key: the one in use, one that was given and is now used for the first time, or one that
    /// was replaced since (`superseded`).
    async fn host_identify(&self, key: KeyFingerprint) -> Result<Option<HostIdentity>, StoreError>;
    /// Gives the host a new key; the old one stays valid until the new one is used.
    async fn host_rekey(&self, renewal: KeyRenewal) -> Result<(), StoreError>;
    /// Withdraws all keys of a host; `false` when there is no such host.
    async fn host_revoke(&self, host: HostId, now: Timestamp) -> Result<bool, StoreError>;

    /// Notes a check-in. A known and complete snapshot becomes the host's current one.
    async fn check_in(&self, operation: CheckIn) -> Result<CheckInAnswer, StoreError>;
    /// Keeps what was delivered; when all is here, the snapshot becomes the host's current one.
    async fn snapshot_deliver(&self, operation: Delivery) -> Result<Delivered, StoreError>;
    /// A section: as it came lately, or rebuilt from its interned form.
    async fn section_get(&self, digest: Digest) -> Result<Option<CanonicalSection>, StoreError>;

    /// Rung when an operation that put a host on the judge queue was committed.
    fn queue_notify(&self) -> Arc<Notify>;
    /// Hosts that wait for judgement, oldest first, claimed until they are settled or the claim is a minute old.
    async fn queue_claim(&self, most: usize, now: Timestamp) -> Result<Vec<QueuedHost>, StoreError>;
    /// Of these sections, the hits under this version of the catalogue; a section without an entry has none yet.
    async fn hits_get(
        &self,
        sections: &[Digest],
        rules_version: &str,
    ) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError>;
    /// The snapshot by its digest.
    async fn snapshot_get(&self, digest: Digest) -> Result<Option<Snapshot>, StoreError>;
    /// Keeps hits, writes verdicts, their history, ledger entries and the tally, and takes the hosts off the judge queue; a
    /// judgement whose ticket is no longer the newest is left out.
    async fn queue_settle(&self, settlement: Settlement) -> Result<(), StoreError>;
    /// Puts every host on the judge queue when the rules in force have another version than those last adopted.
    async fn rules_adopt(&self, rules_version: &str, now: Timestamp) -> Result<bool, StoreError>;
    /// How much waits.
    async fn queue_depth(&self) -> Result<QueueDepth, StoreError>;

    /// Hosts by lane under one order.
    async fn lane_tally(&self, order: &OrderId, silent_before: Timestamp) -> Result<LaneTally, StoreError>;
    /// Hosts in a list, in the order of their ids.
    async fn host_list(&self, query: HostQuery) -> Result<Vec<StoredHostRow>, StoreError>;
    /// One host.
    async fn host_get(&self, host: HostId) -> Result<Option<StoredHost>, StoreError>;
    /// Hosts with exactly this name, without regard to case; at most ten.
    async fn host_find(&self, name: &str) -> Result<Vec<HostId>, StoreError>;
    /// How many hosts there are.
    async fn host_count(&self) -> Result<u64, StoreError>;

    /// Which hosts have a software now, as their current snapshots say.
    async fn software_find(&self, query: SoftwareQuery) -> Result<SoftwareReport, StoreError>;
    /// Takes one step in building the index of search: makes a segment of the newest sections when they have at least so
    /// many observations, or merges segments. Answers are right without it; with it they come quickly.
    async fn index_advance(&self, at_least: usize) -> Result<IndexStep, StoreError>;

    /// Entries of the ledger after this one, oldest first.
    async fn ledger_list(&self, after: u64, most: usize) -> Result<Vec<LedgerRow>, StoreError>;

    /// Checks everything against everything: digests, pointers, tallies.
    async fn check(&self) -> Result<StoreCheck, StoreError>;
    /// Writes what is only in memory (last seen) and closes.
    async fn close(&self) -> Result<(), StoreError>;
}

/// The last line of defence of what the digest of a snapshot promises; the door has checked the same and answered the agent.
/// A section carries the digest of its own bytes.
fn matches_its_digest(operation: &Delivery) -> Result<(), StoreError> {
    match &operation.snapshot {
        Some(snapshot) if canonical::snapshot_digest(snapshot) != operation.digest => Err(StoreError::Damaged {
            what: format!("look {}", operation.digest.short()),
            reason: "what came has another digest".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// A renewal that was refused: see [`Store::host_rekey`].
fn renewal_refused(host: HostId) -> StoreError {
    let reason = format!("host {host} does not have the old key, or another host has the new one");
    StoreError::Operation { operation: "host_rekey", reason }
}
