//! What readers get from the store: hosts, verdicts, counts, ledger entries, and the result of a check.

use std::collections::BTreeMap;

use muster_proto::model::{
    Digest, EntryState, HostFacts, HostId, HostLabel, HostMark, HostNote, HostOwner, HostState, Label, Lane,
    LaneChange, MarkReport, OrderId, Platform, Presence, Protection, SiteId, Snapshot, Timestamp, TokenId,
};

use super::{HostKey, SiteScope, Unreferenced};
use crate::judge::{Decision, HostDecisions, Remediation};
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;

/// A verdict as it is stored. What changes with the time alone (silence, overdue) is added by the reader.
#[derive(Debug, Clone)]
pub struct StoredVerdict {
    /// The order.
    pub order: OrderId,
    /// The lane of the host while it is not silent.
    pub awake_lane: Lane,
    /// Whether the order applies to the host.
    pub in_scope: bool,
    /// How the order's product is present.
    pub presence: Presence,
    /// What else protects the host.
    pub protection: Protection,
    /// The order's due milestone.
    pub due: Option<Timestamp>,
    /// Since when the host has been in this lane.
    pub since: Timestamp,
    /// The first reason, one sentence.
    pub reason: String,
    /// What would clear it.
    pub advice: String,
    /// The remediation record.
    pub remediation: Remediation,
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
    /// What sets it apart from the others.
    pub marks: Vec<HostMark>,
    /// Its labels, in order.
    pub labels: Vec<Label>,
    /// Who answers for it; empty if nobody does.
    pub owner: String,
    /// What people decided about it.
    pub decisions: HostDecisions,
    /// Its place in the list.
    pub key: HostKey,
}

/// Everything about one host.
#[derive(Debug, Clone)]
pub struct StoredHost {
    /// Its id.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// How it describes itself.
    pub facts: HostFacts,
    /// Its state.
    pub state: HostState,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// The last check-in; before the first one, the enrollment.
    pub last_seen: Option<Timestamp>,
    /// Its current snapshot; `None` before the first delivery.
    pub snapshot: Option<StoredSnapshot>,
    /// When it last reported a scan in which every source of its system was read completely; `None` if it is not among
    /// its latest snapshots. If later scans were not complete, this is when the first of them was received.
    pub complete_scan: Option<Timestamp>,
    /// Its verdicts.
    pub verdicts: Vec<StoredVerdict>,
    /// The lanes that it was in, oldest first; the last one of each order is the current one.
    pub history: Vec<LaneChange>,
    /// What sets it apart from the others.
    pub marks: Vec<MarkReport>,
    /// Its labels, in order.
    pub labels: Vec<HostLabel>,
    /// Who answers for it.
    pub owner: Option<HostOwner>,
    /// What people noted about it, the newest first.
    pub notes: Vec<HostNote>,
    /// The token that it enrolled with, if it is still known.
    pub enrolled_with: Option<TokenId>,
    /// What people decided about it.
    pub decisions: HostDecisions,
}

/// A host's current snapshot.
#[derive(Debug, Clone)]
pub struct StoredSnapshot {
    /// Its digest.
    pub digest: Digest,
    /// Its entries.
    pub snapshot: Snapshot,
    /// The number of observations of each of its sections.
    pub observations: BTreeMap<Digest, u64>,
    /// When it was received.
    pub since: Timestamp,
    /// When the agent scanned, corrected by the offset of its clock.
    pub observed_at: Timestamp,
}

/// The number of hosts under one order. The counts add up to all hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneTally {
    /// Hosts in scope about which nothing is decided, by awake lane and whether they are silent. Has no zero counts.
    pub in_scope: BTreeMap<(Lane, bool), u64>,
    /// Hosts out of scope.
    pub out_of_scope: u64,
    /// Hosts that have no verdict under this order yet, and about which nothing is decided.
    pub unjudged: u64,
    /// Those of them that are silent.
    pub unjudged_silent: u64,
    /// Hosts in scope that are retired or waived. Has no zero counts.
    pub decided: BTreeMap<DecidedPlace, u64>,
}

/// Where hosts are about which something is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecidedPlace {
    /// What is decided.
    pub decision: Decision,
    /// Whether the account that asked for it has approved it.
    pub is_self_approved: bool,
    /// The awake lane; `unknown` without a verdict.
    pub awake: Lane,
    /// Whether they are silent.
    pub is_silent: bool,
}

impl LaneTally {
    /// All hosts of the tally.
    #[must_use]
    pub fn total(&self) -> u64 {
        let decided = self.decided.values().sum::<u64>();
        self.in_scope.values().sum::<u64>() + self.out_of_scope + self.unjudged + decided
    }
}

/// The machines under one order: the hosts that are on the roster, the other hosts, and the entries of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetTally {
    /// Hosts that are machines of the roster.
    pub listed: LaneTally,
    /// The other hosts.
    pub outside: LaneTally,
    /// Entries of the roster.
    pub entries: Vec<EntryCount>,
}

/// How many entries of the roster are in a state at one site, on one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryCount {
    /// The state.
    pub state: EntryState,
    /// The site; `None` if no list says it.
    pub site: Option<SiteId>,
    /// The platform; `None` if no list says it.
    pub platform: Option<Platform>,
    /// How many.
    pub entries: u64,
}

impl EntryCount {
    /// Whether a reader of these sites counts them. Entries whose site nobody knows are for readers of all sites.
    pub(in crate::store) fn is_of(&self, scope: &SiteScope) -> bool {
        match &self.site {
            Some(site) => scope.contains(site),
            None => *scope == SiteScope::All,
        }
    }
}

impl FleetTally {
    /// All hosts, whether they are on the roster or not.
    #[must_use]
    pub fn hosts(&self) -> LaneTally {
        let mut all = self.listed.clone();
        for (place, hosts) in &self.outside.in_scope {
            *all.in_scope.entry(*place).or_default() += hosts;
        }
        all.out_of_scope += self.outside.out_of_scope;
        all.unjudged += self.outside.unjudged;
        all.unjudged_silent += self.outside.unjudged_silent;
        for (place, hosts) in &self.outside.decided {
            *all.decided.entry(*place).or_default() += hosts;
        }
        all
    }
}

/// The length of the judge queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Hosts that wait for judgement, including those that are claimed.
    pub waiting: u64,
    /// Since when the first of them has waited.
    pub oldest: Option<Timestamp>,
}

/// The result of a check of the whole store. It is healthy if `faults` is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct StoreCheck {
    /// Hosts.
    pub hosts: u64,
    /// Snapshots, each rebuilt and hashed.
    pub snapshots: u64,
    /// Sections, each rebuilt and hashed.
    pub sections: u64,
    /// What nothing refers to.
    pub unreferenced: Unreferenced,
    /// What is wrong, one line each.
    pub faults: Vec<String>,
}

/// What a check found that opened the store without changing it.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// The pin of the CA that the store is used with.
    pub authority: Option<String>,
    /// The verifier key of attestations that the store is used with.
    pub seal: Option<String>,
    /// When the last token of the first account ends; `None` if nobody can use this account any more.
    pub first_account_until: Option<Timestamp>,
    /// The check of all records.
    pub check: StoreCheck,
}

/// A ledger entry with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Numbers grow with every entry; there may be gaps.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who acted.
    pub actor: ActorId,
    /// What happened.
    pub entry: Entry,
}
