//! Linux resolves a path below a directory itself: `openat2` with `RESOLVE_IN_ROOT`. Older kernels do not have the call and some
//! sandboxes forbid it.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use muster_proto::model::Platform;
use rustix::fs::{Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::walk::Last;

/// The platform of the running system.
pub(super) const SYSTEM: Platform = Platform::Linux;

/// Opens a directory as a handle for the system.
pub(super) const HANDLE: OFlags = OFlags::PATH;

pub(super) const fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// `None` if the kernel cannot do it here.
pub(super) fn open(dir: BorrowedFd<'_>, path: &str, flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
    // IN_ROOT implies NO_MAGICLINKS, but openat2(2) asks to set it explicitly because that may change.
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(dir, path, flags, Mode::empty(), how) {
        // The call does not exist, a sandbox forbids it, or a rename interfered.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INVAL) => None,
        decided => Some(decided),
    }
}

/// As [`open`].
pub(super) fn stat(dir: BorrowedFd<'_>, path: &str, last: Last) -> Option<Result<Stat, Errno>> {
    Some(examined(dir, path, last)?.and_then(rustix::fs::fstat))
}

/// As [`open`].
pub(super) fn read_link(dir: BorrowedFd<'_>, path: &str) -> Option<Result<CString, Errno>> {
    // The empty path means the link that the descriptor refers to (readlinkat(2)).
    Some(examined(dir, path, Last::Keep)?.and_then(|link| rustix::fs::readlinkat(link, c"", Vec::new())))
}

/// A descriptor with `PATH`: a device or pipe is not opened, and a link may be examined.
fn examined(dir: BorrowedFd<'_>, path: &str, last: Last) -> Option<Result<OwnedFd, Errno>> {
    let follow = match last {
        Last::Follow => OFlags::empty(),
        Last::Keep => OFlags::NOFOLLOW,
    };
    open(dir, path, OFlags::PATH | OFlags::CLOEXEC | follow)
}
