//! A snapshot: for every source what became of it, and the digest of what it saw.

use super::{Digest, Outcome, Platform, SourceName};

/// What one source contributed to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct SnapshotEntry {
    /// The source.
    pub source: SourceName,
    /// What became of looking there.
    pub outcome: Outcome,
    /// Why, when the outcome is not plain; free of anything that differs between two machines of one image.
    pub reason: String,
    /// The version of the watchlist that limited this source; 0 when it does not use one.
    pub watchlist: u64,
    /// The section, when something was seen.
    pub section: Option<Digest>,
}

/// The tree above the sections: every source that this platform has, once, in the order of the source codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    platform: Platform,
    entries: Vec<SnapshotEntry>,
}

impl Snapshot {
    /// Puts the entries into canonical order. Of two entries for one source the first in order stays.
    #[must_use]
    pub fn new(platform: Platform, mut entries: Vec<SnapshotEntry>) -> Self {
        for entry in &mut entries {
            entry.reason = crate::canonical::clean_text(&entry.reason, crate::limits::REASON_BYTES);
        }
        entries.sort_unstable();
        entries.dedup_by_key(|entry| entry.source);
        Self { platform, entries }
    }

    /// The platform that was looked at.
    #[must_use]
    pub const fn platform(&self) -> Platform {
        self.platform
    }

    /// One entry for each source, in the order of the source codes.
    #[must_use]
    pub fn entries(&self) -> &[SnapshotEntry] {
        &self.entries
    }

    /// The entry of one source.
    #[must_use]
    pub fn entry(&self, source: SourceName) -> Option<&SnapshotEntry> {
        self.entries.iter().find(|entry| entry.source == source)
    }

    pub(crate) const fn from_canonical(platform: Platform, entries: Vec<SnapshotEntry>) -> Self {
        Self { platform, entries }
    }
}
