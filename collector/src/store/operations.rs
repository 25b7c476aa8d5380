//! Inputs and answers of the operations on tokens, hosts and deliveries.

use std::time::Duration;

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{
    Digest, HostFacts, HostId, HostState, KeyFingerprint, RunId, SiteId, Snapshot, Timestamp, TokenId,
};

use super::contradiction::Contradiction;
use super::edition_bounds::{Allowance, HeldBack};

/// A new enrollment token. Of its secret, only the hash is stored.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The public part.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// The site of the hosts that enroll with it.
    pub site: SiteId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires: from this instant on it admits nobody.
    pub expires_at: Timestamp,
    /// How many hosts may enroll with it; 0 means any number.
    pub max_uses: u64,
}

/// An enrollment: checks the token, counts one use, and creates the host with its first key.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// The public part of the token.
    pub token: TokenId,
    /// SHA-256 of the secret that the agent sent.
    pub secret_hash: [u8; 32],
    /// The key of the certificate request.
    pub key: KeyFingerprint,
    /// The id that the host gets if its key is new.
    pub host: HostId,
    /// How the host describes itself.
    pub facts: HostFacts,
    /// Identifies the machine if it enrolls again; empty if unknown.
    pub fingerprint: Vec<u8>,
    /// Now.
    pub now: Timestamp,
}

/// The answer to an enrollment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// The host: a new one, or the known one that has this key.
    Host {
        /// Its id.
        host: HostId,
        /// Its site.
        site: SiteId,
    },
    /// The key belongs to a host of another site than the token's. Nothing was changed.
    OtherSite {
        /// The host.
        host: HostId,
        /// Its site, which it keeps.
        site: SiteId,
        /// The site of the token.
        token_site: SiteId,
    },
    /// There is no token with this id and secret.
    TokenUnknown,
    /// The token has expired.
    TokenExpired,
    /// The token has no use left.
    TokenUsedUp,
    /// The token is revoked.
    TokenRevoked,
    /// The key belongs to a host whose keys are revoked.
    KeyRevoked,
    /// The key belongs to a host that has used a newer one.
    KeySuperseded,
}

/// A host, identified by one of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// Its id.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// Whether the host's keys are revoked.
    pub revoked: bool,
    /// Whether the host is quarantined: a key was renewed after its certificate had expired.
    pub quarantined: bool,
    /// Whether the host has used a newer key: this is a clone, or a machine that was restored from an old image.
    pub superseded: bool,
}

/// A renewal: the host gets a new key; the old one stays valid until the new one is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRenewal {
    /// The host.
    pub host: HostId,
    /// The key that the host has proven to hold.
    pub old: KeyFingerprint,
    /// The key of the new certificate.
    pub new: KeyFingerprint,
    /// Whether to quarantine the host: the old certificate had expired.
    pub quarantine: bool,
    /// Now.
    pub now: Timestamp,
}

/// The answer to a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The host has the new key.
    Host,
    /// The host does not have the old key, or its keys are revoked.
    OldKeyInvalid,
    /// The host has used a newer key than the old one.
    OldKeySuperseded,
    /// Another host has the new key.
    NewKeyTaken,
}

/// The readmission of a host by its certificate, after a restore.
#[derive(Debug, Clone)]
pub struct Readmission {
    /// The host that the certificate names.
    pub host: HostId,
    /// The site that it names.
    pub site: SiteId,
    /// Its key.
    pub key: KeyFingerprint,
    /// When it was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// The facts that the host sent, if it sent any; needed only if the host is not stored.
    pub facts: Option<HostFacts>,
    /// Now.
    pub now: Timestamp,
}

/// The answer to a readmission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readmitted {
    /// The key is in the store and in use.
    Host,
    /// The host is not stored, and its facts were not sent.
    FactsWanted,
    /// The host's keys are revoked, or it has a newer key.
    Refused,
}

/// A host that is created, by an enrollment or by a readmission.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct NewHost<'a> {
    pub(in crate::store) host: HostId,
    pub(in crate::store) key: KeyFingerprint,
    /// When the key was given to the host.
    pub(in crate::store) key_at: Timestamp,
    pub(in crate::store) facts: &'a HostFacts,
    pub(in crate::store) fingerprint: &'a [u8],
    pub(in crate::store) now: Timestamp,
}

impl<'a> From<&'a Enrollment> for NewHost<'a> {
    fn from(enrollment: &'a Enrollment) -> Self {
        let Enrollment { host, key, facts, fingerprint, now, .. } = enrollment;
        Self { host: *host, key: *key, key_at: *now, facts, fingerprint, now: *now }
    }
}

impl<'a> NewHost<'a> {
    /// The host of a readmission. Its fingerprint is unknown.
    pub(in crate::store) const fn readmitted(readmission: &Readmission, facts: &'a HostFacts) -> Self {
        let Readmission { host, key, issued_at, now, .. } = readmission;
        Self { host: *host, key: *key, key_at: *issued_at, facts, fingerprint: &[], now: *now }
    }
}

/// A check-in, already validated by ingest.
#[derive(Debug, Clone)]
pub struct CheckIn {
    /// The host.
    pub host: HostId,
    /// The agent process that sent it.
    pub run: RunId,
    /// Its sequence number in that run.
    pub seq: u64,
    /// When the snapshot was made, corrected by the agent's clock offset and not later than `now`.
    pub observed_at: Timestamp,
    /// When it was received.
    pub now: Timestamp,
    /// The digest of the snapshot that the host has now.
    pub snapshot: Digest,
    /// The facts, if they have changed.
    pub facts: Option<HostFacts>,
    /// The state, if it has changed.
    pub state: Option<HostState>,
    /// The fingerprint of the machine; empty if it was not sent or is unknown.
    pub fingerprint: Vec<u8>,
    /// The shortest patience of the orders. The time since the last check-in is stored as a gap if it is longer;
    /// `None` stores no gap.
    pub patience: Option<Duration>,
    /// How many changes of facts, state or snapshot the host may make. This check-in takes one if it changes any of them.
    pub allowance: Allowance,
}

/// The answer to a check-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckInAnswer {
    /// The snapshot is the host's current one: it was before, or it was stored already and has become it.
    Current,
    /// The snapshot is stored, but these of its sections are not.
    SectionsWanted(Vec<Digest>),
    /// The snapshot is not stored.
    SnapshotWanted,
    /// As `Current`. But the message repeats an earlier one and leaves out facts or state, which may not be those that are
    /// stored: the host may have been rolled back. It must check in again with both.
    StateWanted,
    /// The host has reported something else with this or a later sequence number of this run, or leaves out facts or state
    /// in the first message of a run. Nothing was changed: it must report again under a new run id.
    NewRun,
    /// It would change facts, state or snapshot, and its allowance is spent. Only the time when the host was last seen was
    /// renewed.
    Throttled,
    /// The snapshot cannot be of this host. Nothing was changed.
    Contradicts(Contradiction),
    /// There is no such host.
    HostUnknown,
}

/// A delivery: a snapshot, and sections that the collector did not have.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The host.
    pub host: HostId,
    /// The agent process that sent it.
    pub run: RunId,
    /// Its sequence number in that run.
    pub seq: u64,
    /// When the snapshot was made, corrected by the agent's clock offset and not later than `now`.
    pub observed_at: Timestamp,
    /// When it was received.
    pub now: Timestamp,
    /// The digest of the snapshot.
    pub digest: Digest,
    /// The snapshot, if it was sent; needed only if it is not stored.
    pub snapshot: Option<Snapshot>,
    /// The sections that were sent.
    pub sections: Vec<CanonicalSection>,
    /// How many editions they may add to the dictionary.
    pub allowance: Allowance,
}

/// The answer to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// Everything is stored and committed; the snapshot is the host's current one.
    Accepted,
    /// As `Accepted`. But the host has checked in since, so its facts and state may not be those of this delivery: it must
    /// check in again with both.
    StateWanted,
    /// The host has reported another snapshot since the check-in of this delivery. What was sent is stored, and the host's
    /// current snapshot stays: it must report again under a new run id.
    NewRun,
    /// These sections are missing; what was sent is stored.
    SectionsWanted(Vec<Digest>),
    /// Sections are missing. Some that were sent were left out for this reason; those before them are stored.
    HeldBack(HeldBack),
    /// The snapshot itself is missing; the sections that were sent are stored.
    SnapshotWanted,
    /// The snapshot cannot be of this host, whose current snapshot stays; what was sent is stored.
    Contradicts(Contradiction),
    /// There is no such host.
    HostUnknown,
}
