//! What reading one source of a host gave, and how a snapshot is made of all of them.

use muster_proto::canonical::section_digest;
use muster_proto::model::{Observation, Outcome, Platform, Section, Snapshot, SnapshotEntry, SourceName};

/// The result of reading one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    source: SourceName,
    outcome: Outcome,
    reason: &'static str,
    observations: Vec<Observation>,
}

impl Reading {
    /// A source that was read completely.
    pub(super) fn of(source: SourceName, observations: Vec<Observation>) -> Self {
        let outcome = if observations.is_empty() { Outcome::Empty } else { Outcome::Found };
        Self { source, outcome, reason: "", observations }
    }

    /// A source that was read completely and has nothing.
    pub(super) fn empty(source: SourceName) -> Self {
        Self::of(source, Vec::new())
    }

    /// A source that this system does not have.
    pub(super) fn absent(source: SourceName, reason: &'static str) -> Self {
        Self { source, outcome: Outcome::NotApplicable, reason, observations: Vec::new() }
    }

    /// The same source if it cannot be read.
    pub(super) fn unreadable(self, outcome: Outcome, reason: &'static str) -> Self {
        Self { source: self.source, outcome, reason, observations: Vec::new() }
    }

    /// Its source.
    pub(super) fn source(&self) -> SourceName {
        self.source
    }
}

/// Whether agents read of this source only what the watchlist names.
const fn uses_watchlist(source: SourceName) -> bool {
    matches!(source, SourceName::WatchPaths | SourceName::Processes | SourceName::Registry)
}

/// The snapshot of a host, and its sections in the order of the source codes.
pub(super) fn put_together(platform: Platform, readings: Vec<Reading>, watchlist: u64) -> (Snapshot, Vec<Section>) {
    let mut entries = Vec::with_capacity(readings.len());
    let mut sections = Vec::with_capacity(readings.len());
    for Reading { source, outcome, reason, observations } in readings {
        let section = (outcome == Outcome::Found).then(|| Section::new(platform, source, observations));
        entries.push(SnapshotEntry {
            source,
            outcome,
            reason: reason.to_owned(),
            watchlist: if uses_watchlist(source) { watchlist } else { 0 },
            section: section.as_ref().map(section_digest),
        });
        sections.extend(section);
    }
    (Snapshot::new(platform, entries), sections)
}
