//! macOS has no call that resolves a path below a directory.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use muster_proto::model::Platform;
use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;

use super::walk::Last;

/// The platform of the running system.
pub(super) const SYSTEM: Platform = Platform::Macos;

/// `O_EVTONLY` (`sys/fcntl.h`): opens a directory only to be told of its changes.
pub(super) const HANDLE: OFlags = OFlags::from_bits_retain(0x8000);

pub(super) fn identity(stat: &Stat) -> (u64, u64) {
    (i64::from(stat.st_dev).cast_unsigned(), stat.st_ino)
}

pub(super) const fn open(_dir: BorrowedFd<'_>, _path: &str, _flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
    None
}

pub(super) const fn stat(_dir: BorrowedFd<'_>, _path: &str, _last: Last) -> Option<Result<Stat, Errno>> {
    None
}

pub(super) const fn read_link(_dir: BorrowedFd<'_>, _path: &str) -> Option<Result<CString, Errno>> {
    None
}
