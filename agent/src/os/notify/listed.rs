//! Directories that are watched where the system says that one has changed, and not which entry (kqueue of macOS). Each is listed
//! again and compared with its last listing. Everything but the system's signals is here, so it is tested on Linux.
//!
//! An entry that is written in place changes no listing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Dir, Mode, OFlags};

use super::{Notice, WatchError, WatchId};

/// Limit of directories. Each keeps a descriptor open, launchd allows a daemon 256 (`launchctl limit maxfiles`), and the rest
/// remains for the scan. A Mac has some thirty of the seventy that the sources and the watchlist name.
const DIRECTORIES: usize = 128;
/// Limit of entries of one listing that is kept; `/opt/homebrew/bin` has the most.
const ENTRIES: usize = 4096;
/// Limit of entries of all listings that are kept: about 1.5 MB.
const ENTRIES_TOGETHER: usize = 16 * 1024;

/// What the system does: it signals that a directory has changed.
pub(super) trait Signals {
    /// From now on signals changes of the directory with this id, until the descriptor is closed.
    fn add(&self, directory: &OwnedFd, id: WatchId) -> io::Result<()>;

    /// The signals since the last call.
    fn take(&self) -> io::Result<Vec<Signal>>;
}

/// A directory has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) id: WatchId,
    /// The directory itself was removed or moved.
    pub(super) is_removed: bool,
}

/// The watched directories.
#[derive(Debug)]
pub(super) struct Directories<S> {
    signals: S,
    watched: Mutex<Watched>,
    /// [`ENTRIES`], or less in tests.
    most_entries: usize,
}

#[derive(Debug, Default)]
struct Watched {
    directories: BTreeMap<WatchId, Arc<Directory>>,
    /// The id of the last directory. None is used twice.
    last: WatchId,
}

#[derive(Debug)]
struct Directory {
    /// While it is open, no other directory gets its number.
    descriptor: OwnedFd,
    /// The numbers of the volume and of the directory.
    identity: (u64, u64),
    /// `None` if it cannot be listed, or is too long to be kept.
    listing: Mutex<Option<Listing>>,
}

/// The entries of a directory, in the order of their names.
type Listing = Vec<Listed>;

/// An entry: one that is replaced has another number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    name: Box<str>,
    number: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Signals> Directories<S> {
    pub(super) fn new(signals: S) -> Self {
        Self { signals, watched: Mutex::default(), most_entries: ENTRIES }
    }

    #[cfg(target_os = "macos")]
    pub(super) const fn signals(&self) -> &S {
        &self.signals
    }

    /// Watches a directory. One that is already watched keeps its id.
    pub(super) fn add(&self, directory: &File, identity: (u64, u64)) -> Result<WatchId, WatchError> {
        let descriptor = OwnedFd::from(directory.try_clone().map_err(|error| reason(&error))?);
        let (id, new) = {
            let mut watched = lock(&self.watched);
            if let Some((id, _)) = watched.directories.iter().find(|(_, known)| known.identity == identity) {
                return Ok(*id);
            }
            if watched.directories.len() >= DIRECTORIES {
                return Err(WatchError::TooMany(DIRECTORIES));
            }
            watched.last += 1;
            let new = Arc::new(Directory { descriptor, identity, listing: Mutex::default() });
            let id = watched.last;
            watched.directories.insert(id, Arc::clone(&new));
            (id, new)
        };
        // The signals come before the listing, so that no change falls between the two. The lock is not held while the disk is read.
        if let Err(error) = self.signals.add(&new.descriptor, id) {
            self.remove(id);
            return Err(reason(&error));
        }
        self.keep(&new, self.listed(&new));
        Ok(id)
    }

    /// Stops watching. An unknown id is ignored.
    pub(super) fn remove(&self, id: WatchId) {
        lock(&self.watched).directories.remove(&id);
    }

    /// The changes since the last call.
    pub(super) fn take(&self) -> io::Result<Vec<Notice>> {
        let mut notices = Vec::new();
        for Signal { id, is_removed } in self.signals.take()? {
            let Some(directory) = lock(&self.watched).directories.get(&id).cloned() else { continue };
            if is_removed {
                notices.push(Notice::Removed(id));
                continue;
            }
            let before = lock(&directory.listing).take();
            let after = self.listed(&directory);
            match (&before, &after) {
                (Some(before), Some(after)) => {
                    let names = changed(before, after).into_iter();
                    notices.extend(names.map(|name| Notice::Entry { directory: id, name }));
                }
                (None, _) | (_, None) => notices.push(Notice::Overflow),
            }
            self.keep(&directory, after);
        }
        Ok(notices)
    }

    /// The entries of a directory now; `None` if it cannot be listed, or has too many.
    fn listed(&self, directory: &Directory) -> Option<Listing> {
        list(directory.descriptor.as_fd(), self.most_entries).ok().flatten()
    }

    fn keep(&self, directory: &Directory, listing: Option<Listing>) {
        let kept: usize = lock(&self.watched)
            .directories
            .values()
            .filter(|other| other.identity != directory.identity)
            .map(|other| lock(&other.listing).as_ref().map_or(0, Vec::len))
            .sum();
        *lock(&directory.listing) = listing.filter(|new| kept + new.len() <= ENTRIES_TOGETHER);
    }
}

/// The entries of an open directory; `None` if there are more than `most`.
fn list(directory: BorrowedFd<'_>, most: usize) -> io::Result<Option<Listing>> {
    // The descriptor is one that cannot be read, and another one has a position of its own.
    let opened =
        rustix::fs::openat(directory, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut entries = Vec::new();
    for entry in Dir::new(opened)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if name == "." || name == ".." {
            continue;
        }
        if entries.len() == most {
            return Ok(None);
        }
        entries.push(Listed { name: name.into(), number: entry.ino() });
    }
    entries.sort_unstable();
    Ok(Some(entries))
}

/// The names that are in only one of two listings, or stand for another entry.
fn changed(before: &[Listed], after: &[Listed]) -> Vec<String> {
    let mut remaining: BTreeMap<&str, u64> = after.iter().map(|entry| (&*entry.name, entry.number)).collect();
    let mut names: Vec<&str> = before
        .iter()
        .filter(|entry| remaining.remove(&*entry.name) != Some(entry.number))
        .map(|entry| &*entry.name)
        .collect();
    names.extend(remaining.into_keys());
    names.into_iter().map(str::to_owned).collect()
}

/// Why the system refuses a watch.
pub(super) fn reason(error: &io::Error) -> WatchError {
    use rustix::io::Errno;

    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => WatchError::Limit,
        Some(Errno::ACCESS | Errno::PERM) => WatchError::Denied,
        Some(_) | None => WatchError::Refused(error.kind()),
    }
}

#[cfg(all(test, target_os = "linux"))]
#[path = "listed_tests.rs"]
mod tests;
