//! What the spool does to the disk: two operations, each of which is whole or not done. A trait, so that a test can pull the
//! plug in the middle of either.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use crate::os;

pub(super) trait Disk: Debug + Send {
    /// Replaces a file; durable when it returns.
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file; one that is not there is removed. Durable after the next [`Self::settle`].
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Makes removals durable.
    fn settle(&mut self, dir: &Path) -> io::Result<()>;
}

/// The disk itself.
#[derive(Debug)]
pub(super) struct Real;

impl Disk for Real {
    fn replace(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        os::write_private(path, bytes)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn settle(&mut self, dir: &Path) -> io::Result<()> {
        os::sync_dir(dir)
    }
}

/// Whether an error says that there is no room, for us or for anybody.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
