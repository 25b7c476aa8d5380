//! Removing what nothing refers to any more: what a pass removes, and what it has removed.
//!
//! ```text
//!  host, its history ─► snapshot ─► section ─► edition        a pass goes from left to right: what it removes
//!  host, its history ─► judged state                          at one place is what the next place was kept for
//! ```
//!
//! A host may name again what was removed. Then it is stored again, because a check-in asks for what is missing.

use std::time::Duration;

use muster_proto::model::Timestamp;

/// A pass over the whole store, in transactions of few rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreferencedPass {
    /// Now.
    pub now: Timestamp,
    /// Only rows that were made before this instant are removed, as far as earlier passes know.
    pub before: Timestamp,
    /// At most so many rows in one transaction.
    pub rows: u32,
    /// The time between two transactions: others use the store meanwhile.
    pub pause: Duration,
}

/// What a pass has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnreferencedRemoved {
    /// Snapshots.
    pub snapshots: u64,
    /// Sections.
    pub sections: u64,
    /// Judged states.
    pub states: u64,
}

impl UnreferencedRemoved {
    /// All rows.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.snapshots + self.sections + self.states
    }
}

/// How many rows nothing refers to. Those that are old enough are removed by the next pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Unreferenced {
    /// Snapshots.
    pub snapshots: u64,
    /// Sections. Those of snapshots that are not removed yet are not counted.
    pub sections: u64,
    /// Judged states.
    pub states: u64,
}

impl Unreferenced {
    /// All rows.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.snapshots + self.sections + self.states
    }
}

/// The greatest numbers of rows that a pass may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct OldNumbers {
    pub(in crate::store) snapshot: i64,
    pub(in crate::store) section: i64,
}

/// A segment of the search index is written again when this part of what it names was removed. Until then the names cost
/// space and nothing else.
pub(in crate::store) const REWRITTEN_FROM: i64 = 8;
