//! The disk operations of the spool, each of which happens completely or not at all. A trait, so that a test can interrupt
//! them at any point.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use crate::os::{self, WriteContent};

pub(super) trait Disk: Debug + Send {
    /// Replaces a file; durable when it returns.
    fn replace(&mut self, path: &Path, content: WriteContent<'_>) -> io::Result<()>;

    /// Removes a file; a missing one is not an error. Durable after the next [`Self::sync_removals`].
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Makes removals durable.
    fn sync_removals(&mut self, dir: &Path) -> io::Result<()>;
}

/// The real disk.
#[derive(Debug)]
pub(super) struct Real;

impl Disk for Real {
    fn replace(&mut self, path: &Path, content: WriteContent<'_>) -> io::Result<()> {
        os::write_private_with(path, content)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match os::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn sync_removals(&mut self, dir: &Path) -> io::Result<()> {
        os::sync_dir(dir)
    }
}

/// Whether an error means that the disk, the quota or the file size limit is exhausted.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
