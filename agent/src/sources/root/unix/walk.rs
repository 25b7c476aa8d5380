//! Paths below a directory, resolved name by name with a descriptor of each folder, for systems that cannot do it themselves.
//!
//! The system follows no link and no `..` here: links are spliced into what remains, and `..` goes back to the descriptor from
//! which the walk came. So nothing that somebody renames or replaces meanwhile leads out of the root.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// The number of links that Linux follows for one path; macOS follows 32.
const LINKS_FOLLOWED: usize = 40;
/// Folders below the root that one path may lead through.
const FOLDERS_DEEP: usize = 64;
/// How often something may be replaced under the walk. Nobody does that more often by chance.
const CHANGES: usize = 64;

/// Opens a folder to pass through it, without the right to list it.
#[cfg(target_os = "linux")]
const SEARCH: OFlags = OFlags::PATH;
/// `O_SEARCH` (`sys/fcntl.h`) does the same. A macOS that does not know the bit opens the folder for reading.
#[cfg(target_os = "macos")]
const SEARCH: OFlags = OFlags::from_bits_retain(0x4000_0000);

/// Whether a link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// Why nothing is found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WalkError {
    /// The system says so.
    #[error(transparent)]
    System(#[from] Errno),
    /// Nobody knows what is there.
    #[error("it, or a folder above it, is replaced all the time")]
    Replaced,
}

/// What a path leads to: a name in a folder, and what it was when the walk came there.
#[derive(Debug)]
pub(super) struct End {
    /// `None` for the directory of the root.
    folder: Option<OwnedFd>,
    /// `.` for the folder itself.
    name: String,
    pub(super) stat: Stat,
}

/// Opens the file at a path; with `NOFOLLOW` in the flags, a link at its end is an error.
pub(super) fn open(dir: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, WalkError> {
    open_and_tell(dir, path, flags, &mut |_| {})
}

/// What is at a path.
pub(super) fn find(dir: BorrowedFd<'_>, path: &str, last: Last) -> Result<End, WalkError> {
    find_and_tell(dir, path, last, &mut |_| {})
}

impl End {
    /// The target of a link.
    pub(super) fn target(&self, dir: BorrowedFd<'_>) -> Result<CString, Errno> {
        rustix::fs::readlinkat(self.folder_below(dir), self.name.as_str(), Vec::new())
    }

    fn folder_below<'f>(&'f self, dir: BorrowedFd<'f>) -> BorrowedFd<'f> {
        self.folder.as_ref().map_or(dir, AsFd::as_fd)
    }
}

fn open_and_tell(
    dir: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    examined: &mut dyn FnMut(&str),
) -> Result<OwnedFd, WalkError> {
    let last = if flags.contains(OFlags::NOFOLLOW) { Last::Keep } else { Last::Follow };
    for _ in 0..CHANGES {
        let end = find_and_tell(dir, path, last, examined)?;
        let kind = FileType::from_raw_mode(end.stat.st_mode);
        if kind == FileType::Symlink {
            return Err(Errno::LOOP.into());
        }
        if flags.contains(OFlags::DIRECTORY) && kind != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        let opened =
            rustix::fs::openat(end.folder_below(dir), end.name.as_str(), flags | OFlags::NOFOLLOW, Mode::empty());
        match opened {
            // It was replaced by a link since.
            Err(Errno::LOOP | Errno::NOTDIR) => {}
            opened => return Ok(opened?),
        }
    }
    Err(WalkError::Replaced)
}

/// `examined` is called with each name between the moments when it is examined and when it is used.
fn find_and_tell(
    dir: BorrowedFd<'_>,
    path: &str,
    last: Last,
    examined: &mut dyn FnMut(&str),
) -> Result<End, WalkError> {
    // As in the kernel, a slash at the end demands a directory.
    let must_be_directory = path.ends_with('/');
    let mut walk = Walk { dir, folders: Vec::new(), remaining: names(path), links: 0, must_be_directory };
    let mut changes = 0;
    while let Some(name) = walk.remaining.pop() {
        if name == ".." {
            // At the root the stack is empty, and `..` stays at the root as after chroot(2).
            walk.folders.pop();
            continue;
        }
        let stat = rustix::fs::statat(walk.folder(), name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        examined(&name);
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_last = walk.remaining.is_empty();
        let is_followed = kind == FileType::Symlink && (!is_last || last == Last::Follow || walk.must_be_directory);
        if is_last && !is_followed {
            let is_fit = kind == FileType::Directory || !walk.must_be_directory;
            return if is_fit { Ok(End { folder: walk.folders.pop(), name, stat }) } else { Err(Errno::NOTDIR.into()) };
        }
        let is_same = if is_followed { walk.follow(&name)? } else { walk.enter(&name, kind)? };
        if !is_same {
            changes += 1;
            if changes == CHANGES {
                return Err(WalkError::Replaced);
            }
            walk.remaining.push(name);
        }
    }
    let stat = rustix::fs::fstat(walk.folder())?;
    Ok(End { folder: walk.folders.pop(), name: ".".to_owned(), stat })
}

struct Walk<'d> {
    dir: BorrowedFd<'d>,
    /// The folders from the root down.
    folders: Vec<OwnedFd>,
    /// The names that are left, last first.
    remaining: Vec<String>,
    links: usize,
    must_be_directory: bool,
}

impl Walk<'_> {
    fn folder(&self) -> BorrowedFd<'_> {
        self.folders.last().map_or(self.dir, AsFd::as_fd)
    }

    /// Goes on where a link leads. `false` if it is no link any more.
    fn follow(&mut self, name: &str) -> Result<bool, Errno> {
        let target = match rustix::fs::readlinkat(self.folder(), name, Vec::new()) {
            Err(Errno::INVAL | Errno::NOENT) => return Ok(false),
            target => target?,
        };
        self.links += 1;
        if self.links > LINKS_FOLLOWED {
            return Err(Errno::LOOP);
        }
        let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
        self.must_be_directory |= self.remaining.is_empty() && target.ends_with('/');
        if target.starts_with('/') {
            // An absolute target begins at the scanned root, not at the real one.
            self.folders.clear();
        }
        self.remaining.extend(names(target));
        Ok(true)
    }

    /// Enters a folder. `false` if it is no folder any more, or not there; the next round says which.
    fn enter(&mut self, name: &str, kind: FileType) -> Result<bool, Errno> {
        if kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        // Each folder is a descriptor, and a process of launchd has 256 of them.
        if self.folders.len() == FOLDERS_DEEP {
            return Err(Errno::NAMETOOLONG);
        }
        let flags = SEARCH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(self.folder(), name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => Ok(false),
            opened => {
                self.folders.push(opened?);
                Ok(true)
            }
        }
    }
}

/// The names of a path, last first, without `.` and empty ones.
fn names(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
