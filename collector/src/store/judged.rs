//! What the judge takes from the queue, and what it gives back.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_proto::model::{
    Digest, HostFacts, HostId, HostState, Label, Lane, OrderId, Presence, Protection, SiteId, Timestamp,
};

use crate::attestation::{RemovalProof, SealKey};
use crate::judge::{Hit, Remediation};

/// A host from the judge queue, with all that the judge needs.
#[derive(Debug, Clone)]
pub struct QueuedHost {
    /// The host.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// What it says of itself.
    pub facts: HostFacts,
    /// Its state.
    pub state: HostState,
    /// Its current snapshot, with when it was received; `None` before the first.
    pub snapshot: Option<(Digest, Timestamp)>,
    /// The last check-in; before the first one, the enrollment.
    pub last_seen: Option<Timestamp>,
    /// Its remediation records, one for each order that has judged it.
    pub remediations: BTreeMap<OrderId, Remediation>,
    /// Whether two machines report with its key, and nobody has reviewed that.
    pub has_two_holders: bool,
    /// Its labels.
    pub labels: Vec<Label>,
    /// The ticket with which it waits. A judgement with an older ticket changes nothing.
    pub ticket: u64,
}

/// The judge's answer for one host under one order.
#[derive(Debug, Clone)]
pub struct JudgedOrder {
    /// The order.
    pub order: OrderId,
    /// The host's lane as long as it is not silent.
    pub awake_lane: Lane,
    /// Whether the order binds the host.
    pub in_scope: bool,
    /// How the order's product is present.
    pub presence: Presence,
    /// What else protects the host.
    pub protection: Protection,
    /// The order's due milestone.
    pub due: Option<Timestamp>,
    /// The first reason, one sentence.
    pub reason: String,
    /// What would clear it.
    pub advice: String,
    /// The remediation record after this judgement.
    pub remediation: Remediation,
    /// What is to be attested: the host is `done`, and its removal was not attested before.
    pub attestation: Option<Box<RemovalProof>>,
    /// Whether a product that is found starts a clock of the order.
    pub opens_duties: bool,
}

/// The judge's answer for one host; replaces all its verdicts.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The host.
    pub host: HostId,
    /// The ticket that was claimed.
    pub ticket: u64,
    /// The snapshot that was judged.
    pub snapshot: Option<Digest>,
    /// The digest of those parts of the host's state that are judged.
    pub state_key: Option<Digest>,
    /// One for each active order.
    pub orders: Vec<JudgedOrder>,
}

/// The judge's answers for a batch of hosts.
#[derive(Debug, Clone, Default)]
pub struct Settlement {
    /// One for each host.
    pub judgements: Vec<Judgement>,
    /// Hits of sections that were matched for the first time under these rules.
    pub hits: BTreeMap<Digest, Vec<Hit>>,
    /// The version of catalogue and orders.
    pub rules_version: String,
    /// When it was judged.
    pub now: Timestamp,
    /// Signs the attestations; needed if there are any.
    pub seal: Option<Arc<SealKey>>,
}
