//! What is kept, and the deeds that change it. One trait, two backends, one contract suite.
//!
//! A method is a whole deed in one transaction: its caller cannot forget half of it. Rows and SQL are private to a
//! backend. Acknowledged means committed: bytes, the host's pointer to its look, and its place on the docket.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use muster_proto::canonical;
use muster_proto::model::{
    Assessment, Digest, HostFacts, HostId, HostState, Lane, Look, OrderId, Platform, Presence, Protection, RunId,
    Section, SiteId, Timestamp, TokenId, TokenReport,
};

use crate::judge::{Case, Hit};
use crate::ledger::entry::Entry;

mod codec;
#[cfg(test)]
pub(crate) mod contract;
mod fault;
mod last_seen;
mod record;
mod sqlite;

/// Opens the store that a setting names: `sqlite:///var/lib/muster/fleet.db`, or the bare path of the file.
///
/// # Errors
/// It cannot be opened, was written by a newer version, is damaged, or is of a kind that this version does not have.
pub fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    match url.split_once("://") {
        Some((scheme, _)) if scheme != "sqlite" => Err(StoreError::Open {
            // The rest of an address may hold a password.
            place: format!("{scheme}://…"),
            reason: "this version keeps its store in SQLite only: use sqlite:///path/of/the/file".to_owned(),
        }),
        _ => Ok(Arc::new(sqlite::SqliteStore::open(url)?)),
    }
}

/// SHA-256 of a SubjectPublicKeyInfo: the name of a key.
pub type KeyFingerprint = [u8; 32];

/// Why a deed was not done.
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
    /// A statement failed; nothing of the deed was kept.
    #[error("{deed}: {reason}")]
    Deed {
        /// The deed.
        deed: &'static str,
        /// What the backend said.
        reason: String,
    },
    /// The disk is full; nothing of the deed was kept.
    #[error("{deed}: no space left for the database {place}")]
    Full {
        /// The deed.
        deed: &'static str,
        /// Path or address.
        place: String,
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
    #[error("{deed}: the store is closed")]
    Closed {
        /// The deed.
        deed: &'static str,
    },
}

/// A new enrolment token; the secret is known only as its hash.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Public half.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// The site for which it enrols.
    pub site: SiteId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it may be used; 0 is without limit.
    pub max_uses: u64,
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, and make enrolment tokens.
    Operator,
    /// Everything.
    Admin,
}

/// A token with which a person asks.
#[derive(Debug, Clone)]
pub struct OperatorToken {
    /// Public half.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// The person.
    pub person: String,
    /// What the person may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

/// An enrolment: token checked and used, host made or found again by its key, certificate noted; all or nothing.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// The token's public half.
    pub token: TokenId,
    /// SHA-256 of the secret that was shown.
    pub secret_hash: [u8; 32],
    /// The key of the certificate request.
    pub key: KeyFingerprint,
    /// The id for the host if the key is new.
    pub host: HostId,
    /// What the host says of itself.
    pub facts: HostFacts,
    /// Recognises a machine that enrols anew; empty when unknown.
    pub fingerprint: Vec<u8>,
    /// Now.
    pub now: Timestamp,
}

/// What became of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// The host: new, or the same as before when the key is known.
    Host {
        /// Its id.
        host: HostId,
        /// Its site.
        site: SiteId,
    },
    /// No token has this id and secret.
    TokenUnknown,
    /// The token has ended.
    TokenExpired,
    /// The token was used as often as it may be.
    TokenUsedUp,
    /// The token was withdrawn.
    TokenRevoked,
    /// The key is that of a host whose keys were withdrawn.
    KeyRevoked,
}

/// A host as its key shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// Its id.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// Whether the key was withdrawn.
    pub revoked: bool,
    /// Whether the key was renewed after its certificate had ended.
    pub quarantined: bool,
    /// Whether the host has a newer key, and has used it: a clone, or a machine that was set back.
    pub superseded: bool,
}

/// A check-in, already checked at the door.
#[derive(Debug, Clone)]
pub struct CheckIn {
    /// The host.
    pub host: HostId,
    /// The agent's process.
    pub run: RunId,
    /// Its sequence number.
    pub seq: u64,
    /// When the look was made, corrected by the clock offset and clamped.
    pub observed_at: Timestamp,
    /// Receipt time.
    pub now: Timestamp,
    /// The digest of the current look.
    pub look: Digest,
    /// When changed.
    pub facts: Option<HostFacts>,
    /// When changed.
    pub state: Option<HostState>,
}

/// What became of a check-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckInAnswer {
    /// The look is the host's current look (it was, or it was known and has become it).
    Current,
    /// The look is known, but these sections are not here.
    SectionsWanted(Vec<Digest>),
    /// The look is not known.
    LookWanted,
    /// The sequence number of this run was seen already: nothing was changed.
    Replayed {
        /// Whether the look that it names is the host's current look.
        current: bool,
    },
    /// There is no such host.
    HostUnknown,
}

/// A look with the sections that came with it, each checked against its digest.
#[derive(Debug, Clone)]
pub struct LookDelivery {
    /// The host.
    pub host: HostId,
    /// The agent's process.
    pub run: RunId,
    /// Its sequence number.
    pub seq: u64,
    /// When the look was made, corrected and clamped.
    pub observed_at: Timestamp,
    /// Receipt time.
    pub now: Timestamp,
    /// The digest of the look.
    pub digest: Digest,
    /// The look, when it was sent; needed only if it is not known.
    pub look: Option<Look>,
    /// Digest, parsed section, canonical bytes.
    pub sections: Vec<(Digest, Section, Bytes)>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// All is here and committed; the look is the host's current look.
    Accepted,
    /// These sections are not here; what came is kept.
    SectionsWanted(Vec<Digest>),
    /// The look itself is not here; what came is kept.
    LookWanted,
    /// There is no such host.
    HostUnknown,
}

/// A host that waits for judgement, with all that the judge needs.
#[derive(Debug, Clone)]
pub struct DocketHost {
    /// The host.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// What it says of itself.
    pub facts: HostFacts,
    /// Its state.
    pub state: HostState,
    /// Its current look, with when it was received; `None` before the first.
    pub look: Option<(Digest, Timestamp)>,
    /// The last check-in; before the first one, the enrolment.
    pub last_seen: Option<Timestamp>,
    /// Its history under each order that has judged it.
    pub cases: BTreeMap<OrderId, Case>,
    /// Which claim this is: settling an older claim changes nothing.
    pub ticket: u64,
}

/// The judge's answer for one host under one order.
#[derive(Debug, Clone)]
pub struct JudgedOrder {
    /// The order.
    pub order: OrderId,
    /// Where the host stands while it is not silent.
    pub awake_lane: Lane,
    /// Whether the order binds the host.
    pub in_scope: bool,
    /// What the order's product is there.
    pub presence: Presence,
    /// What else guards the host.
    pub protection: Protection,
    /// The order's due milestone.
    pub due: Option<Timestamp>,
    /// The first reason, one sentence.
    pub reason: String,
    /// What would clear it.
    pub advice: String,
    /// The case after this look.
    pub case: Case,
    /// The assessment, shared by all hosts with this look and state key.
    pub assessment: Option<Assessment>,
}

/// The judge's answer for one host: replaces all earlier verdicts of the host.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The host.
    pub host: HostId,
    /// The claim.
    pub ticket: u64,
    /// The look that was judged.
    pub look: Option<Digest>,
    /// What of the host's state was judged.
    pub state_key: Option<Digest>,
    /// The version of catalogue and orders.
    pub rules_version: String,
    /// One for each active order.
    pub orders: Vec<JudgedOrder>,
}

/// A verdict as it is stored: what passes by time alone is left to the reader.
#[derive(Debug, Clone)]
pub struct StoredVerdict {
    /// The order.
    pub order: OrderId,
    /// Where the host stands while it is not silent.
    pub awake_lane: Lane,
    /// Whether the order binds the host.
    pub in_scope: bool,
    /// What the order's product is there.
    pub presence: Presence,
    /// What else guards the host.
    pub protection: Protection,
    /// The order's due milestone.
    pub due: Option<Timestamp>,
    /// Since when it stands in this lane.
    pub since: Timestamp,
    /// The first reason.
    pub reason: String,
    /// What would clear it.
    pub advice: String,
    /// The case.
    pub case: Case,
    /// The version of catalogue and orders that judged.
    pub rules_version: String,
}

/// A host as lists show it.
#[derive(Debug, Clone)]
pub struct StoredHostRow {
    /// Its id.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// Its name.
    pub hostname: String,
    /// Its platform.
    pub platform: Platform,
    /// Its operating system.
    pub os_name: String,
    /// The last check-in; before the first one, the enrolment.
    pub last_seen: Option<Timestamp>,
    /// Its verdicts.
    pub verdicts: Vec<StoredVerdict>,
}

/// A host, whole.
#[derive(Debug, Clone)]
pub struct StoredHost {
    /// Id, site, facts.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// What it says of itself.
    pub facts: HostFacts,
    /// Its state.
    pub state: HostState,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// The last check-in; before the first one, the enrolment.
    pub last_seen: Option<Timestamp>,
    /// Its current look: digest, entries, receipt time, observed_at.
    pub look: Option<StoredLook>,
    /// Its verdicts.
    pub verdicts: Vec<StoredVerdict>,
    /// Lane changes, oldest first.
    pub history: Vec<(OrderId, Timestamp, Lane)>,
}

/// A host's current look.
#[derive(Debug, Clone)]
pub struct StoredLook {
    /// Its digest.
    pub digest: Digest,
    /// Its entries.
    pub look: Look,
    /// For each section of it: how many observations it holds.
    pub observations: BTreeMap<Digest, u64>,
    /// Receipt time.
    pub since: Timestamp,
    /// When the agent looked, corrected.
    pub observed_at: Timestamp,
}

/// Which hosts a list shows. Silence is computed when read: a host is silent under an order when its last check-in is
/// older than that order's instant in `silent_before`.
#[derive(Debug, Clone, Default)]
pub struct HostQuery {
    /// Only hosts with a verdict under this order.
    pub order: Option<OrderId>,
    /// Only hosts in these lanes under that order; empty is any.
    pub lanes: Vec<Lane>,
    /// The instant before which a last check-in counts as silent under that order.
    pub silent_before: Option<Timestamp>,
    /// Only hosts that the order binds.
    pub in_scope_only: bool,
    /// Only hosts of this site.
    pub site: Option<SiteId>,
    /// Only hosts whose name contains this, without regard to case.
    pub name: String,
    /// At most this many.
    pub rows: usize,
    /// Only hosts after this one; lists are ordered by id.
    pub after: Option<HostId>,
}

/// One order's hosts: by lane while awake, in scope or not, silent or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneTally {
    /// (awake lane, silent) to hosts in scope.
    pub in_scope: BTreeMap<(Lane, bool), u64>,
    /// Hosts out of scope.
    pub out_of_scope: u64,
    /// Hosts that wait for their first judgement under this order.
    pub unjudged: u64,
}

/// How much waits for judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DocketDepth {
    /// Hosts that wait.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
}

/// What a check of the whole store found. Empty `faults` is health.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct StoreCheck {
    /// Hosts.
    pub hosts: u64,
    /// Looks.
    pub looks: u64,
    /// Sections, each rebuilt and hashed.
    pub sections: u64,
    /// What is wrong, one sentence each.
    pub faults: Vec<String>,
}

/// An entry of the ledger, with its place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Grows with every entry.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub entry: Entry,
}

/// What is kept. See the head of the file; every method is one transaction.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Keeps a new enrolment token.
    async fn token_create(&self, token: NewToken) -> Result<(), StoreError>;
    /// All enrolment tokens, newest first.
    async fn token_list(&self) -> Result<Vec<TokenReport>, StoreError>;
    /// Withdraws an enrolment token; `false` when there is none.
    async fn token_revoke(&self, id: &TokenId, now: Timestamp) -> Result<bool, StoreError>;
    /// Keeps an operator's token, replacing one of the same id.
    async fn operator_put(&self, token: OperatorToken) -> Result<(), StoreError>;
    /// An operator's token by its public half.
    async fn operator_get(&self, id: &TokenId) -> Result<Option<OperatorToken>, StoreError>;

    /// Enrols a host.
    async fn host_enroll(&self, deed: Enrollment) -> Result<Enrolled, StoreError>;
    /// The host that has this key: the one in use, one that was given and is now used for the first time, or one that
    /// was replaced since (`superseded`).
    async fn host_identify(&self, key: KeyFingerprint) -> Result<Option<HostIdentity>, StoreError>;
    /// Gives the host a new key; the old one stays valid until the new one is used.
    async fn host_rekey(
        &self,
        host: HostId,
        old: KeyFingerprint,
        new: KeyFingerprint,
        quarantine: bool,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Withdraws all keys of a host; `false` when there is no such host.
    async fn host_revoke(&self, host: HostId, now: Timestamp) -> Result<bool, StoreError>;

    /// Notes a check-in. A known and complete look becomes the host's current one.
    async fn check_in(&self, deed: CheckIn) -> Result<CheckInAnswer, StoreError>;
    /// Keeps what was delivered; when all is here, the look becomes the host's current one.
    async fn look_deliver(&self, deed: LookDelivery) -> Result<Delivered, StoreError>;
    /// Rebuilds a section from its interned form.
    async fn section_get(&self, digest: Digest) -> Result<Option<Section>, StoreError>;

    /// Hosts that wait for judgement, oldest first, claimed until they are settled or the claim is a minute old.
    async fn docket_claim(&self, most: usize, now: Timestamp) -> Result<Vec<DocketHost>, StoreError>;
    /// Of these sections, the hits under this version of the catalogue; a section without an entry has none yet.
    async fn hits_get(
        &self,
        sections: &[Digest],
        rules_version: &str,
    ) -> Result<BTreeMap<Digest, Vec<Hit>>, StoreError>;
    /// Keeps the hits of sections under this version of the catalogue.
    async fn hits_put(&self, hits: BTreeMap<Digest, Vec<Hit>>, rules_version: &str) -> Result<(), StoreError>;
    /// The assessments of this look with this state, under this version of catalogue and orders.
    async fn assessments_get(
        &self,
        look: Digest,
        state_key: Digest,
        rules_version: &str,
    ) -> Result<BTreeMap<OrderId, Assessment>, StoreError>;
    /// The look by its digest.
    async fn look_get(&self, digest: Digest) -> Result<Option<Look>, StoreError>;
    /// Writes verdicts, their history, ledger entries and the tally, and takes the hosts off the docket; a judgement
    /// whose ticket is no longer the newest is left out.
    async fn docket_settle(&self, judgements: Vec<Judgement>, now: Timestamp) -> Result<(), StoreError>;
    /// Puts every host on the docket when the rules in force have another version than those last adopted.
    async fn rules_adopt(&self, rules_version: &str, now: Timestamp) -> Result<bool, StoreError>;
    /// How much waits.
    async fn docket_depth(&self) -> Result<DocketDepth, StoreError>;

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

    /// Entries of the ledger after this one, oldest first.
    async fn ledger_list(&self, after: u64, most: usize) -> Result<Vec<LedgerRow>, StoreError>;

    /// Checks everything against everything: digests, pointers, tallies.
    async fn check(&self) -> Result<StoreCheck, StoreError>;
    /// Writes what is only in memory (last seen) and closes.
    async fn close(&self) -> Result<(), StoreError>;
}

/// The last line of defence of what digests promise; the door has checked the same and answered the agent.
fn matches_its_digests(deed: &LookDelivery) -> Result<(), StoreError> {
    let wrong = |what: String| StoreError::Damaged { what, reason: "what came has another digest".to_owned() };
    for (digest, _, bytes) in &deed.sections {
        if Digest::of(bytes) != *digest {
            return Err(wrong(format!("section {}", digest.short())));
        }
    }
    match &deed.look {
        Some(look) if canonical::look_digest(look) != deed.digest => {
            Err(wrong(format!("look {}", deed.digest.short())))
        }
        _ => Ok(()),
    }
}
