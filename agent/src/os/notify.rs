//! Word from the system that something in a directory has changed. A neutral face: where the system has no such thing,
//! opening it says so, and whoever wanted it falls back to asking now and then.

use std::fs::File;
use std::io;

#[cfg(target_os = "linux")]
#[path = "linux/notify.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere/notify.rs"]
mod platform;

/// The number under which a watched directory is spoken of.
pub type Number = i32;

/// Something has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An entry of this directory came, went, was replaced or was written.
    Entry {
        /// The directory.
        directory: Number,
        /// The entry's name; bad bytes are replaced.
        name: String,
    },
    /// The directory itself went away or moved.
    Gone(Number),
    /// More happened than the system could keep: anything may have changed.
    Overflow,
}

/// Why a directory cannot be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unwatchable {
    /// The system has no way to tell of changes, or does not give it to us.
    #[error("the system does not tell of changes")]
    NotOffered,
    /// The system's limit is reached.
    #[error("the system's limit of watches is reached (fs.inotify.max_user_instances, fs.inotify.max_user_watches)")]
    Limit,
    /// Others may change the directory without the system's knowledge.
    #[error("it is on a network or FUSE filesystem, which does not tell of others' changes")]
    Remote,
    /// The agent lacks a right.
    #[error("the agent lacks the right to read it")]
    Denied,
    /// Anything else.
    #[error("the system refused: {0}")]
    Refused(io::ErrorKind),
}

/// A line to the system on which it tells of changes in directories.
#[derive(Debug)]
pub struct Notifier(platform::Notifier);

impl Notifier {
    /// Opens the line.
    ///
    /// # Errors
    /// The system has none, or its limit is reached.
    pub fn open() -> Result<Self, Unwatchable> {
        platform::Notifier::open().map(Self)
    }

    /// Watches an open directory. A directory that is watched already keeps its number.
    ///
    /// # Errors
    /// Why it cannot be watched.
    pub fn add(&self, directory: &File) -> Result<Number, Unwatchable> {
        self.0.add(directory)
    }

    /// Watches no more. A number that is not known is none too many.
    pub fn remove(&self, directory: Number) {
        self.0.remove(directory);
    }

    /// What has changed and was not told yet; nothing, when nothing has.
    ///
    /// # Errors
    /// The line is broken.
    pub fn take(&self) -> io::Result<Vec<Notice>> {
        self.0.take()
    }

    /// Waits until there is something to take.
    ///
    /// # Errors
    /// The line is broken.
    pub async fn ready(&self) -> io::Result<()> {
        self.0.ready().await
    }
}
