//! The operations that change who a host is and what it has shown: what goes in, and what became of it.

use muster_proto::canonical::CanonicalSection;
use muster_proto::model::{
    Digest, HostFacts, HostId, HostState, KeyFingerprint, Role, RunId, SiteId, Snapshot, Timestamp, TokenId,
};

/// A new enrollment token; the secret is known only as its hash.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Public half.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// The site for which it enrolls.
    pub site: SiteId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it may be used; 0 is without limit.
    pub max_uses: u64,
}

/// A token with which a person asks.
#[derive(Debug, Clone)]
pub struct AccountToken {
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

/// An enrollment: token checked and used, host made or found again by its key, certificate noted; all or nothing.
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
    /// Recognises a machine that enrolls anew; empty when unknown.
    pub fingerprint: Vec<u8>,
    /// Now.
    pub now: Timestamp,
}

/// What became of an enrollment.
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

/// A renewal: the host gets a new key; the old one stays valid until the new one is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRenewal {
    /// The host.
    pub host: HostId,
    /// The key that the host has proven to hold.
    pub old: KeyFingerprint,
    /// The key of the new certificate.
    pub new: KeyFingerprint,
    /// Whether to quarantine the host: the old certificate had expired or was replaced.
    pub quarantine: bool,
    /// Now.
    pub now: Timestamp,
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
    /// When the snapshot was made, corrected by the clock offset and clamped.
    pub observed_at: Timestamp,
    /// Receipt time.
    pub now: Timestamp,
    /// The digest of the current snapshot.
    pub snapshot: Digest,
    /// When changed.
    pub facts: Option<HostFacts>,
    /// When changed.
    pub state: Option<HostState>,
}

/// What became of a check-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckInAnswer {
    /// The snapshot is the host's current snapshot (it was, or it was known and has become it).
    Current,
    /// The snapshot is known, but these sections are not here.
    SectionsWanted(Vec<Digest>),
    /// The snapshot is not known.
    SnapshotWanted,
    /// The sequence number of this run was seen already: nothing was changed.
    Replayed {
        /// Whether the snapshot that it names is the host's current snapshot.
        current: bool,
    },
    /// There is no such host.
    HostUnknown,
}

/// A snapshot with the sections that came with it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The host.
    pub host: HostId,
    /// The agent's process.
    pub run: RunId,
    /// Its sequence number.
    pub seq: u64,
    /// When the snapshot was made, corrected and clamped.
    pub observed_at: Timestamp,
    /// Receipt time.
    pub now: Timestamp,
    /// The digest of the snapshot.
    pub digest: Digest,
    /// The snapshot, when it was sent; needed only if it is not known.
    pub snapshot: Option<Snapshot>,
    /// The sections that were sent.
    pub sections: Vec<CanonicalSection>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// All is here and committed; the snapshot is the host's current snapshot.
    Accepted,
    /// These sections are not here; what came is kept.
    SectionsWanted(Vec<Digest>),
    /// The snapshot itself is not here; what came is kept.
    SnapshotWanted,
    /// There is no such host.
    HostUnknown,
}
