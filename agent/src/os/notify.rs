//! Notifications about changes in directories, and in keys of the registry of Windows. Where the system offers none, opening a
//! notifier fails and the caller relies on scheduled scans.

#[cfg(any(windows, test))]
#[path = "notify/folder_changes.rs"]
mod folder_changes;
#[cfg(any(target_os = "macos", all(test, target_os = "linux")))]
#[path = "notify/listed.rs"]
mod listed;
#[cfg(target_os = "linux")]
#[path = "linux/notify.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "macos/notify.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows/notify.rs"]
mod platform;
#[cfg(unix)]
#[path = "unix/readable.rs"]
mod readable;

use std::fs::File;
use std::io;

/// The id of a watched directory or key.
pub type WatchId = i32;

/// Whether [`Changes::Below`] of a directory includes its subdirectories. Elsewhere each one is added for itself.
pub const WATCHES_SUBDIRECTORIES: bool = platform::WATCHES_SUBDIRECTORIES;

/// Whether [`Notifier::take`] lists directories, and so takes as long as their disks.
pub const TAKING_READS_DISKS: bool = cfg!(target_os = "macos");

/// Which changes of a directory or key are wanted. Linux notices them all, except below; macOS all but an entry that is written in
/// place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changes {
    /// An entry, or a key directly below, appears or disappears.
    Names,
    /// As [`Self::Names`]; also an entry is written, or a value of the key is set.
    Contents,
    /// As [`Self::Contents`], at any depth.
    Below,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An entry of this directory was created, removed, replaced or written.
    Entry {
        /// The directory.
        directory: WatchId,
        /// The entry's name; bad bytes are replaced. A path with `\` for an entry of a subdirectory.
        name: String,
    },
    /// Something in this key has changed.
    Key(WatchId),
    /// The directory or key itself was removed or moved.
    Removed(WatchId),
    /// The event queue overflowed, or it cannot be said what has changed: it may be anything.
    Overflow,
}

/// Why a directory or key cannot be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum WatchError {
    /// The system does not support notifications, or denies them to the agent.
    #[error("the system does not report changes")]
    NotOffered,
    /// There is no such key.
    #[error("it does not exist")]
    Absent,
    /// A limit of the system is reached.
    #[error("{LIMIT}")]
    Limit,
    /// The agent's own limit is reached.
    #[error("the agent watches {0} places, and no more")]
    TooMany(usize),
    /// Other machines or programs may change the directory without the system noticing.
    #[error("network and FUSE file systems do not report changes by others")]
    Remote,
    /// The agent lacks a permission.
    #[error("permission denied")]
    Denied,
    /// Any other error.
    #[error("cannot watch it: {0}")]
    Refused(io::ErrorKind),
}

const LIMIT: &str = if cfg!(target_os = "macos") {
    "the limit of open files is reached (launchctl limit maxfiles)"
} else {
    "the inotify limit is reached (fs.inotify.max_user_instances, fs.inotify.max_user_watches)"
};

impl WatchError {
    /// Whether nothing further can be watched either.
    #[must_use]
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::Limit | Self::TooMany(_))
    }
}

/// Receives notifications about changes.
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
    pub fn add(&self, directory: &File, changes: Changes) -> Result<WatchId, WatchError> {
        self.0.add(directory, changes)
    }

    /// Watches a key of the registry of this system, such as `HKLM\SOFTWARE`. A key that is already watched keeps its id.
    ///
    /// # Errors
    /// Why it cannot be watched.
    pub fn add_key(&self, key: &str, changes: Changes) -> Result<WatchId, WatchError> {
        self.0.add_key(key, changes)
    }

    /// Stops watching. An unknown id is ignored.
    pub fn remove(&self, id: WatchId) {
        self.0.remove(id);
    }

    /// The changes since the last call; empty when there are none. See [`TAKING_READS_DISKS`].
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
