//! kqueue: one queue, and a descriptor of each watched directory that is open only to be told of its changes. The queue does not say
//! which entry has changed, so `listed` compares listings.
//!
//! Source: kqueue(2) and `sys/event.h` of macOS.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::Buffer;
use rustix::event::kqueue::{self, Event, EventFilter, EventFlags, VnodeEvents};
use rustix::io::Errno;

use super::listed::{Directories, Signal, Signals, reason};
use super::{Changes, Notice, WatchError, WatchId};

pub(super) const WATCHES_SUBDIRECTORIES: bool = false;

/// `MNT_LOCAL` (`sys/mount.h`): the volume is on this machine. Network volumes and those of FUSE do not have it.
const LOCAL: u32 = 0x1000;
/// Events that one call returns. Each watched directory has one at most.
const EVENTS: usize = 64;
/// Limit of signals that are taken at once, because a directory may change while they are. The rest stays in the queue.
const SIGNALS: usize = 4 * EVENTS;

#[derive(Debug)]
pub(super) struct Notifier(Directories<Queue>);

impl Notifier {
    pub(super) fn open() -> Result<Self, WatchError> {
        let queue = kqueue::kqueue().map_err(|error| reason(&error.into()))?;
        Ok(Self(Directories::new(Queue(queue))))
    }

    /// All changes of an entry but one: that it is written in place.
    pub(super) fn add(&self, directory: &File, _changes: Changes) -> Result<WatchId, WatchError> {
        let volume = rustix::fs::fstatfs(directory).map_err(|error| reason(&error.into()))?;
        if volume.f_flags & LOCAL == 0 {
            return Err(WatchError::Remote);
        }
        let about = rustix::fs::fstat(directory).map_err(|error| reason(&error.into()))?;
        self.0.add(directory, (i64::from(about.st_dev).cast_unsigned(), about.st_ino))
    }

    #[expect(clippy::unused_self, reason = "only Windows has a registry")]
    pub(super) const fn add_key(&self, _key: &str, _changes: Changes) -> Result<WatchId, WatchError> {
        Err(WatchError::NotOffered)
    }

    pub(super) fn remove(&self, directory: WatchId) {
        self.0.remove(directory);
    }

    pub(super) fn take(&self) -> io::Result<Vec<Notice>> {
        self.0.take()
    }

    /// A queue can be waited for like a file: it is readable while it has an event.
    pub(super) async fn ready(&self) -> io::Result<()> {
        super::readable::until_readable(self.0.signals().0.as_fd()).await
    }
}

#[derive(Debug)]
struct Queue(OwnedFd);

impl Queue {
    /// Adds what is wanted and returns events, without waiting for one.
    #[expect(unsafe_code, reason = "rustix cannot see how long watched descriptors stay open")]
    fn call<B: Buffer<Event>>(&self, wanted: &[Event], events: B) -> Result<B::Output, Errno> {
        // SAFETY: the caller has borrowed the descriptors that it adds. One that is closed later leaves the queue by itself (kqueue(2): "Calling
        // close() on a file descriptor will remove any kevents that reference the descriptor").
        unsafe { kqueue::kevent(&self.0, wanted, events, Some(Duration::ZERO)) }
    }
}

impl Signals for Queue {
    fn add(&self, directory: &OwnedFd, id: WatchId) -> io::Result<()> {
        let flags = VnodeEvents::WRITE
            | VnodeEvents::EXTEND
            | VnodeEvents::LINK
            | VnodeEvents::DELETE
            | VnodeEvents::RENAME
            | VnodeEvents::REVOKE;
        let filter = EventFilter::Vnode { vnode: directory.as_raw_fd(), flags };
        let id = usize::try_from(id).map_err(io::Error::other)?;
        // CLEAR: an event is returned once and not until something changes it back.
        let wanted = Event::new(filter, EventFlags::ADD | EventFlags::CLEAR, std::ptr::without_provenance_mut(id));
        // Without space for events, a refusal is the error of the call.
        let none: &mut [Event] = &mut [];
        self.call(&[wanted], none)?;
        Ok(())
    }

    fn take(&self) -> io::Result<Vec<Signal>> {
        let mut signals = Vec::new();
        loop {
            let mut events = Vec::with_capacity(EVENTS);
            match self.call(&[], rustix::buffer::spare_capacity(&mut events)) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            signals.extend(events.iter().filter_map(signal));
            if events.len() < EVENTS || signals.len() >= SIGNALS {
                return Ok(signals);
            }
        }
    }
}

fn signal(event: &Event) -> Option<Signal> {
    let id = WatchId::try_from(event.udata().addr()).ok()?;
    let EventFilter::Vnode { flags, .. } = event.filter() else { return None };
    Some(Signal { id, is_removed: flags.intersects(VnodeEvents::DELETE | VnodeEvents::RENAME | VnodeEvents::REVOKE) })
}
