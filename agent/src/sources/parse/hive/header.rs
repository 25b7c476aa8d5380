//! The base block: the first sector of a hive, and of each of its logs.

use crate::sources::parse::paged::le32;

/// The bytes of the header that have a meaning; the checksum covers all but its own four.
pub(super) const HEADER_BYTES: usize = 512;
const CHECKSUM: usize = 508;

/// What a file with this header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// The hive.
    Primary,
    /// A log of the format until Windows 8.
    OldLog,
    /// A log of the format since Windows 8.1.
    NewLog,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: FileKind,
    /// Whether the checksum is right.
    pub(super) is_sound: bool,
    /// The number of the write that was begun last, and of the one that was finished last.
    pub(super) begun: u32,
    pub(super) finished: u32,
    /// The time of the last write, in a unit that does not matter here.
    pub(super) time: u64,
    /// The cell of the root key.
    pub(super) root: u32,
    /// The bytes of the hive after its first block.
    pub(super) size: u32,
    minor: u32,
    major: u32,
    format: u32,
}

impl Header {
    /// Parses a header; `None` without its signature, or with a kind of file that nothing is known about.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let kind = match le32(bytes, 28) {
            0 => FileKind::Primary,
            1 | 2 => FileKind::OldLog,
            6 => FileKind::NewLog,
            _ => return None,
        };
        bytes.starts_with(b"regf").then(|| Self {
            kind,
            is_sound: le32(bytes, CHECKSUM) == checksum(bytes),
            begun: le32(bytes, 4),
            finished: le32(bytes, 8),
            time: u64::from(le32(bytes, 16)) << 32 | u64::from(le32(bytes, 12)),
            major: le32(bytes, 20),
            minor: le32(bytes, 24),
            format: le32(bytes, 32),
            root: le32(bytes, 36),
            size: le32(bytes, 40),
        })
    }

    /// Whether changes are missing from the file: a write was begun and not finished, or the header itself is damaged.
    pub(super) const fn is_dirty(&self) -> bool {
        !self.is_sound || self.begun != self.finished
    }

    /// What keeps this reader from reading the hive.
    pub(super) const fn obstacle(&self) -> Option<&'static str> {
        if self.major != 1 || self.minor < 2 || self.minor > 6 || self.format != 1 {
            Some("unsupported format version")
        } else if self.size == 0 || !self.size.is_multiple_of(4096) {
            Some("invalid size")
        } else {
            None
        }
    }
}

/// The sum of the words before it, by exclusive or. Two results have a meaning of their own and are replaced.
pub(super) fn checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
    match (0..CHECKSUM).step_by(4).fold(0, |sum, place| sum ^ le32(bytes, place)) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    }
}
