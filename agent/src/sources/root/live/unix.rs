//! Files of a running macOS.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use muster_proto::model::Platform;
use rustix::fs::OFlags;

pub(in crate::sources::root) const SYSTEM: Platform = Platform::Macos;

pub(in crate::sources::root) fn system_root() -> PathBuf {
    PathBuf::from("/")
}

#[expect(clippy::unnecessary_wraps, reason = "on Windows a path can be refused")]
pub(in crate::sources::root) fn path(path: &str) -> io::Result<PathBuf> {
    Ok(PathBuf::from(path))
}

pub(in crate::sources::root) fn open(path: &Path) -> io::Result<File> {
    // Opening a named pipe must not block the agent.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

pub(in crate::sources::root) fn identity(_file: &File, metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Every path of these systems is below one root.
pub(in crate::sources::root) const fn is_on_lost_volume(_path: &Path) -> bool {
    false
}

pub(in crate::sources::root) fn identity_at(_path: &Path, metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

pub(in crate::sources::root) fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o111 != 0
}

pub(in crate::sources::root) fn read_at(file: &File, place: u64, buffer: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(buffer, place)
}
