//! A snapshot: the outcome of each source in one scan, and the digest of its section.

use super::{Digest, Outcome, Platform, SourceName, clean_text};

/// What one source contributed to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct SnapshotEntry {
    /// The source.
    pub source: SourceName,
    /// The result of reading it.
    pub outcome: Outcome,
    /// Why the outcome is not `found` or `empty`; otherwise empty. It contains nothing that differs between two machines
    /// of one image. At most [`crate::limits::REASON_BYTES`].
    pub reason: String,
    /// The version of the watchlist that this source read by; 0 if it reads everything.
    pub watchlist: u64,
    /// The digest of the section, if there is one.
    pub section: Option<Digest>,
}

/// The result of one scan: one entry for each source of the platform, in the order of the source codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    platform: Platform,
    entries: Vec<SnapshotEntry>,
}

impl Snapshot {
    /// Cleans the reasons and sorts the entries. If two entries have the same source, the first in order is kept.
    #[must_use]
    pub fn new(platform: Platform, mut entries: Vec<SnapshotEntry>) -> Self {
        for entry in &mut entries {
            entry.reason = clean_text(&entry.reason, crate::limits::REASON_BYTES);
        }
        // By all fields, so that the entry that is kept does not depend on the order of the input.
        entries.sort_unstable();
        entries.dedup_by_key(|entry| entry.source);
        Self { platform, entries }
    }

    /// The platform of the scanned machine.
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
