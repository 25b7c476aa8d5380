//! Dispositions: why hosts left the fleet, with evidence; and what was decided about a host, for its reports.

use super::closed_list::closed_list;
use super::duty::DutyEvidence;
use super::ids::HostId;
use super::timestamp::Timestamp;
use super::verdict::Lane;

closed_list! {
    /// Why a host left the fleet.
    DispositionKind {
        /// The machine was destroyed.
        Destroyed = 1, "destroyed";
        /// The machine was installed anew, and is another host now.
        Reimaged = 2, "reimaged";
        /// The machine was given to another organisation or part of it.
        Transferred = 3, "transferred";
        /// The machine was sold.
        Sold = 4, "sold";
        /// The machine was lost or stolen.
        Lost = 5, "lost";
    }
}

closed_list! {
    /// The state of a disposition.
    DispositionState {
        /// It waits for a second person.
        Requested = 1, "requested";
        /// Its hosts are retired, except those that have reported since.
        Approved = 2, "approved";
        /// A person refused or withdrew it.
        Refused = 3, "refused";
    }
}

/// A disposition of some hosts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DispositionReport {
    /// Its number.
    pub number: u64,
    /// Its state.
    pub state: DispositionState,
    /// Why the hosts left.
    pub kind: DispositionKind,
    /// What shows it, in the words of the requester.
    pub evidence: String,
    /// The file that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<DutyEvidence>,
    /// The name of the account that asked for it.
    pub requested_by: String,
    /// When. A host that reported later is not retired by it.
    pub requested_at: Timestamp,
    /// The name of the account that decided; empty before.
    pub decided_by: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Whether it needed a second person: a host was not finished under an active order.
    pub needs_second: bool,
    /// Whether it needed a second person, and the account that asked for it has approved it.
    pub is_self_approved: bool,
    /// Its hosts.
    pub hosts: Vec<DisposedHost>,
}

/// A host of a disposition.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DisposedHost {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub hostname: String,
    /// When a person took it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it was noticed that it reported again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<Timestamp>,
}

/// What `hosts retire` has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RetirementReport {
    /// The dispositions that were made: of hosts that are retired now, and of hosts that wait for a second person.
    pub dispositions: Vec<DispositionReport>,
    /// How many hosts are retired now.
    pub retired: u64,
    /// How many hosts wait for a second person.
    pub waiting: u64,
    /// How many hosts were retired, or waited, already.
    pub unchanged: u64,
}

/// A decision that puts a host into `retired` or `waived` under an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DecisionReport {
    /// The lane: `retired` or `waived`.
    pub lane: Lane,
    /// The number of the disposition or the waiver.
    pub number: u64,
    /// The reason of the waiver, or why the host left.
    pub why: String,
    /// The control of the waiver, or the evidence, in the words of the requester.
    pub text: String,
    /// Until when it is in force; `None` if it has no end.
    pub until: Option<Timestamp>,
    /// The name of the account that asked for it.
    pub requested_by: String,
    /// The name of the account that approved it.
    pub approved_by: String,
    /// When.
    pub approved_at: Timestamp,
    /// Whether it needed a second person, and the account that asked for it has approved it.
    pub is_self_approved: bool,
}
