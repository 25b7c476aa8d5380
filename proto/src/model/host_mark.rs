//! Marks: what sets a host apart from the others.

use super::Timestamp;
use super::closed_list::closed_list;

closed_list! {
    /// What sets a host apart from the others. It stays in every count.
    HostMark {
        /// It renewed its key after its certificate had expired, and nobody has released it since. It reports as before.
        Quarantined = 1, "quarantined";
        /// An operator revoked its keys. It cannot report.
        Revoked = 2, "revoked";
        /// Two machines have reported with its key: a copied state folder, or a cloned machine. Its lane is at best `unknown`
        /// until a person has reviewed it.
        TwoHolders = 4, "two-holders";
        /// It has spent a budget within the last day: what exceeds it is refused until the next hour.
        Throttled = 10, "throttled";
        /// An operator removed what it has sent. It cannot report until it is released or enrolls again.
        Purged = 11, "purged";
        /// It has reported after it was retired. It is in its lane as before.
        Returned = 12, "returned";
    }
}

closed_list! {
    /// How two holders of one key show.
    HoldersSign {
        /// Runs of the agent came back, time and again, after another run had taken their place. One machine whose agent
        /// restarts, or that is rolled back, does not do that.
        Runs = 1, "runs";
        /// The report has the fingerprint of another machine.
        Machine = 2, "machine";
    }
}

impl HoldersSign {
    /// It in a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Runs => "two running agents report in turn with its key",
            Self::Machine => "a machine with another machine id reports with its key",
        }
    }
}

/// What an operator does to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostActionKind {
    /// Its keys are no longer accepted.
    Revoke,
    /// Its quarantine and its revocation end.
    Release,
    /// A person has found out why two machines reported with its key.
    Review,
    /// Its keys are no longer accepted, and what it sent is removed, as far as no other host has it.
    Purge,
}

impl HostActionKind {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Release => "release",
            Self::Review => "review",
            Self::Purge => "purge",
        }
    }
}

/// A mark of a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MarkReport {
    /// The mark.
    pub mark: HostMark,
    /// Since when the host has it.
    pub since: Timestamp,
    /// Why, in the words of the person who set it; empty if no person did.
    pub reason: String,
}
