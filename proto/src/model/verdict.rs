//! What the judge says: of a snapshot (assessment), and of a host at an instant (verdict).

use super::closed_list::closed_list;
use super::{OrderId, Platform, SourceName, Timestamp};

closed_list! {
    /// What an order's product is in a snapshot.
    Presence {
        /// Installed, and seen to be running.
        Active = 1, "active";
        /// Installed.
        Installed = 2, "installed";
        /// Only the vendor's management agent or console is there.
        ManagementOnly = 3, "management-only";
        /// The vendor's code inside another vendor's product.
        Embedded = 4, "embedded";
        /// Left over: package in state `rc`, orphaned service, bare folder.
        Remnant = 5, "remnant";
        /// A trace that proves nothing alone.
        Suspect = 6, "suspect";
        /// Looked completely, and nothing was seen.
        None = 7, "none";
        /// Sources that the order needs did not look completely.
        Unknown = 8, "unknown";
    }
}

closed_list! {
    /// What else guards the host.
    Protection {
        /// A product that counts is active, with evidence.
        Approved = 1, "approved";
        /// A security product is there that does not count.
        Unapproved = 2, "unapproved";
        /// None is there.
        None = 3, "none";
        /// It could not be found out.
        Unknown = 4, "unknown";
        /// The order demands none on this platform.
        NotRequired = 5, "not-required";
    }
}

closed_list! {
    /// The one queue in which a host stands under an order. The order of the codes is the order of decision.
    Lane {
        /// A disposition is recorded.
        Retired = 1, "retired";
        /// A waiver in force covers it.
        Waived = 2, "waived";
        /// On the roster, never reported.
        Missing = 3, "missing";
        /// Prohibited product present, and no approved protection.
        Replace = 4, "replace";
        /// Prohibited product present, approved protection active or none required.
        Remove = 5, "remove";
        /// Not reported within the order's patience.
        Silent = 6, "silent";
        /// Cannot be judged: coverage, or protection unknown.
        Unknown = 7, "unknown";
        /// Gone, but protection is required and none approved is active.
        Protect = 8, "protect";
        /// Gone and guarded; removal not yet proven, or remnants left.
        Confirm = 9, "confirm";
        /// Had it; removal proven.
        Done = 10, "done";
        /// Never had it; every needed source looked.
        Clear = 11, "clear";
    }
}

impl Lane {
    /// Whether the order asks nothing more of a host in this lane.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Retired | Self::Waived | Self::Done | Self::Clear)
    }

    /// Whether a host in this lane is an open finding: something is to be done on the host itself.
    #[must_use]
    pub const fn is_finding(self) -> bool {
        matches!(self, Self::Replace | Self::Remove | Self::Protect | Self::Confirm)
    }

    /// Whether silence moves a host out of this lane into `silent`. A positive stands, asleep or not.
    #[must_use]
    pub const fn yields_to_silence(self) -> bool {
        matches!(self, Self::Unknown | Self::Protect | Self::Confirm | Self::Done | Self::Clear)
    }

    /// Whether a host in this lane could not be judged completely.
    #[must_use]
    pub const fn is_coverage_gap(self) -> bool {
        matches!(self, Self::Missing | Self::Silent | Self::Unknown)
    }
}

/// The observation that a reason rests on, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// The source that saw it.
    pub source: SourceName,
    /// `deb kesl 12.2.0-2517 [ii]`: kind, name, version, state.
    pub text: String,
    /// Where it is, when the source says so.
    pub path: String,
}

/// Why the judge said something: the rule, what it rests on, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// Stable name of the rule: a recogniser (`kaspersky-endpoint-security/linux/deb#1`) or a step of the judge
    /// (`lane/replace`, `coverage/dpkg-failed`).
    pub rule: String,
    /// One sentence, readable alone.
    pub text: String,
    /// The product of the catalogue, when the reason is about one.
    pub product: String,
    /// What was seen, when something was.
    pub evidence: Option<Evidence>,
}

/// Presence, protection, coverage and reasons of one snapshot under one order. No host is in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Assessment {
    /// The order.
    pub order: OrderId,
    /// The version of catalogue and orders that judged.
    pub rules_version: String,
    /// The platform that was looked at.
    pub platform: Platform,
    /// What the order's product is.
    pub presence: Presence,
    /// What else guards the host.
    pub protection: Protection,
    /// Whether every source that the order needs looked completely.
    pub covered: bool,
    /// Whether a prohibited product is there, by this order's own list of presences.
    pub prohibited: bool,
    /// Whether remnants are there, beside or without the product itself.
    pub remnants: bool,
    /// The reasons, most important first.
    pub reasons: Vec<Reason>,
}

/// Where a host stands under an order at an instant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// The order.
    pub order: OrderId,
    /// The queue.
    pub lane: Lane,
    /// Whether the host belongs to those whom the order binds.
    pub in_scope: bool,
    /// Unfinished past the order's due milestone.
    pub overdue: bool,
    /// Not reported within the order's patience, whatever the lane.
    pub silent: bool,
    /// The order's due milestone.
    pub due: Option<Timestamp>,
    /// What would clear it, one sentence.
    pub advice: String,
    /// Reasons of the placement, before those of the assessment.
    pub reasons: Vec<Reason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_finished_or_a_finding_or_a_gap_and_only_one_of_them() {
        for lane in Lane::ALL {
            let kinds = [lane.is_finished(), lane.is_finding(), lane.is_coverage_gap()];
            assert_eq!(kinds.iter().filter(|is| **is).count(), 1, "{lane}");
        }
    }
}
