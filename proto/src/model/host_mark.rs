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
        /// It has spent a budget within the last day: what exceeds it is refused until the next hour.
        Throttled = 10, "throttled";
    }
}

/// What an operator does to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostActionKind {
    /// Its keys are no longer accepted.
    Revoke,
    /// Its quarantine and its revocation end.
    Release,
}

impl HostActionKind {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Release => "release",
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
