//! Notifications about changes in directories. On systems without support, opening a notifier fails and the caller relies on
//! scheduled scans.

use std::fs::File;
use std::io;

#[cfg(target_os = "linux")]
#[path = "linux/notify.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "fallback/notify.rs"]
mod platform;

/// The id of a watched directory.
pub type WatchId = i32;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An entry of this directory was created, removed, replaced or written.
    Entry {
        /// The directory.
        directory: WatchId,
        /// The entry's name; bad bytes are replaced.
        name: String,
    },
    /// The directory itself was removed or moved.
    Removed(WatchId),
    /// The event queue overflowed: anything may have changed.
    Overflow,
}

/// Why a directory cannot be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum WatchError {
    /// The system does not support notifications, or denies them to the agent.
    #[error("the system does not report changes")]
    NotOffered,
    /// A limit of the system is reached.
    #[error("the inotify limit is reached (fs.inotify.max_user_instances, fs.inotify.max_user_watches)")]
    Limit,
    /// Other machines or programs may change the directory without the kernel noticing.
    #[error("network and FUSE file systems do not report changes by others")]
    Remote,
    /// The agent lacks a permission.
    #[error("permission denied")]
    Denied,
    /// Any other error.
    #[error("cannot watch it: {0}")]
    Refused(io::ErrorKind),
}

/// Receives notifications about changes in directories.
#[derive(Debug)]
pub struct Notifier(platform::Notifier);

impl Notifier {
    /// Opens the notifier.
    ///
    /// # Errors
    /// The system does not support it, or a limit is reached.
    pub fn open() -> Result<Self, WatchError> {
        platform::Notifier::open().map(Self)
    }

    /// Watches an open directory. A directory that is already watched keeps its id.
    ///
    /// # Errors
    /// Why it cannot be watched.
    pub fn add(&self, directory: &File) -> Result<WatchId, WatchError> {
        self.0.add(directory)
    }

    /// Stops watching. An unknown id is ignored.
    pub fn remove(&self, directory: WatchId) {
        self.0.remove(directory);
    }

    /// The changes since the last call; empty when there are none.
    ///
    /// # Errors
    /// The notifier is broken.
    pub fn take(&self) -> io::Result<Vec<Notice>> {
        self.0.take()
    }

    /// Waits until there is something to take.
    ///
    /// # Errors
    /// The notifier is broken.
    pub async fn ready(&self) -> io::Result<()> {
        self.0.ready().await
    }
}
