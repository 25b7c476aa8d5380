//! Roots on Linux: a descriptor of the directory, with every path resolved below it.
//!
//! `openat2` with `RESOLVE_IN_ROOT` does this in the kernel. Older kernels do not have the call and some sandboxes forbid
//! it. There a walk over the components does the same with descriptors. It never leaves the root, even if somebody renames
//! directories meanwhile.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use muster_proto::model::{Platform, Timestamp};

use super::{Entry, FileAt, FileKind, Times};
use crate::memory::turn;

/// The number of links that the kernel follows for one path.
const LINKS_FOLLOWED: usize = 40;

/// The platform of the running system.
pub(super) const SYSTEM: Platform = Platform::Linux;

#[derive(Debug)]
pub(super) struct Place {
    dir: OwnedFd,
}

pub(super) fn system_root() -> PathBuf {
    PathBuf::from("/")
}

pub(super) fn identity(_file: &File, metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

pub(super) fn read_at(file: &File, place: u64, buffer: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(buffer, place)
}

impl Place {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { dir: rustix::fs::openat(CWD, dir, flags, Mode::empty())? })
    }

    pub(super) fn open_file(&self, path: &str) -> io::Result<File> {
        // NONBLOCK: opening a named pipe must not block the agent.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        Ok(File::from(self.resolve(path, flags)?))
    }

    pub(super) fn read(&self, path: &str, max: usize, whole: bool) -> io::Result<Vec<u8>> {
        let file = self.open_file(path)?;
        // Of the descriptor, not of the path, which may have been replaced since it was opened.
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if whole && expected > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        turn::count(expected.min(max))?;
        let mut bytes = Vec::with_capacity(expected.min(max) + 1);
        // One byte more reveals a file over the limit. The size is no proof: files grow, and those in /proc say 0.
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        turn::count(bytes.len().saturating_sub(expected))?;
        if bytes.len() > max {
            if whole {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            bytes.truncate(max);
        }
        Ok(bytes)
    }

    pub(super) fn list(&self, path: &str, most: usize, mut bytes: usize) -> io::Result<Vec<Entry>> {
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            bytes = bytes.checked_sub(name.to_bytes().len()).ok_or(io::ErrorKind::FileTooLarge)?;
            if entries.len() >= most {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("the folder has more than {most} entries"),
                ));
            }
            let mut kind = entry.file_type();
            // Some file systems do not store the type with the name (readdir(3)).
            if kind == FileType::Unknown {
                kind = FileType::from_raw_mode(rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
            }
            entries.push(Entry {
                name: name.to_string_lossy().into_owned(),
                is_link: kind == FileType::Symlink,
                is_directory: kind == FileType::Directory,
            });
        }
        Ok(entries)
    }

    pub(super) fn file_at(&self, path: &str) -> io::Result<Option<FileAt>> {
        match self.resolve(path, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(fd) => {
                let stat = rustix::fs::fstat(&fd)?;
                let mode = stat.st_mode;
                let kind = match FileType::from_raw_mode(mode) {
                    kind if kind.is_file() => FileKind::File,
                    kind if kind.is_dir() => FileKind::Directory,
                    _ => FileKind::Other,
                };
                let executable = Mode::from_raw_mode(mode).intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH);
                Ok(Some(FileAt { kind, executable, identity: (stat.st_dev, stat.st_ino) }))
            }
            // Either nothing is there or a broken link. Only without following can the two be told apart.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                match self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC) {
                    Ok(fd) => {
                        let stat = rustix::fs::fstat(&fd)?;
                        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
                        let identity = (stat.st_dev, stat.st_ino);
                        Ok(is_link.then_some(FileAt { kind: FileKind::BrokenLink, executable: false, identity }))
                    }
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn directory(&self, path: &str) -> io::Result<File> {
        Ok(File::from(self.resolve(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?))
    }

    pub(super) fn times(&self, path: &str) -> io::Result<Times> {
        let stat = rustix::fs::fstat(self.resolve(path, OFlags::PATH | OFlags::CLOEXEC)?)?;
        let of = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        Ok(Times { modified: of(stat.st_mtime), changed: of(stat.st_ctime) })
    }

    pub(super) fn read_link(&self, path: &str) -> io::Result<String> {
        let fd = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)?;
        // The empty path means the link that the descriptor refers to (readlinkat(2)).
        Ok(rustix::fs::readlinkat(&fd, c"", Vec::new())?.to_string_lossy().into_owned())
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.resolve_by_kernel(path, flags) {
            // The call does not exist, a sandbox forbids it, or a rename interfered: fall back to the walk.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INVAL) => self.resolve_by_walk(path, flags),
            decided => decided,
        }
    }

    fn resolve_by_kernel(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        // IN_ROOT implies NO_MAGICLINKS, but openat2(2) asks to set it explicitly because that may change.
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), how)
    }

    /// The fallback: a stack of descriptors from the root down. Link targets are spliced into the remaining path.
    fn resolve_by_walk(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        // A descriptor with PATH can be examined without opening a device or pipe.
        let search = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut stack: Vec<OwnedFd> = Vec::new();
        let mut remaining: Vec<String> = components(path);
        let mut links = 0;
        let mut must_be_directory = path.ends_with('/');
        while let Some(name) = remaining.pop() {
            if name == ".." {
                // At the root the stack is empty, and `..` stays at the root as after chroot(2).
                stack.pop();
                continue;
            }
            let parent = stack.last().map_or(self.dir.as_fd(), AsFd::as_fd);
            let next = rustix::fs::openat(parent, name.as_str(), search, Mode::empty())?;
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode);
            let last = remaining.is_empty();
            if kind == FileType::Symlink {
                if last && flags.contains(OFlags::NOFOLLOW) {
                    // As open(2): with PATH the link itself is opened, otherwise it is an error.
                    return if flags.contains(OFlags::PATH) { Ok(next) } else { Err(Errno::LOOP) };
                }
                links += 1;
                if links > LINKS_FOLLOWED {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&next, c"", Vec::new())?;
                let target = target.to_str().map_err(|_| Errno::ILSEQ)?.to_owned();
                if target.starts_with('/') {
                    // An absolute target begins at the scanned root, not at the real one.
                    stack.clear();
                }
                // As in the kernel, a slash at the end demands a directory.
                must_be_directory |= last && target.ends_with('/');
                remaining.extend(components(&target));
                continue;
            }
            if !last && kind != FileType::Directory {
                return Err(Errno::NOTDIR);
            }
            if last {
                if must_be_directory && kind != FileType::Directory {
                    return Err(Errno::NOTDIR);
                }
                // A link that replaced the file since it was examined must not be followed: it would leave the root.
                return rustix::fs::openat(parent, name.as_str(), flags | OFlags::NOFOLLOW, Mode::empty());
            }
            stack.push(next);
        }
        let end = stack.last().map_or(self.dir.as_fd(), AsFd::as_fd);
        rustix::fs::openat(end, c".", flags, Mode::empty())
    }
}

/// The components of a path, last first, without `.` and empty ones.
fn components(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn image() -> (tempfile::TempDir, Place) {
        let outer = tempfile::tempdir().expect("temporary directory");
        std::fs::write(outer.path().join("secret"), "outside").expect("written");
        let root = outer.path().join("root");
        for dir in ["etc", "usr/lib", "var/lib/real"] {
            std::fs::create_dir_all(root.join(dir)).expect("made");
        }
        std::fs::write(root.join("usr/lib/os-release"), "inside").expect("written");
        std::fs::write(root.join("secret"), "the image's own").expect("written");
        symlink("/usr/lib/os-release", root.join("etc/os-release")).expect("linked");
        symlink("../../../../../../secret", root.join("etc/escape")).expect("linked");
        symlink("/var/lib/real", root.join("var/lib/link")).expect("linked");
        symlink("../../../etc/../usr/lib/os-release", root.join("var/lib/real/up")).expect("linked");
        symlink("/nowhere", root.join("etc/broken")).expect("linked");
        symlink("ring", root.join("etc/ring")).expect("linked");
        let place = Place::open(&root).expect("opened");
        (outer, place)
    }

    type Resolve = fn(&Place, &str, OFlags) -> Result<OwnedFd, Errno>;

    fn read_by(resolve: Resolve, place: &Place, path: &str) -> Result<String, Errno> {
        let fd = resolve(place, path, OFlags::RDONLY | OFlags::CLOEXEC)?;
        Ok(io::read_to_string(File::from(fd)).expect("readable"))
    }

    #[test]
    fn links_resolve_inside_the_root_with_and_without_openat2() {
        let (_outer, place) = image();
        let ways: [Resolve; 2] = [Place::resolve, Place::resolve_by_walk];
        for way in ways {
            assert_eq!(read_by(way, &place, "/etc/os-release").as_deref(), Ok("inside"));
            assert_eq!(read_by(way, &place, "/etc/escape").as_deref(), Ok("the image's own"));
            assert_eq!(read_by(way, &place, "/../../secret").as_deref(), Ok("the image's own"));
            assert_eq!(read_by(way, &place, "/var/lib/link/up").as_deref(), Ok("inside"));
            assert_eq!(read_by(way, &place, "/etc/broken"), Err(Errno::NOENT));
            assert_eq!(read_by(way, &place, "/etc/ring"), Err(Errno::LOOP));
            assert_eq!(read_by(way, &place, "/secret/below"), Err(Errno::NOTDIR));
        }
    }

    #[test]
    fn the_kind_of_a_file_is_found_without_reading_it() {
        let (_outer, place) = image();
        let kind = |path: &str| place.file_at(path).expect("known").map(|file| file.kind);
        assert_eq!(kind("/etc"), Some(FileKind::Directory));
        assert_eq!(kind("/etc/os-release"), Some(FileKind::File));
        assert_eq!(kind("/etc/broken"), Some(FileKind::BrokenLink));
        assert_eq!(kind("/etc/none"), None);
        assert_eq!(place.read_link("/etc/broken").expect("link"), "/nowhere");
    }

    #[test]
    fn a_directory_over_the_limit_is_refused() {
        let (_outer, place) = image();
        let entries = place.list("/etc", 1000, 1000).expect("listed");
        let bytes: usize = entries.iter().map(|entry| entry.name.len()).sum();
        let entries = entries.len();
        assert_eq!(place.list("/etc", entries, bytes).expect("as many as there are").len(), entries);
        assert_eq!(place.list("/etc", entries - 1, bytes).expect_err("too many").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(place.list("/etc", entries, bytes - 1).expect_err("too long").kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_file_over_the_limit_and_a_directory_are_refused() {
        let (_outer, place) = image();
        assert_eq!(place.read("/secret", 3, true).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(place.read("/secret", 3, false).expect("head"), b"the");
        assert_eq!(place.read("/etc", 3, true).expect_err("a directory").kind(), io::ErrorKind::InvalidData);
    }
}
