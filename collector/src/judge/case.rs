//! What a host's past adds to its current look, under one order: the case. Stored as versioned JSON beside the verdict.

use muster_proto::model::{Lane, Platform, Presence, Reason, SiteId, Timestamp};

/// A prohibited product that was seen and that no complete look has refuted yet.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Positive {
    /// When it was first seen, by the collector's clock.
    pub since: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// What it was.
    pub presence: Presence,
    /// Why, so that it can be explained while the current look cannot see.
    pub reasons: Vec<Reason>,
}

/// The time after a complete look refuted the positive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gone {
    /// When the first complete look without it was received.
    pub since: Timestamp,
    /// The boot id under which it was last present; empty when unknown.
    pub present_boot_id: String,
    /// Whether a complete look under another boot id was received.
    pub new_boot: bool,
    /// When complete looks without it were received: those that count, at least 24 hours apart.
    pub clean_looks: Vec<Timestamp>,
}

/// The history of one host under one order, as far as a verdict needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Case {
    /// Standing positive.
    pub positive: Option<Positive>,
    /// Set when it had the product and lost it.
    pub gone: Option<Gone>,
    /// The boot id of the last look in which the product was present.
    pub present_boot_id: String,
}

/// What only the host has, at the moment of placing it.
#[derive(Debug, Clone)]
pub struct HostSituation<'a> {
    /// Its platform.
    pub platform: Platform,
    /// Its site.
    pub site: &'a SiteId,
    /// The last check-in, by the collector's clock; `None` when it never reported.
    pub last_seen: Option<Timestamp>,
    /// Its history under this order, already advanced by the current look.
    pub case: &'a Case,
    /// A lane that an operator's deed decides (`retired`, `waived`) or the roster (`missing`).
    pub decided: Option<Lane>,
}
