//! How much memory the agent may use: at most 64 MiB at any time, whatever is on the disk. This file has every limit with its
//! reason.
//!
//! ```text
//!  all sources and parts at once       little each: UNSHARED_BYTES
//!  one source at a time, with a turn   what it reads, parses and keeps: KEPT_BYTES and the limits of its files
//!  finished sections                   in their encoded form: SECTIONS_BYTES together
//! ```
//!
//! What does not fit is cut, and its source is then `partial` with a reason that names the limit.

pub mod file;
pub mod turn;

/// What a source may read before it needs the turn: bytes of files, and of the names in folders. Most sources of most machines
/// read less, and read at the same time. Parsed texts take up to ten times their bytes, and twenty threads have this much.
pub const UNSHARED_BYTES: usize = 256 * 1024;

/// Entries of a folder that a source may list without the turn; each takes up to 100 bytes.
pub const UNSHARED_ENTRIES: usize = 2048;

/// Bytes of the observations that one source keeps until its section is encoded, with what the allocator adds. A section may
/// have 4 MiB, and an observation takes two to three times its encoded size. 3,000 packages have 2 MiB, and 200 people with
/// 50 programs each 10 MiB.
pub const KEPT_BYTES: usize = 12 * 1024 * 1024;

/// Bytes of the packages that are parsed from one database, before observations are made of them. Those of a full section take
/// less.
pub const PACKAGES_BYTES: usize = 6 * 1024 * 1024;
/// Packages that are parsed from one database: twice what a section holds, because dpkg also lists those that were removed.
pub const PACKAGES: usize = 2 * muster_proto::limits::OBSERVATIONS_PER_SECTION;

/// Bytes that a source of the registry keeps until it has read everything: a table, and the observations that are made of it.
/// 10,000 services have 7 MiB, and as many observations 10 MiB.
pub const REGISTRY_KEPT_BYTES: usize = 17 * 1024 * 1024;

/// Bytes of all sections of one scan. They are in memory until the snapshot is in the spool. A machine with 6,000 packages and
/// 2,000 services has 2 MiB.
pub const SECTIONS_BYTES: usize = 10 * 1024 * 1024;

/// Bytes of a section that no other section can take away. The rest of [`SECTIONS_BYTES`] goes to those that are larger, in the
/// order in which they finish. The section of a source that many users can fill cannot displace the others.
pub const SECTION_SHARE: usize = 384 * 1024;

/// Bytes of what `scan --show-read` records, and what a path takes beside its text. A scan of a large server reads 20,000 paths.
pub const RECORDED_BYTES: usize = 12 * 1024 * 1024;
/// See [`RECORDED_BYTES`]: an entry of a map, and a set with a name.
pub const RECORDED_COST: usize = 400;

/// Bytes that an observation takes beside its texts, and that each text takes beside its bytes: what the allocator adds.
pub const TEXT_COST: usize = 16;
/// Bytes of the node of a map: attributes of one observation are in one.
pub const ATTRIBUTES_COST: usize = 560;

/// Bytes of a pair of a user and an item in a home directory, beside their texts.
pub const HOME_ITEM_COST: usize = 96;

/// The largest block that the C library takes from its heap. Larger ones are returned to the system as soon as they are free,
/// so that one source can use what the one before it had.
pub const HEAP_BLOCK_BYTES: usize = 128 * 1024;

const _: () = assert!(24 * SECTION_SHARE <= SECTIONS_BYTES, "every source has its share");
