//! Hosts as they were at an instant of the past.

use super::{
    Cause, DecisionReport, Digest, HostId, Label, Lane, OrderId, PastUnknown, Platform, Presence, Protection, Reason,
    SiteId, SourceReport, Timestamp,
};

/// Where a host was under an order that was active at that instant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PastVerdict {
    /// The order.
    pub order: OrderId,
    /// The lane that was shown.
    pub lane: Lane,
    /// The lane without a waiver or a disposition; otherwise the same.
    pub true_lane: Lane,
    /// Whether the order applied to the host.
    pub in_scope: bool,
    /// Whether it was not finished after the due milestone, as that was then.
    pub overdue: bool,
    /// Whether it had not reported within the order's patience, as that was then.
    pub silent: bool,
    /// Since when it was in this lane. A host in `silent` was in it since its last check-in plus the patience.
    pub since: Timestamp,
    /// Why it came into this lane.
    pub cause: Cause,
}

/// A host as it was at an instant. Its name, site and system are those of now: earlier ones are not kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PastHost {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// Its platform.
    pub platform: Platform,
    /// Its operating system, as people write it.
    pub os_name: String,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// The last check-in by then, if it is known: it is stored only for hosts that were away for long.
    pub last_seen: Option<Timestamp>,
    /// Its lane under each order that was active.
    pub verdicts: Vec<PastVerdict>,
}

/// What is not known of a host at an instant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PastGap {
    /// The order.
    pub order: OrderId,
    /// Why its lane is not known.
    pub why: PastUnknown,
    /// From when on it is known, if that can be said.
    pub from: Option<Timestamp>,
}

/// The waiver or the disposition that gave a host its lane under an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PastDecision {
    /// The order.
    pub order: OrderId,
    /// What was decided.
    pub decision: DecisionReport,
}

/// The snapshot that a host had at an instant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PastSnapshot {
    /// Its digest.
    pub digest: Digest,
    /// When it was received.
    pub since: Timestamp,
    /// When the agent scanned.
    pub observed_at: Timestamp,
    /// What each source contributed.
    pub sources: Vec<SourceReport>,
}

/// What the rules of that time say of the snapshot of that time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PastAssessment {
    /// The order.
    pub order: OrderId,
    /// How the order's product was present.
    pub presence: Presence,
    /// What else protected the host.
    pub protection: Protection,
    /// Why. The host's earlier past (a removal that was not proven yet) is not among the reasons.
    pub reasons: Vec<Reason>,
}

/// Everything that is known of one host at an instant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PastHostReport {
    /// The instant.
    pub as_of: Timestamp,
    /// The host.
    pub host: PastHost,
    /// The labels that it had.
    pub labels: Vec<Label>,
    /// Who answered for it; empty if nobody did.
    pub owner: String,
    /// The entry of the roster that it was matched with.
    pub roster_entry: Option<u64>,
    /// Orders that were active, and under which its lane is not known any more.
    pub unknown: Vec<PastGap>,
    /// What was decided about it by then and was in force.
    pub decisions: Vec<PastDecision>,
    /// The version of the rules that were in force.
    pub rules_version: String,
    /// Its snapshot; `None` if it had none, or if it is not kept: see `not_kept`.
    pub snapshot: Option<PastSnapshot>,
    /// What the rules of that time say of it.
    pub assessments: Vec<PastAssessment>,
    /// What is not kept any more, one sentence each. Empty if the snapshot was assessed as it was then.
    pub not_kept: Vec<String>,
}
