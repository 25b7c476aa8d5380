//! The machine that is looked at: the running system, or a mounted image or template below a directory.
//!
//! Every file access of every source goes through [`Root`]. Paths are absolute as the looked-at machine sees them, and
//! links, absolute ones and `..` too, resolve inside the root: a link to `/etc/passwd` in an image is the image's file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use muster_proto::model::Timestamp;

use super::parse::paged::Storage;

#[cfg(target_os = "linux")]
#[path = "root/linux.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "root/plain.rs"]
mod platform;

/// The machine that is looked at.
#[derive(Debug)]
pub struct Root {
    place: platform::Place,
    running: bool,
    shown: PathBuf,
    /// Nobody waits for what would be read.
    closed: AtomicBool,
    /// Every path that was asked for, so that a test can hold it against what is watched.
    #[cfg(test)]
    pub(super) asked: std::sync::Mutex<std::collections::BTreeSet<String>>,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link whose end does not exist.
    BrokenLink,
    /// A device, socket or pipe.
    Other,
}

impl Stands {
    /// The word for people and attributes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::BrokenLink => "broken-link",
            Self::Other => "other",
        }
    }
}

/// An open file that is read by place.
#[derive(Debug)]
pub struct Opened {
    file: File,
    size: u64,
}

/// When something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When its contents last changed, as whoever wrote it says: archives carry it along.
    pub modified: Timestamp,
    /// When the system last wrote it or its attributes; nobody can set that.
    pub changed: Timestamp,
}

/// What a file was when it was asked: the same twice means that nobody wrote to it between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which file it is, also after another was renamed over it.
    identity: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Whether both are of one file, by whatever paths it was reached.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.identity != (0, 0) && self.identity == other.identity
    }
}

impl Opened {
    /// What the file is now.
    ///
    /// # Errors
    /// As the system says.
    pub fn stamp(&self) -> io::Result<Stamp> {
        let metadata = self.file.metadata()?;
        let identity = platform::identity(&metadata);
        Ok(Stamp { identity, size: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl Storage for Opened {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, place: u64, buffer: &mut [u8]) -> io::Result<()> {
        platform::read_at(&self.file, place, buffer)
    }
}

/// Entries of one directory that are taken, and bytes of their names: dpkg's largest has 30,000 of 40 bytes, and a million
/// names, or names that fill the memory, are a trap.
const ENTRIES: usize = 262_144;
const NAME_BYTES: usize = 8 * 1024 * 1024;

/// One entry of a directory: its name, and whether it is a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name; entries whose names are not UTF-8 have their bad bytes replaced.
    pub name: String,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Whether it is a directory itself.
    pub is_directory: bool,
}

/// Why a root cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {path} as a root to look at")]
pub struct RootError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Root {
    /// The running system.
    ///
    /// # Errors
    /// The root directory cannot be opened.
    pub fn running_system() -> Result<Self, RootError> {
        let path = platform::system_root();
        let place = platform::Place::open(&path).map_err(|source| RootError { path: path.clone(), source })?;
        Ok(Self::of(place, true, path))
    }

    /// The machine whose files are below `dir`; nothing of the running system is looked at.
    ///
    /// # Errors
    /// The directory does not exist, is no directory or may not be opened.
    pub fn below(dir: &Path) -> Result<Self, RootError> {
        let place = platform::Place::open(dir).map_err(|source| RootError { path: dir.to_owned(), source })?;
        Ok(Self::of(place, false, dir.to_owned()))
    }

    fn of(place: platform::Place, running: bool, shown: PathBuf) -> Self {
        Self {
            place,
            running,
            shown,
            closed: AtomicBool::new(false),
            #[cfg(test)]
            asked: std::sync::Mutex::default(),
        }
    }

    /// Ends all reading: every access from now on fails. A source that was left behind comes to its end by this, instead of
    /// working its way through a tree that somebody made large.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "only a test wants to know what was asked for"))]
    fn at(&self, path: &str) -> io::Result<&platform::Place> {
        #[cfg(test)]
        self.asked.lock().expect("unpoisoned").insert(path.to_owned());
        if self.closed.load(Ordering::Relaxed) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(&self.place) }
    }

    /// Whether this is the running system, of which more than files can be asked.
    #[must_use]
    pub const fn is_running_system(&self) -> bool {
        self.running
    }

    /// The directory as it was given, for people.
    #[must_use]
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Reads a whole regular file of at most `max` bytes.
    ///
    /// # Errors
    /// As the system says; `InvalidData` when it is no regular file, `FileTooLarge` when it is larger.
    pub fn read(&self, path: &str, max: usize) -> io::Result<Vec<u8>> {
        self.at(path)?.read(path, max, true)
    }

    /// Reads the first `max` bytes of a regular file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_head(&self, path: &str, max: usize) -> io::Result<Vec<u8>> {
        self.at(path)?.read(path, max, false)
    }

    /// Opens a regular file to be read by place.
    ///
    /// # Errors
    /// As the system says; `InvalidData` when it is no regular file.
    pub fn open(&self, path: &str) -> io::Result<Opened> {
        let file = self.at(path)?.open_file(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        Ok(Opened { file, size: metadata.len() })
    }

    /// Reads a short text file; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_text(&self, path: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(path, 64 * 1024)?).into_owned())
    }

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// As the system says; `FileTooLarge` when it has more entries than a machine has use for.
    pub fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let mut entries = self.at(path)?.list(path, ENTRIES, NAME_BYTES)?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// What stands at a path, or `None` when nothing does.
    ///
    /// # Errors
    /// It cannot be found out: a directory on the way may not be searched, or the disk fails.
    pub fn stands(&self, path: &str) -> io::Result<Option<Stands>> {
        self.at(path)?.stands(path)
    }

    /// Opens a directory to be named to the system; nothing in it is read.
    ///
    /// # Errors
    /// As the system says.
    pub fn directory(&self, path: &str) -> io::Result<File> {
        self.place.directory(path)
    }

    /// When what stands at a path was changed; links are followed.
    ///
    /// # Errors
    /// As the system says.
    pub fn times(&self, path: &str) -> io::Result<Times> {
        self.at(path)?.times(path)
    }

    /// Where a symbolic link points, as it is written there.
    ///
    /// # Errors
    /// As the system says.
    pub fn read_link(&self, path: &str) -> io::Result<String> {
        self.at(path)?.read_link(path)
    }
}
