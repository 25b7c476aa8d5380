//! What a snapshot must not say: that it is of another platform than its host, or that a section is of another source or
//! platform than it is. The sections may have come with other snapshots, so this can be known only where they are stored.

use muster_proto::model::{Digest, Platform, Snapshot, SourceName};

/// Why a snapshot is not accepted, although each of its parts is well-formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The host is of another platform.
    #[error("the snapshot is of a {snapshot} machine, and the host's facts say {host}")]
    Platform {
        /// What the snapshot says.
        snapshot: Platform,
        /// What the facts of the host say.
        host: Platform,
    },
    /// A stored section is of another source or platform.
    #[error("section {} is of {source_name} on {platform}, and the snapshot names it for {named_source} on {named_platform}", .digest.short())]
    Section {
        /// The section.
        digest: Digest,
        /// Its source.
        source_name: SourceName,
        /// Its platform.
        platform: Platform,
        /// The source for which the snapshot names it.
        named_source: SourceName,
        /// The platform of the snapshot.
        named_platform: Platform,
    },
}

/// Where a stored section is from, and its row number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct SectionRow {
    pub(in crate::store) no: i64,
    pub(in crate::store) platform: Platform,
    pub(in crate::store) source: SourceName,
}

/// The first section that a snapshot names for another source or platform; `row` finds a section that is stored.
pub(in crate::store) fn foreign_section(
    snapshot: &Snapshot,
    row: impl Fn(&Digest) -> Option<SectionRow>,
) -> Option<Contradiction> {
    snapshot.entries().iter().find_map(|entry| {
        let digest = entry.section?;
        let SectionRow { no: _, platform, source } = row(&digest)?;
        (source != entry.source || platform != snapshot.platform()).then(|| Contradiction::Section {
            digest,
            source_name: source,
            platform,
            named_source: entry.source,
            named_platform: snapshot.platform(),
        })
    })
}
