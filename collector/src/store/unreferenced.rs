//! Removing what nothing refers to any more: what a pass removes, and what it has removed.
//!
//! ```text
//!  host, its history ─► snapshot ─► section ─► edition ─► title, version      a pass goes from left to right: what it
//!  host, its history ─► judged state                                          removes at one place is what the next place
//!                                                                             was kept for
//! ```
//!
//! A host may name again what was removed. Then it is stored again, because a check-in asks for what is missing.

use std::time::Duration;

use muster_proto::model::Timestamp;

use super::number_set::NumberSet;

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
    /// Also editions. Only the sections say which editions are used, so all of them are read.
    pub editions: bool,
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
    /// Editions.
    pub editions: u64,
    /// Titles and versions of editions. PostgreSQL has no rows of them.
    pub texts: u64,
}

impl UnreferencedRemoved {
    /// All rows.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.snapshots + self.sections + self.states + self.editions + self.texts
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
    /// Editions. Those of sections that are not removed yet are not counted.
    pub editions: u64,
    /// Titles and versions. Those of editions that are not removed yet are not counted.
    pub texts: u64,
}

impl Unreferenced {
    /// All rows.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.snapshots + self.sections + self.states + self.editions + self.texts
    }
}

/// The greatest numbers of rows that a pass may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct OldNumbers {
    pub(in crate::store) snapshot: i64,
    pub(in crate::store) section: i64,
    pub(in crate::store) edition: i64,
}

/// A segment of the search index is written again when this part of what it names was removed. Until then the names cost
/// space and nothing else.
pub(in crate::store) const REWRITTEN_FROM: i64 = 8;

/// The editions that the bodies of sections name, as far as these were read.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct UsedEditions {
    numbers: NumberSet,
    /// Sections up to this number were read.
    up_to: i64,
}

impl UsedEditions {
    /// Sections up to this number were read.
    pub(in crate::store) const fn up_to(&self) -> i64 {
        self.up_to
    }

    /// Notes the editions of a section. Sections come in the order of their numbers.
    pub(in crate::store) fn add(&mut self, section: i64, editions: impl IntoIterator<Item = u32>) {
        editions.into_iter().for_each(|edition| self.numbers.insert(edition.into()));
        self.up_to = self.up_to.max(section);
    }

    /// Notes that there are no other sections up to this number.
    pub(in crate::store) fn complete_up_to(&mut self, section: i64) {
        self.up_to = self.up_to.max(section);
    }

    /// Whether a section has this edition.
    pub(in crate::store) fn contains(&self, edition: u32) -> bool {
        self.numbers.contains(edition.into())
    }

    /// Adds what was read later.
    pub(in crate::store) fn extend(&mut self, later: Self) {
        self.numbers.extend(&later.numbers);
        self.up_to = self.up_to.max(later.up_to);
    }
}
