//! What operators read: the same structs for the command line, the web board, files and the API.

use std::collections::BTreeMap;

use super::{
    Binding, Cause, DecisionReport, DispositionReport, DutyReport, Evidence, HostFacts, HostId, HostLabel, HostMark,
    HostNote, HostOwner, HostState, Kind, Label, Lane, MarkReport, OrderId, Outcome, Platform, Presence, ProductId,
    Protection, Reason, Resources, RosterCounts, SiteId, SourceName, Timestamp, TokenId,
};

/// One order's counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct BoardCounts {
    /// Machines in each lane, including empty lanes. They add up to `total - out_of_scope`.
    pub lanes: BTreeMap<Lane, u64>,
    /// All machines that are counted here.
    pub total: u64,
    /// Those of them to which the order does not apply.
    pub out_of_scope: u64,
    /// Hosts that are not finished after the due milestone.
    pub overdue: u64,
    /// Hosts that have not reported within the order's patience, whatever their lane is, except retired ones.
    pub silent: u64,
    /// The lanes that waived hosts would be in without their waivers. They add up to the lane `waived`.
    pub waived: BTreeMap<Lane, u64>,
    /// The lanes in which retired hosts were when they reported last. They add up to the lane `retired`.
    pub retired: BTreeMap<Lane, u64>,
    /// Waived and retired hosts whose waiver or disposition was approved by the account that asked for it.
    pub self_approved: u64,
}

/// One order on the board.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Board {
    /// The order.
    pub order: OrderReport,
    /// The counts of the machines on the roster, those that never enrolled included. Without a roster, of all hosts.
    pub counts: BoardCounts,
    /// The counts of the hosts that are not on the roster; `None` without a roster.
    pub outside: Option<BoardCounts>,
    /// The entries of the roster; `None` without a roster.
    pub roster: Option<RosterCounts>,
    /// The instant of the counts, by the collector's clock.
    pub as_of: Timestamp,
    /// Hosts that wait to be judged; `None` for a board of the past.
    pub judge_queue: Option<u64>,
    /// Open duties of the order that are past their time.
    pub overdue_duties: u64,
    /// Hosts in scope on which a prohibited product or its remnants were found, and that are unprotected now; `None` for a board
    /// of the past.
    pub unprotected: Option<u64>,
    /// Since when the first of them is; `None` if none is.
    pub unprotected_since: Option<Timestamp>,
}

/// How long a host was unprotected under an order: neither a protection that the order accepts nor an antivirus or EDR of the order
/// was active. Counts from the first finding of a prohibited product, or of its remnants, on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct UnprotectedTime {
    /// Since when it has been unprotected; `None` if it is protected, or if its protection is unknown and it was protected before.
    pub since: Option<Timestamp>,
    /// The time since then, in milliseconds; 0 without `since`.
    pub current_ms: u64,
    /// The longest time, the current one included, in milliseconds.
    pub longest_ms: u64,
    /// All times together, the current one included, in milliseconds.
    pub total_ms: u64,
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
    /// Where it applies.
    pub jurisdiction: String,
    /// Its legal force.
    pub binding: Binding,
    /// Whether hosts are judged under it.
    pub active: bool,
    /// When everything must be finished; `None` if the order has no such day.
    pub due: Option<Timestamp>,
    /// Whether that instant was read in a trustworthy text; `true` if there is none.
    pub due_confirmed: bool,
    /// The time zone of its days, such as `America/New_York`.
    pub zone: String,
    /// The id of the calendar of its business days; empty if it has none.
    pub calendar: String,
    /// All milestones.
    pub milestones: Vec<MilestoneReport>,
    /// What must be done within a time after an event.
    pub clocks: Vec<TermReport>,
    /// What must be done again and again.
    pub recurring: Vec<TermReport>,
    /// Where the facts come from.
    pub sources: Vec<String>,
    /// Where its file comes from: `shipped`, `overlay` or `applied`.
    pub layer: String,
    /// The addendum that changes it; empty if it has none.
    pub addendum: String,
    /// The platforms to which it applies; empty means all.
    pub platforms: Vec<String>,
    /// The sites to which it applies; empty means all.
    pub sites: Vec<String>,
    /// Labels, one of which a host must have; empty means that it needs none.
    pub labels: Vec<String>,
    /// How long a host may be silent, in milliseconds.
    pub patience_ms: u64,
    /// The only products that it accepts as protection; empty if it lists none.
    pub approved: Vec<String>,
}

/// A milestone of an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MilestoneReport {
    /// Its name within the order.
    pub id: String,
    /// The stated time in the order's zone: `2025-04-01`, `2026-06` or `2024-09-29 00:00 -04:00`.
    pub stated: String,
    /// When it is reached: the beginning or the end of the stated time.
    pub reached: Timestamp,
    /// Whether it is reached at the end of the stated time ("by") and not at its beginning ("from").
    pub at_end: bool,
    /// Whether it was read in a trustworthy text.
    pub confirmed: bool,
    /// What happens.
    pub what: String,
    /// The addendum that adds it; empty if it is the order's own.
    pub addendum: String,
}

/// A clock or a recurring duty of an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TermReport {
    /// Its name within the order.
    pub id: String,
    /// What starts it: `found`, `clock:ID`, `milestone:ID`; of a recurring duty the first day, such as `2018-01-11`.
    pub starts: String,
    /// Only events from this instant on start it.
    pub from: Option<Timestamp>,
    /// Only events before this instant start it; of a recurring duty, when it ends. Without it, the duty ends when nothing is
    /// left to do under the order.
    pub until: Option<Timestamp>,
    /// How long it runs: `within 3 business days`, `every 30 days`.
    pub term: String,
    /// For what it runs: `order`, `product` or `host`.
    pub per: String,
    /// What must be done.
    pub what: String,
    /// What a report must contain.
    pub fields: Vec<String>,
    /// Whether it was read in a trustworthy text.
    pub confirmed: bool,
}

/// One row of a list of hosts.
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
    /// Its operating system, as people write it.
    pub os_name: String,
    /// The last check-in, by the collector's clock.
    pub last_seen: Option<Timestamp>,
    /// Its lane under each active order that applies to it.
    pub lanes: BTreeMap<OrderId, Lane>,
    /// Its lane without the decision, under the orders under which it is waived or retired.
    pub true_lanes: BTreeMap<OrderId, Lane>,
    /// The orders under which it is overdue.
    pub overdue: Vec<OrderId>,
    /// The orders under which it is silent, whatever its lane is: it has not reported within their patience.
    pub silent: Vec<OrderId>,
    /// What sets it apart from the others.
    pub marks: Vec<HostMark>,
    /// Its labels, in order.
    pub labels: Vec<Label>,
    /// Who answers for it; empty if nobody does.
    pub owner: String,
}

/// One version of a software title, as a source spells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct SoftwareEdition {
    /// Its platform.
    pub platform: Platform,
    /// The kind of observation.
    pub kind: Kind,
    /// The name that the source gives it.
    pub name: String,
    /// Publisher, maintainer or signer.
    pub vendor: String,
    /// Version as the source spells it.
    pub version: String,
    /// State as the source spells it; empty if the source gives none.
    pub state: String,
    /// Whether the state means that it is installed. A removed package that left its configuration is not.
    pub present: bool,
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

/// A host that has matching software.
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
    /// The matching editions on it, in order.
    pub editions: Vec<SoftwareEdition>,
}

/// Which hosts have matching software, by their current snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct SoftwareReport {
    /// Matching editions that some host has; the most widespread first.
    pub editions: Vec<SoftwareCount>,
    /// How many more editions match than are listed.
    pub more_editions: u64,
    /// How many hosts have at least one matching edition.
    pub hosts_total: u64,
    /// Some of these hosts, in the order of their names.
    pub hosts: Vec<SoftwareHost>,
}

/// What one source contributed to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SourceReport {
    /// The source.
    pub source: SourceName,
    /// The outcome of reading it.
    pub outcome: Outcome,
    /// Why, if the outcome is not complete.
    pub reason: String,
    /// How many observations it has.
    pub observations: u64,
    /// The active orders that apply to the host and need this source; without it their answer is `unknown`.
    pub needed_by: Vec<OrderId>,
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
    /// How it is present.
    pub presence: Presence,
    /// Its version; empty if no source gave one.
    pub version: String,
    /// The rule that recognised it.
    pub rule: String,
    /// What shows it; deciding evidence first.
    pub evidence: Vec<Evidence>,
}

/// The verdict on one host under one order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VerdictReport {
    /// The order.
    pub order: OrderReport,
    /// The lane.
    pub lane: Lane,
    /// The lane without a waiver or a disposition; the same as `lane` if there is none.
    pub true_lane: Lane,
    /// The waiver or the disposition that puts the host into its lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionReport>,
    /// Whether the order applies to the host.
    pub in_scope: bool,
    /// Whether it is not finished after the due milestone.
    pub overdue: bool,
    /// Whether it has not reported within the order's patience.
    pub silent: bool,
    /// How the order's product is present.
    pub presence: Presence,
    /// What else protects the host.
    pub protection: Protection,
    /// How long it was unprotected; `None` if it never was since a product was found.
    pub unprotected: Option<UnprotectedTime>,
    /// Since when it has been in this lane, by the collector's clock.
    pub since: Timestamp,
    /// What to do next, one sentence.
    pub advice: String,
    /// The commands that the advice means: reasons of kind `uninstall`, each with its command. Empty if it means none.
    pub commands: Vec<Reason>,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// Everything about one host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostReport {
    /// Its id.
    pub id: HostId,
    /// Its site.
    pub site: SiteId,
    /// What it reports about itself.
    pub facts: HostFacts,
    /// Its state.
    pub state: HostState,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// The last check-in, by the collector's clock.
    pub last_seen: Option<Timestamp>,
    /// When its current snapshot was received.
    pub snapshot_since: Option<Timestamp>,
    /// When the agent scanned, by its own clock, corrected to the collector's.
    pub observed_at: Option<Timestamp>,
    /// When it last reported a scan in which every source of its system was read completely. If later scans were not
    /// complete, this is when the first of them was received. `None` if there was no complete scan lately.
    pub complete_scan: Option<Timestamp>,
    /// The digest of its current snapshot; empty before the first.
    pub snapshot: String,
    /// What each source contributed.
    pub sources: Vec<SourceReport>,
    /// The security products that were recognised.
    pub hits: Vec<HitReport>,
    /// Its verdict under each active order.
    pub verdicts: Vec<VerdictReport>,
    /// What sets it apart from the others.
    pub marks: Vec<MarkReport>,
    /// Its labels, in order.
    pub labels: Vec<HostLabel>,
    /// Who answers for it.
    pub owner: Option<HostOwner>,
    /// What people noted about it, the newest first.
    pub notes: Vec<HostNote>,
    /// The id of the token that it enrolled with; empty if it is not known any more.
    pub enrolled_with: String,
    /// Its newest dispositions, newest first. Each has only this host.
    pub dispositions: Vec<DispositionReport>,
}

/// A host by its id and its name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostName {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub hostname: String,
}

/// What an action on hosts has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct HostActionReport {
    /// The first of the hosts that were changed.
    pub hosts: Vec<HostName>,
    /// How many were changed.
    pub changed: u64,
    /// How many were as the action makes them already.
    pub unchanged: u64,
    /// What a purge has removed.
    pub removed: PurgeCounts,
}

/// What a purge of hosts has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PurgeCounts {
    /// Snapshots that no other host has or had.
    pub snapshots: u64,
    /// Sections of them that are in no other snapshot.
    pub sections: u64,
}

/// One of several hosts that an ambiguous name may mean.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostCandidate {
    /// Its id, which is never ambiguous.
    pub id: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// The last check-in, by the collector's clock.
    pub last_seen: Option<Timestamp>,
}

/// When a host came into a lane under an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LaneChange {
    /// The order.
    pub order: OrderId,
    /// Since when the host was in the lane.
    pub since: Timestamp,
    /// The lane while the host is not silent.
    pub lane: Lane,
    /// Why the host came into the lane.
    pub cause: Cause,
}

/// A host that changed its lane under an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChangeRow {
    /// When, by the collector's clock.
    pub at: Timestamp,
    /// The host.
    pub host: HostId,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: SiteId,
    /// The order.
    pub order: OrderId,
    /// The lane before; `None` if the host had none under the order.
    pub from: Option<Lane>,
    /// The lane after; `None` if the host has none under the order any more.
    pub to: Option<Lane>,
    /// Why.
    pub cause: Cause,
}

/// Hosts that changed lane, newest first, and how many there are in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ChangesReport {
    /// A page of the changes.
    pub changes: Vec<ChangeRow>,
    /// How many changes there are.
    pub total: u64,
    /// How many hosts changed lane.
    pub hosts: u64,
    /// How many changes have each cause.
    pub causes: BTreeMap<Cause, u64>,
}

/// Why a host is in its lanes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// The host with all that the judge used.
    pub host: HostReport,
    /// The lanes that the host was in, oldest first; the last one of each order is the current one.
    pub history: Vec<LaneChange>,
    /// The version of catalogue and orders that judged.
    pub rules_version: String,
    /// Open duties about the host and about products that were found on it, the one that is due first at the beginning.
    pub duties: Vec<DutyReport>,
}

/// One host that is not finished under one order.
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
    /// The lane.
    pub lane: Lane,
    /// Whether it is not finished after the due milestone.
    pub overdue: bool,
    /// Whether it has not reported within the order's patience, whatever the lane is.
    pub silent: bool,
    /// How the order's product is present.
    pub presence: Presence,
    /// What else protects the host.
    pub protection: Protection,
    /// Since when it has been in this lane. A host in `silent` has been there since its last check-in plus the order's
    /// patience.
    pub since: Timestamp,
    /// The last check-in, by the collector's clock; before the first one, the enrollment.
    pub last_seen: Option<Timestamp>,
    /// Why it is in this lane, one sentence.
    pub reason: String,
    /// What to do next.
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
    /// Its family, if several products belong together.
    pub family: String,
    /// The platforms for which it has recognisers.
    pub platforms: Vec<Platform>,
    /// How many recognisers it has.
    pub recognisers: u64,
    /// The recognisers, one line each; empty in lists.
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

/// The state of the collector.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CollectorStatus {
    /// Its version.
    pub version: String,
    /// The version of catalogue and orders in force.
    pub rules_version: String,
    /// How many hosts are enrolled.
    pub hosts: u64,
    /// Hosts that wait to be judged.
    pub judge_queue: u64,
    /// How long the oldest of them has waited, in milliseconds.
    pub judge_queue_lag_ms: u64,
    /// Its time.
    pub now: Timestamp,
    /// Set while the rules on disk are refused and older ones are in force.
    pub rules_refused: Option<RulesRefused>,
    /// Editions of software in the dictionary.
    pub editions: u64,
    /// How full the dictionary is.
    pub editions_percent: u64,
    /// Whether it is so full that operators are warned.
    pub editions_alarm: bool,
    /// How many hosts have each mark. Marks that no host has are left out.
    pub marks: BTreeMap<HostMark, u64>,
    /// Set while the store accepts no writes.
    pub store_refuses: Option<StoreRefuses>,
    /// What it uses.
    pub resources: Resources,
}

/// A store that accepts no writes. Agents keep what they have to report, and nothing that was acknowledged is lost.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoreRefuses {
    /// Since when.
    pub since: Timestamp,
    /// Why: the disk is full, the file is read-only, …
    pub reason: String,
}

/// Rules on disk that were refused; the last valid set stays in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RulesRefused {
    /// Since when they are refused.
    pub since: Timestamp,
    /// The first of their faults, with file and line.
    pub fault: String,
}
