//! What people ask: the same structs for the command line, the web board, files and the API.

use std::collections::BTreeMap;

use super::{
    Binding, Evidence, HostFacts, HostId, HostState, Kind, Lane, OrderId, Outcome, Platform, Presence, ProductId,
    Protection, Reason, SiteId, SourceName, Timestamp, TokenId,
};

/// One order's counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct BoardCounts {
    /// Hosts in each lane; every lane is there. They add up to `total - out_of_scope`.
    pub lanes: BTreeMap<Lane, u64>,
    /// All hosts of the roster and of the fleet.
    pub total: u64,
    /// Hosts whom the order does not bind.
    pub out_of_scope: u64,
    /// Unfinished past the due milestone.
    pub overdue: u64,
    /// Not reported within the order's patience, whatever their lane.
    pub silent: u64,
}

/// One order on the board.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Board {
    /// The order.
    pub order: OrderReport,
    /// The counts.
    pub counts: BoardCounts,
    /// The instant for which the counts hold.
    pub as_of: Timestamp,
    /// Looks and hosts that wait for judgement.
    pub judge_queue: u64,
}

/// An order as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrderReport {
    /// Its id.
    pub id: OrderId,
    /// Its title.
    pub title: String,
    /// Who issued it.
    pub issuer: String,
    /// Where it holds.
    pub jurisdiction: String,
    /// Its legal force.
    pub binding: Binding,
    /// Whether hosts are judged under it.
    pub active: bool,
    /// When everything must be finished; an order may have no such day.
    pub due: Option<Timestamp>,
    /// All milestones: instant, and what happens.
    pub milestones: Vec<(Timestamp, String)>,
    /// Where the facts come from.
    pub sources: Vec<String>,
}

/// A host in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostRow {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// Its platform.
    pub platform: Platform,
    /// Its operating system, for people.
    pub os_name: String,
    /// The last check-in, by the collector's clock.
    pub last_seen: Option<Timestamp>,
    /// Its lane under each active order that binds it.
    pub lanes: BTreeMap<OrderId, Lane>,
    /// The orders under which it is overdue.
    pub overdue: Vec<OrderId>,
}

/// A title in one version, as a source spells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct SoftwareEdition {
    /// Its platform.
    pub platform: Platform,
    /// What sort of trace it is.
    pub kind: Kind,
    /// The name that the source gives it.
    pub name: String,
    /// Publisher, maintainer or signer.
    pub vendor: String,
    /// Version as the source spells it.
    pub version: String,
}

/// How many hosts have an edition.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SoftwareCount {
    /// The edition.
    #[serde(flatten)]
    pub edition: SoftwareEdition,
    /// Hosts whose current snapshot shows it.
    pub hosts: u64,
}

/// A host that has a software, and what of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SoftwareHost {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// The last check-in, by the collector's clock; before the first one, the enrollment.
    pub last_seen: Option<Timestamp>,
    /// What it has of it, in order.
    pub editions: Vec<SoftwareEdition>,
}

/// Which hosts have a software, as their current snapshots say.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct SoftwareReport {
    /// Editions that fit and that some host has; those that most hosts have come first.
    pub editions: Vec<SoftwareCount>,
    /// How many more editions fit than are listed.
    pub more_editions: u64,
    /// How many hosts have at least one of all that fit.
    pub hosts_total: u64,
    /// Some of these, in the order of their ids.
    pub hosts: Vec<SoftwareHost>,
}

/// What one source contributed, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SourceReport {
    /// The source.
    pub source: SourceName,
    /// What became of looking there.
    pub outcome: Outcome,
    /// Why, when the outcome is not plain.
    pub reason: String,
    /// How many observations it holds.
    pub observations: u64,
}

/// A product recognised on a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HitReport {
    /// The product.
    pub product: ProductId,
    /// Its name.
    pub name: String,
    /// Its vendor.
    pub vendor: String,
    /// Its category: `antivirus`, `edr`, …
    pub category: String,
    /// What it is there.
    pub presence: Presence,
    /// Its version, when something gave one.
    pub version: String,
    /// The rule that recognised it.
    pub rule: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
}

/// Where a host stands under one order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VerdictReport {
    /// The order.
    pub order: OrderReport,
    /// The queue.
    pub lane: Lane,
    /// Whether the order binds the host.
    pub in_scope: bool,
    /// Unfinished past the due milestone.
    pub overdue: bool,
    /// Not reported within the order's patience.
    pub silent: bool,
    /// What the order's product is there.
    pub presence: Presence,
    /// What else guards the host.
    pub protection: Protection,
    /// Since when it stands in this lane, by the collector's clock.
    pub since: Timestamp,
    /// What would clear it.
    pub advice: String,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// One host, whole.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostReport {
    /// Its id.
    pub id: HostId,
    /// Its site.
    pub site: SiteId,
    /// What it says of itself.
    pub facts: HostFacts,
    /// Its state.
    pub state: HostState,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// The last check-in, by the collector's clock.
    pub last_seen: Option<Timestamp>,
    /// When its current snapshot was received.
    pub snapshot_since: Option<Timestamp>,
    /// When the agent looked, by its own clock, corrected.
    pub observed_at: Option<Timestamp>,
    /// The digest of its current snapshot.
    pub snapshot: String,
    /// What each source contributed.
    pub sources: Vec<SourceReport>,
    /// The security products that were recognised.
    pub hits: Vec<HitReport>,
    /// Where it stands under each active order.
    pub verdicts: Vec<VerdictReport>,
}

/// The answer to "why does this host stand there?".
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// The host, whole: the explanation shows nothing that the judge did not use.
    pub host: HostReport,
    /// Since when, and from which lane: the history under each order, oldest first.
    pub history: Vec<(OrderId, Timestamp, Lane)>,
    /// The version of catalogue and orders that judged.
    pub rules_version: String,
}

/// One unfinished host under one order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The order.
    pub order: OrderId,
    /// The host.
    pub host: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// Its platform.
    pub platform: Platform,
    /// The queue.
    pub lane: Lane,
    /// Unfinished past the due milestone.
    pub overdue: bool,
    /// What the order's product is there.
    pub presence: Presence,
    /// What else guards the host.
    pub protection: Protection,
    /// Since when it stands in this lane.
    pub since: Timestamp,
    /// The first reason, one sentence.
    pub reason: String,
    /// What would clear it.
    pub advice: String,
}

/// A product of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ProductReport {
    /// Its id.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// Its vendor.
    pub vendor: String,
    /// Its category.
    pub category: String,
    /// Its family, where several products are one line.
    pub family: String,
    /// The platforms for which there are recognisers.
    pub platforms: Vec<Platform>,
    /// How many recognisers there are.
    pub recognisers: u64,
    /// The recognisers as text, one a line; empty in lists.
    pub details: Vec<String>,
}

/// An enrollment token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TokenReport {
    /// Its public half.
    pub id: TokenId,
    /// The site for which it enrolls.
    pub site: SiteId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How often it may be used; 0 is without limit.
    pub max_uses: u64,
    /// How often it was used.
    pub uses: u64,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

impl TokenReport {
    /// Whether the token admits a new host now, and if not, why.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> TokenStatus {
        TokenStatus::of(self.revoked_at.is_some(), self.expires_at, self.uses, self.max_uses, now)
    }
}

/// Whether an enrollment token admits a new host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStatus {
    /// It admits a new host.
    Valid,
    /// It was used as often as it may be; hosts that it admitted before may repeat their request.
    UsedUp,
    /// Its time is over.
    Expired,
    /// An operator revoked it.
    Revoked,
}

impl TokenStatus {
    /// The status at an instant. A token expires at `expires_at` itself; `max_uses` of 0 means any number. If several
    /// reasons apply, the answer is the first of revoked, expired, used up.
    #[must_use]
    pub fn of(is_revoked: bool, expires_at: Timestamp, uses: u64, max_uses: u64, now: Timestamp) -> Self {
        if is_revoked {
            Self::Revoked
        } else if now >= expires_at {
            Self::Expired
        } else if max_uses != 0 && uses >= max_uses {
            Self::UsedUp
        } else {
            Self::Valid
        }
    }
}

/// How the collector is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CollectorStatus {
    /// Its version.
    pub version: String,
    /// The version of catalogue and orders in force.
    pub rules_version: String,
    /// Hosts it knows.
    pub hosts: u64,
    /// Looks and hosts that wait for judgement.
    pub judge_queue: u64,
    /// How long the oldest of them has waited, in milliseconds.
    pub judge_queue_lag_ms: u64,
    /// Its clock.
    pub now: Timestamp,
    /// Why the rules on disk are not those in force.
    pub rules_refused: Option<RulesRefused>,
}

/// The rules on disk were refused: the last good set stays in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RulesRefused {
    /// Since when they have been.
    pub since: Timestamp,
    /// The first of their faults, with file and line.
    pub fault: String,
}
