//! What readers are shown of what is kept: hosts, verdicts, counts, the ledger, and the health of it all.

use std::collections::BTreeMap;

use muster_proto::model::{
    Digest, HostFacts, HostId, HostState, Lane, OrderId, Platform, Presence, Protection, SiteId, Snapshot, Timestamp,
};

use crate::judge::Remediation;
use crate::ledger::entry::Entry;

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
    /// The remediation record.
    pub remediation: Remediation,
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
    /// The last check-in; before the first one, the enrollment.
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
    /// The last check-in; before the first one, the enrollment.
    pub last_seen: Option<Timestamp>,
    /// Its current snapshot: digest, entries, receipt time, observed_at.
    pub snapshot: Option<StoredSnapshot>,
    /// Its verdicts.
    pub verdicts: Vec<StoredVerdict>,
    /// Lane changes, oldest first.
    pub history: Vec<(OrderId, Timestamp, Lane)>,
}

/// A host's current snapshot.
#[derive(Debug, Clone)]
pub struct StoredSnapshot {
    /// Its digest.
    pub digest: Digest,
    /// Its entries.
    pub snapshot: Snapshot,
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
pub struct QueueDepth {
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
    pub snapshots: u64,
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
