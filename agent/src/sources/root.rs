//! The machine to scan: the running system, or a mounted image or copied tree below a directory.
//!
//! Every file access of every source goes through [`Root`]. Paths are absolute on the scanned machine. Symbolic links,
//! absolute ones and `..` included, resolve inside the root: a link to `/etc/passwd` in an image is the image's file.
//!
//! The root of a Windows machine is one volume. Its paths have a letter, either slash and any case (`C:\Windows`); those of
//! other volumes fail with `CrossesDevices`, because nothing is known of them. The root of a Mac is its tree with both volumes,
//! in any case and any form of its letters.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use muster_proto::model::{Platform, Timestamp};

use super::is_absent;
use super::parse::macos::name as mac_name;
use crate::deadline::{self, StuckWork};
use crate::memory::turn;

mod contents;
mod listings;
mod mac_names;
mod names;
mod open_file;
#[cfg(unix)]
#[path = "root/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "root/windows.rs"]
mod platform;
mod recorded;

pub use open_file::{OpenFile, Stamp};
pub use recorded::Accesses;

use names::Last;
use recorded::Recorded;

/// Roots that do not open. They are opened again for every scan.
static STUCK: LazyLock<StuckWork> = LazyLock::new(StuckWork::default);

/// The machine to scan.
#[derive(Debug)]
pub struct Root {
    place: platform::Place,
    spelling: Spelling,
    platform: Platform,
    running: bool,
    given: PathBuf,
    /// The scan is over; further reads fail.
    closed: AtomicBool,
    /// Every path that was accessed, if somebody wants to know.
    accessed: Option<Mutex<Recorded>>,
}

/// How the paths of the machine are spelled where it is scanned.
#[derive(Debug)]
enum Spelling {
    /// As on the machine.
    Same,
    /// A Windows machine that is not running.
    Windows(names::Names),
    /// A Mac that is not running.
    Mac(mac_names::MacNames),
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link whose target does not exist.
    BrokenLink,
    /// A device, socket or pipe.
    Other,
}

impl FileKind {
    /// The name in observations.
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

/// A file, after all links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileAt {
    /// Its kind.
    pub kind: FileKind,
    /// Whether anybody may execute it. Systems without such a permission give `false`.
    pub executable: bool,
    /// Device and inode, or their counterparts; (0, 0) if unknown.
    pub identity: (u64, u64),
}

/// A link whose target does not exist, in the place of a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} leads to {target}, which does not exist; mount what belongs there, or remove the link")]
pub struct BrokenLink {
    /// The link.
    pub path: String,
    /// Its target, as stored.
    pub target: String,
}

/// Times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When the contents last changed (`mtime`). Archives and package managers set it to the time of the build.
    pub modified: Timestamp,
    /// When the file or its attributes were last written on this system (`ctime`). It cannot be set.
    pub changed: Timestamp,
}

/// Limits of one directory listing: entries, and bytes of their names. dpkg's largest has 30,000 entries with 40 bytes
/// each; a directory with a million names is an attack on the agent's memory. At the limit a listing takes 6 MiB, and several
/// sources list at once.
const ENTRIES: usize = 65_536;
const NAME_BYTES: usize = 4 * 1024 * 1024;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Whether it is a directory, and not a link to one.
    pub is_directory: bool,
}

/// A root cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It does not exist, is not a directory, cannot be read or does not answer.
    #[error("cannot open {path} as the root of a scan")]
    Unreadable {
        /// The root.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Its files are those of two systems.
    #[error("cannot tell which system is in {path}: it contains {found}")]
    Ambiguous {
        /// The root.
        path: PathBuf,
        /// The file that marks each system.
        found: String,
    },
}

impl Root {
    /// The running system.
    ///
    /// # Errors
    /// The root directory cannot be opened.
    pub fn running_system() -> Result<Self, RootError> {
        Self::opened(platform::system_root(), Some(platform::SYSTEM))
    }

    /// The machine whose files are below `dir`. Nothing of the running system is read. The files decide which platform it is.
    ///
    /// # Errors
    /// The path does not exist, is not a directory, cannot be opened, or has the files of two platforms.
    pub fn below(dir: &Path) -> Result<Self, RootError> {
        Self::opened(dir.to_owned(), None)
    }

    /// The directory may be on a disk that does not answer.
    fn opened(path: PathBuf, running: Option<Platform>) -> Result<Self, RootError> {
        let dir = path.clone();
        let open = move || {
            let place = platform::Place::open(&dir)?;
            let found = running.map_or_else(|| contents::platform_of(&place), |platform| Ok(Ok(platform)))?;
            let spelling = match &found {
                Ok(Platform::Windows) if running.is_none() => Spelling::Windows(names::Names::new(&dir)),
                Ok(Platform::Macos) if running.is_none() => Spelling::Mac(mac_names::MacNames::new()),
                Ok(_) | Err(_) => Spelling::Same,
            };
            Ok::<_, io::Error>((place, spelling, found))
        };
        let opened = deadline::run(&path.to_string_lossy(), deadline::OWN_FILES, &STUCK, open);
        let opened = opened.map_err(io::Error::from).and_then(|opened| opened);
        let (place, spelling, found) = opened.map_err(|source| RootError::Unreadable { path: path.clone(), source })?;
        let platform = found.map_err(|found| RootError::Ambiguous { path: path.clone(), found })?;
        let (running, closed) = (running.is_some(), AtomicBool::new(false));
        Ok(Self { place, spelling, platform, running, given: path, closed, accessed: None })
    }

    /// The platform of the running system.
    #[must_use]
    pub const fn running_platform() -> Platform {
        platform::SYSTEM
    }

    /// The platform of the machine.
    #[must_use]
    pub const fn platform(&self) -> Platform {
        self.platform
    }

    /// Records every path that is accessed from now on.
    #[must_use]
    pub fn recording(self) -> Self {
        Self { accessed: Some(Mutex::default()), ..self }
    }

    /// The same machine, with its paths resolved as on macOS.
    #[cfg(all(test, unix))]
    #[must_use]
    pub fn by_walk(self) -> Self {
        Self { place: self.place.by_walk(), ..self }
    }

    /// Every path that was accessed since [`Self::recording`]. Forgets them.
    #[must_use]
    pub fn accessed(&self) -> Accesses {
        let Some(accessed) = &self.accessed else { return Accesses::new() };
        std::mem::take(&mut *accessed.lock().unwrap_or_else(PoisonError::into_inner)).paths
    }

    /// Makes every further access fail. An abandoned source then ends soon, instead of reading a huge tree to its end.
    pub fn close(&self) {
        // A source that misses this by a moment only reads one more file, so no ordering is needed.
        self.closed.store(true, Ordering::Relaxed);
    }

    /// The letter of the volume on which Windows is: `C` until [`Self::name_volume`] says otherwise.
    #[must_use]
    pub fn volume(&self) -> char {
        self.windows_names().map_or('C', names::Names::letter)
    }

    /// The volume of a Windows machine that is not running has this letter, as its registry says. Paths with another letter
    /// are on volumes that are not scanned.
    pub fn name_volume(&self, letter: char) {
        if let Some(names) = self.windows_names() {
            names.set_letter(letter);
        }
    }

    const fn windows_names(&self) -> Option<&names::Names> {
        match &self.spelling {
            Spelling::Windows(names) => Some(names),
            Spelling::Same | Spelling::Mac(_) => None,
        }
    }

    /// The place, and the path as it is spelled there.
    fn at<'p>(&self, path: &'p str) -> io::Result<(&platform::Place, Cow<'p, str>)> {
        self.spelled(path, Last::Follow)
    }

    fn spelled<'p>(&self, path: &'p str, last: Last) -> io::Result<(&platform::Place, Cow<'p, str>)> {
        let place = self.open_place(path)?;
        match &self.spelling {
            Spelling::Same => Ok((place, Cow::Borrowed(path))),
            Spelling::Windows(names) => Ok((place, names.find(place, path, last)?.into())),
            Spelling::Mac(names) => Ok((place, names.find(place, path, last)?.into())),
        }
    }

    fn open_place(&self, path: &str) -> io::Result<&platform::Place> {
        if let Some(accessed) = &self.accessed {
            let mut accessed = accessed.lock().unwrap_or_else(PoisonError::into_inner);
            accessed.add(path, std::thread::current().name().unwrap_or_default());
        }
        deadline::reading(path);
        let is_over = self.closed.load(Ordering::Relaxed) || deadline::is_abandoned();
        if is_over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(&self.place) }
    }

    /// Whether this is the running system, which can be queried beyond its files.
    #[must_use]
    pub const fn is_running_system(&self) -> bool {
        self.running
    }

    /// The directory as given by the caller.
    #[must_use]
    pub fn given_path(&self) -> &Path {
        &self.given
    }

    /// Reads a whole regular file of at most `max` bytes.
    ///
    /// # Errors
    /// As the system says; `InvalidData` when it is not a regular file, `FileTooLarge` when it is larger.
    pub fn read(&self, path: &str, max: usize) -> io::Result<Vec<u8>> {
        let (place, path) = self.at(path)?;
        place.read(&path, max, true)
    }

    /// Reads the first `max` bytes of a regular file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_head(&self, path: &str, max: usize) -> io::Result<Vec<u8>> {
        let (place, path) = self.at(path)?;
        place.read(&path, max, false)
    }

    /// Opens a regular file for reading at offsets.
    ///
    /// # Errors
    /// As the system says; `InvalidData` when it is not a regular file.
    pub fn open(&self, path: &str) -> io::Result<OpenFile> {
        let (place, path) = self.at(path)?;
        OpenFile::of(place.open_file(&path)?)
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
    /// As the system says; `FileTooLarge` when it has more entries than any real machine.
    pub fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.list_at_most(path, ENTRIES)
    }

    /// The entries of a directory with at most this many, sorted by name.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn list_at_most(&self, path: &str, most: usize) -> io::Result<Vec<Entry>> {
        let list = |place: &platform::Place, path: &str| {
            turn::list(most.min(ENTRIES), |most| place.list(path, most, NAME_BYTES))
        };
        let mut entries = if let Spelling::Mac(names) = &self.spelling {
            let place = self.open_place(path)?;
            let folders = names.folders(place, path)?;
            let lists = folders.iter().map(|folder| list(place, folder)).collect::<io::Result<Vec<_>>>()?;
            one_of_each_name(lists, most.min(ENTRIES))?
        } else {
            let (place, path) = self.at(path)?;
            list(place, &path)?
        };
        turn::count(entries.iter().map(|entry| entry.name.len()).sum())?;
        // The order of a directory is arbitrary, and the digest of what is read must not depend on it.
        entries.sort_unstable();
        Ok(entries)
    }

    /// The kind of the file at a path; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be determined: a parent directory may not be searched, or the disk fails.
    pub fn kind_at(&self, path: &str) -> io::Result<Option<FileKind>> {
        Ok(self.file_at(path)?.map(|file| file.kind))
    }

    /// The kind of the file at a path and whether it may be executed; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::kind_at`].
    pub fn file_at(&self, path: &str) -> io::Result<Option<FileAt>> {
        match self.spelled(path, Last::Show) {
            Ok((place, path)) => place.file_at(&path),
            Err(error) if !matches!(self.spelling, Spelling::Same) && is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The first directory above a path that is a broken link, with its target. What is below it cannot be seen, for example
    /// because the link leads to a disk that is not mounted. Then the path does not count as absent.
    ///
    /// # Errors
    /// As [`Self::kind_at`].
    pub fn broken_link_above(&self, path: &str) -> io::Result<Option<BrokenLink>> {
        let separators: &[char] = if self.platform == Platform::Windows { &['/', '\\'] } else { &['/'] };
        for (end, _) in path.match_indices(separators).skip(1) {
            let parent = &path[..end];
            match self.kind_at(parent)? {
                Some(FileKind::BrokenLink) => {
                    return Ok(Some(BrokenLink { path: parent.to_owned(), target: self.read_link(parent)? }));
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// Opens a directory as a handle for the system; nothing in it is read.
    ///
    /// # Errors
    /// As the system says.
    pub fn directory(&self, path: &str) -> io::Result<File> {
        let (place, path) = self.at(path)?;
        place.directory(&path)
    }

    /// The times of a file; links are followed.
    ///
    /// # Errors
    /// As the system says.
    pub fn times(&self, path: &str) -> io::Result<Times> {
        let (place, path) = self.at(path)?;
        place.times(&path)
    }

    /// The target of a symbolic link, as stored.
    ///
    /// # Errors
    /// As the system says.
    pub fn read_link(&self, path: &str) -> io::Result<String> {
        let (place, path) = self.spelled(path, Last::Keep)?;
        place.read_link(&path)
    }
}

/// The entries of the folders that together are one folder of a Mac; the first of a name counts.
fn one_of_each_name(mut lists: Vec<Vec<Entry>>, most: usize) -> io::Result<Vec<Entry>> {
    if lists.len() < 2 {
        return Ok(lists.pop().unwrap_or_default());
    }
    let mut known = BTreeSet::new();
    let all = lists.into_iter().flatten();
    let entries: Vec<Entry> = all.filter(|entry| known.insert(mac_name::folded(&entry.name))).collect();
    if entries.len() > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(entries) }
}
