//! An open file that is read at offsets, and whether it was written in between.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use super::platform;
use crate::sources::parse::paged::Storage;

/// An open file that is read at offsets.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    size: u64,
}

/// Identity, size and time of a file. Two equal stamps mean that it was not written in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device and inode, which change when another file is renamed over it.
    identity: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Whether both are of the same file, even if it was reached by different paths.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        // (0, 0) means that the system does not tell.
        self.identity != (0, 0) && self.identity == other.identity
    }
}

impl OpenFile {
    /// A file for reading.
    pub(super) fn of(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        // A device or pipe could block the reader or never end.
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        Ok(Self { file, size: metadata.len() })
    }

    /// The current stamp of the file.
    ///
    /// # Errors
    /// As the system says.
    pub fn stamp(&self) -> io::Result<Stamp> {
        let metadata = self.file.metadata()?;
        let identity = platform::identity(&self.file, &metadata);
        Ok(Stamp { identity, size: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl Storage for OpenFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, place: u64, buffer: &mut [u8]) -> io::Result<()> {
        platform::read_at(&self.file, place, buffer)
    }
}
