//! Waivers: dated, approved exceptions from an order for a frozen list of hosts.

use std::collections::BTreeMap;

use super::closed_list::closed_list;
use super::ids::OrderId;
use super::report::HostName;
use super::timestamp::Timestamp;
use super::verdict::Lane;

closed_list! {
    /// Why hosts are waived.
    WaiverReason {
        /// The replacement is ordered or planned.
        ReplacementPending = 1, "replacement-pending";
        /// The system cannot be changed any more.
        LegacySystem = 2, "legacy-system";
        /// A vendor supports its system only with the product.
        VendorDependency = 3, "vendor-dependency";
        /// A law or a regulator allows it.
        RegulatoryExemption = 4, "regulatory-exemption";
        /// The product is studied.
        Research = 5, "research";
        /// The finding is wrong.
        FalseFinding = 6, "false-finding";
        /// The control text says why.
        Other = 7, "other";
    }
}

closed_list! {
    /// The state of a waiver at an instant.
    WaiverState {
        /// It waits for an approval.
        Requested = 1, "requested";
        /// It covers its hosts.
        InForce = 2, "in-force";
        /// It was approved, and its time is over.
        Expired = 3, "expired";
        /// It was approved, and a person ended it.
        Ended = 4, "ended";
        /// A person refused or withdrew it.
        Refused = 5, "refused";
        /// Nobody decided before its time was over.
        Lapsed = 6, "lapsed";
    }
}

closed_list! {
    /// How many people a waiver needs, or a disposition of hosts that are not finished.
    ApprovalRule {
        /// Another account than the one that asked must approve it.
        TwoPeople = 1, "two-people";
        /// The account that asked may approve it too. Reports mark what was approved so.
        OnePerson = 2, "one-person";
    }
}

/// A waiver.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WaiverReport {
    /// Its number.
    pub number: u64,
    /// The order from which it is an exception.
    pub order: OrderId,
    /// Its state.
    pub state: WaiverState,
    /// Why.
    pub reason: WaiverReason,
    /// What protects the hosts or limits the risk meanwhile, in the words of the requester.
    pub control: String,
    /// Until when it is in force.
    pub until: Timestamp,
    /// Whether it lasts beyond the due milestone that the order had when it was requested.
    pub beyond_milestone: bool,
    /// How many hosts it covers; for a reader that is bound to sites, how many of these sites.
    pub hosts: u64,
    /// The name of the account that asked for it.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// The name of the account that approved or refused it; empty before.
    pub decided_by: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Whether the account that asked for it has approved it.
    pub is_self_approved: bool,
    /// The name of the account that ended it; empty if nobody did.
    pub ended_by: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The first hosts of its list, by their ids. Empty in lists of waivers.
    pub first_hosts: Vec<HostName>,
    /// How many of its hosts are in which lane while they report and nothing is decided about them; hosts that were not judged
    /// yet count as `unknown`. Empty in lists of waivers.
    pub lanes: BTreeMap<Lane, u64>,
}
