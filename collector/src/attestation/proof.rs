//! The facts of an attestation, before it is signed.

use muster_proto::model::{
    Digest, HostId, KeyFingerprint, OrderId, Outcome, Platform, Presence, ProductId, Protection, SiteId, SourceName,
    Timestamp, WaiverReason,
};

/// What the judge knows when the removal of a product from a host is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalProof {
    /// The order.
    pub order: OrderId,
    /// Its title.
    pub order_title: String,
    /// The SHA-256 of its file.
    pub order_sha256: [u8; 32],
    /// The version of catalogue and orders that judged.
    pub rules_version: String,
    /// The host.
    pub host: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// Its platform.
    pub platform: Platform,
    /// How the host is protected.
    pub protection: Protection,
    /// What protects it; empty if the order requires no protection.
    pub protected_by: Vec<RemovedProduct>,
    /// What was removed, with the observations that showed it last.
    pub removed: Vec<RemovedProduct>,
    /// When and where it was found.
    pub found: Found,
    /// The complete scans without it, oldest first.
    pub scans: Vec<CleanScan>,
    /// The restart since; `None` if no boot id is known, or if the order needs none.
    pub new_boot: Option<NewBoot>,
    /// How many clean scans the order asks for.
    pub scans_needed: u64,
    /// The least time between them, in hours.
    pub spacing_hours: u64,
    /// Whether the order asks for a restart.
    pub new_boot_needed: bool,
}

/// A product in a snapshot, and the observation that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedProduct {
    /// Its id.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// Its version; empty if no source gave one.
    pub version: String,
    /// How it was present.
    pub presence: Presence,
    /// The source and the observation, as people read it: `deb kesl 12.2.0-2517 [ii]`.
    pub observation: Option<(SourceName, String)>,
}

/// When the product was found, and the snapshot that showed it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// When it was first found.
    pub first: Timestamp,
    /// When it was last found.
    pub last: Timestamp,
    /// The snapshot that showed it last.
    pub snapshot: Digest,
    /// The sections that showed it, by source.
    pub sections: Vec<(SourceName, Digest)>,
}

/// A complete scan without the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanScan {
    /// When the collector received it.
    pub received: Timestamp,
    /// The digest of its snapshot.
    pub snapshot: Digest,
    /// The outcome of every source.
    pub sources: Vec<(SourceName, Outcome)>,
}

/// The restart after the removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBoot {
    /// The boot id under which the product was last present.
    pub before: String,
    /// The boot id of a complete scan without it.
    pub after: String,
    /// When the collector received that scan.
    pub received: Timestamp,
}

/// A waiver that covered the host under the order while the product was on it, or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaivedTime {
    /// Its number.
    pub number: u64,
    /// Why.
    pub reason: WaiverReason,
    /// When it was approved.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// Whether the account that asked for it has approved it.
    pub is_self_approved: bool,
}

/// What is added when the attestation is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedBy {
    /// The key under which the host reports: the SHA-256 of its SubjectPublicKeyInfo.
    pub key: KeyFingerprint,
    /// Since when the host has been in the lane `done`.
    pub since: Timestamp,
    /// When the attestation was issued.
    pub issued: Timestamp,
    /// The waivers that covered the host; first those that one person approved alone.
    pub waivers: Vec<WaivedTime>,
    /// The newest checkpoint of the ledger, a signed note; `None` before the first one.
    pub checkpoint: Option<String>,
}
