//! inotify: one instance, directories only, and only events that change entries. Reading and opening files causes no event,
//! so a scan does not wake itself.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::{Changes, Notice, WatchError, WatchId};

pub(super) const WATCHES_SUBDIRECTORIES: bool = false;

/// The buffer for one read: some hundred events.
const BUFFER: usize = 8 * 1024;

/// File systems (`statfs(2)`) whose files other machines or a user-space program change without the kernel noticing.
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
    instance: OwnedFd,
}

impl Notifier {
    pub(super) fn open() -> Result<Self, WatchError> {
        let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|error| match error {
            Errno::NOSYS => WatchError::NotOffered,
            error => reason(error),
        })?;
        Ok(Self { instance })
    }

    pub(super) fn add(&self, directory: &File, _changes: Changes) -> Result<WatchId, WatchError> {
        let filesystem = rustix::fs::fstatfs(directory).map_err(reason)?;
        // `f_type` is as wide as a machine word, and signed on some machines; the magic numbers have 32 bits.
        let kind = u64::try_from(i128::from(filesystem.f_type) & 0xFFFF_FFFF).unwrap_or_default();
        if REMOTE.contains(&kind) {
            return Err(WatchError::Remote);
        }
        // CLOSE_WRITE instead of MODIFY: a file that is being written wakes the agent once, when it is complete.
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::ONLYDIR;
        // Watch the descriptor: it was resolved below the scanned root, and a path would be resolved again, outside of it.
        let path = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
        inotify::add_watch(&self.instance, path, events).map_err(reason)
    }

    #[expect(clippy::unused_self, reason = "only Windows has a registry")]
    pub(super) const fn add_key(&self, _key: &str, _changes: Changes) -> Result<WatchId, WatchError> {
        Err(WatchError::NotOffered)
    }

    pub(super) fn remove(&self, directory: WatchId) {
        // Fails when the directory was removed, which has already removed the watch.
        let _ = inotify::remove_watch(&self.instance, directory);
    }

    pub(super) fn take(&self) -> io::Result<Vec<Notice>> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.instance, &mut buffer);
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

    pub(super) async fn ready(&self) -> io::Result<()> {
        super::readable::until_readable(self.instance.as_fd()).await
    }
}

fn notice(event: &inotify::Event<'_>) -> Option<Notice> {
    let happened = event.events();
    if happened.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Notice::Overflow);
    }
    if happened.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
        return Some(Notice::Removed(event.wd()));
    }
    let name = event.file_name()?.to_string_lossy().into_owned();
    Some(Notice::Entry { directory: event.wd(), name })
}

fn reason(error: Errno) -> WatchError {
    match error {
        // inotify_add_watch(2) says ENOSPC when the limit of watches is reached, inotify_init(2) says EMFILE.
        Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::NOMEM => WatchError::Limit,
        Errno::ACCESS | Errno::PERM => WatchError::Denied,
        error => WatchError::Refused(error.kind()),
    }
}
