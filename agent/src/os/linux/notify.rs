//! inotify: one instance, directories only, and only what changes entries. Reading and opening files gives no notice, so
//! a scan does not wake itself.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Notice, Number, Unwatchable};

/// As much as is read in one go: some hundred notices.
const BUFFER: usize = 8 * 1024;

/// Filesystems on which another machine, or a program of its own, changes files behind the kernel's back (`statfs(2)`).
const REMOTE: &[u64] = &[
    0x6969,      // nfs
    0x517B,      // smb
    0xFF53_4D42, // cifs
    0xFE53_4D42, // smb2
    0x0102_1997, // 9p
    0x00C3_6400, // ceph
    0x5346_414F, // afs
    0x6B41_4653, // kafs
    0x7375_7245, // coda
    0x0BD0_0BD0, // lustre
    0x0116_1970, // gfs2
    0x7461_636F, // ocfs2
    0x4750_4653, // gpfs
    0x6573_5546, // fuse, virtiofs
];

#[derive(Debug)]
pub(super) struct Notifier {
    line: OwnedFd,
}

impl Notifier {
    pub(super) fn open() -> Result<Self, Unwatchable> {
        let line = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| match error {
            Errno::NOSYS => Unwatchable::NotOffered,
            error => reason(error),
        })?;
        Ok(Self { line })
    }

    pub(super) fn add(&self, directory: &File) -> Result<Number, Unwatchable> {
        let filesystem = rustix::fs::fstatfs(directory).map_err(reason)?;
        // The kernel's word is as wide as the machine's, signed on some; the numbers have 32 bits.
        let kind = u64::try_from(i128::from(filesystem.f_type) & 0xFFFF_FFFF).unwrap_or_default();
        if REMOTE.contains(&kind) {
            return Err(Unwatchable::Remote);
        }
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::ONLYDIR;
        // By its descriptor: it was resolved below the root that is looked at, and a path would be resolved anew.
        let path = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
        inotify::add_watch(&self.line, path, events).map_err(reason)
    }

    pub(super) fn remove(&self, directory: Number) {
        // A directory that is gone has taken its watch along.
        let _ = inotify::remove_watch(&self.line, directory);
    }

    pub(super) fn take(&self) -> io::Result<Vec<Notice>> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.line, &mut buffer);
        let mut notices = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => notices.extend(notice(&event)),
                Err(Errno::AGAIN) => return Ok(notices),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays open while it is waited for")]
    pub(super) async fn ready(&self) -> io::Result<()> {
        // SAFETY: the descriptor is borrowed from `self`, which owns it, for the whole of this call, and neither closed
        // nor replaced meanwhile; see the "Safety" section of `AsyncFd::register_with_interest`.
        let line = unsafe { AsyncFd::register_with_interest(self.line.as_fd(), Interest::READABLE) }?;
        line.readable().await.map(drop)
    }
}

fn notice(event: &inotify::Event<'_>) -> Option<Notice> {
    let happened = event.events();
    if happened.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Notice::Overflow);
    }
    if happened.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
        return Some(Notice::Gone(event.wd()));
    }
    let name = event.file_name()?.to_string_lossy().into_owned();
    Some(Notice::Entry { directory: event.wd(), name })
}

fn reason(error: Errno) -> Unwatchable {
    match error {
        Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::NOMEM => Unwatchable::Limit,
        Errno::ACCESS | Errno::PERM => Unwatchable::Denied,
        error => Unwatchable::Refused(error.kind()),
    }
}
