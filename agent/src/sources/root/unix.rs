//! Roots on Linux and macOS: a descriptor of the directory, with every path resolved below it.
//!
//! Where the kernel can do that, it does. Elsewhere a walk over the names does the same with descriptors. Neither leaves the
//! root, even if somebody renames directories meanwhile.

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use muster_proto::model::{Platform, Timestamp};

use super::{Entry, FileAt, FileKind, Times};
use crate::memory::turn;
use walk::{Last, WalkError};

#[cfg(target_os = "linux")]
#[path = "unix/linux.rs"]
mod system;
#[cfg(target_os = "macos")]
#[path = "unix/macos.rs"]
mod system;
#[path = "unix/walk.rs"]
mod walk;

/// The platform of the running system.
pub(super) const SYSTEM: Platform = system::SYSTEM;

#[derive(Debug)]
pub(super) struct Place {
    dir: OwnedFd,
    /// Only the walk is used, in tests of it.
    by_walk: bool,
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
        Ok(Self { dir: rustix::fs::openat(CWD, dir, flags, Mode::empty())?, by_walk: false })
    }

    #[cfg(test)]
    pub(super) fn by_walk(self) -> Self {
        Self { by_walk: true, ..self }
    }

    pub(super) fn open_file(&self, path: &str) -> io::Result<File> {
        // NONBLOCK: opening a named pipe must not block the agent.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        self.open_with(path, flags).map(File::from).map_err(io_error)
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
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = self.open_with(path, flags).map_err(io_error)?;
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
        match self.stat(path, Last::Follow) {
            Ok(stat) => {
                let mode = stat.st_mode;
                let kind = match FileType::from_raw_mode(mode) {
                    kind if kind.is_file() => FileKind::File,
                    kind if kind.is_dir() => FileKind::Directory,
                    _ => FileKind::Other,
                };
                let executable = Mode::from_raw_mode(mode).intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH);
                Ok(Some(FileAt { kind, executable, identity: system::identity(&stat) }))
            }
            // Either nothing is there or a broken link. Only without following can the two be told apart.
            Err(WalkError::System(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => match self.stat(path, Last::Keep) {
                Ok(stat) => {
                    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
                    let identity = system::identity(&stat);
                    Ok(is_link.then_some(FileAt { kind: FileKind::BrokenLink, executable: false, identity }))
                }
                Err(WalkError::System(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => Ok(None),
                Err(error) => Err(io_error(error)),
            },
            Err(error) => Err(io_error(error)),
        }
    }

    pub(super) fn directory(&self, path: &str) -> io::Result<File> {
        let flags = system::HANDLE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.open_with(path, flags).map(File::from).map_err(io_error)
    }

    pub(super) fn times(&self, path: &str) -> io::Result<Times> {
        let stat = self.stat(path, Last::Follow).map_err(io_error)?;
        let of = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        Ok(Times { modified: of(stat.st_mtime), changed: of(stat.st_ctime) })
    }

    pub(super) fn read_link(&self, path: &str) -> io::Result<String> {
        let target = self.target(path).map_err(io_error)?;
        Ok(target.to_string_lossy().into_owned())
    }

    fn open_with(&self, path: &str, flags: OFlags) -> Result<OwnedFd, WalkError> {
        let dir = self.dir.as_fd();
        match self.by_kernel(|| system::open(dir, path, flags)) {
            Some(decided) => Ok(decided?),
            None => walk::open(dir, path, flags),
        }
    }

    fn stat(&self, path: &str, last: Last) -> Result<Stat, WalkError> {
        let dir = self.dir.as_fd();
        match self.by_kernel(|| system::stat(dir, path, last)) {
            Some(decided) => Ok(decided?),
            None => walk::find(dir, path, last).map(|end| end.stat),
        }
    }

    fn target(&self, path: &str) -> Result<CString, WalkError> {
        let dir = self.dir.as_fd();
        match self.by_kernel(|| system::read_link(dir, path)) {
            Some(decided) => Ok(decided?),
            None => Ok(walk::find(dir, path, Last::Keep)?.target(dir)?),
        }
    }

    fn by_kernel<T>(&self, ask: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.by_walk { None } else { ask() }
    }
}

fn io_error(error: WalkError) -> io::Error {
    match error {
        WalkError::System(error) => error.into(),
        WalkError::Replaced => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root, opened so that the kernel resolves its paths where it can, and so that the walk does.
    fn image() -> (tempfile::TempDir, [Place; 2]) {
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
        symlink("os-release/", root.join("etc/slash")).expect("linked");
        symlink("/var/lib/", root.join("etc/folder")).expect("linked");
        let by_walk = Place::open(&root).expect("opened").by_walk();
        (outer, [Place::open(&root).expect("opened"), by_walk])
    }

    #[test]
    fn links_resolve_inside_the_root_by_the_kernel_and_by_the_walk() {
        let (_outer, places) = image();
        for place in places {
            let read = |path: &str| {
                let opened = place.open_with(path, OFlags::RDONLY | OFlags::CLOEXEC);
                opened.map(|file| io::read_to_string(File::from(file)).expect("readable"))
            };
            assert_eq!(read("/etc/os-release").as_deref(), Ok("inside"));
            assert_eq!(read("/etc/escape").as_deref(), Ok("the image's own"));
            assert_eq!(read("/../../secret").as_deref(), Ok("the image's own"));
            assert_eq!(read("/var/lib/link/up").as_deref(), Ok("inside"));
            assert_eq!(read("/etc/folder/link/../../lib/link/up").as_deref(), Ok("inside"));
            assert_eq!(read("/etc/broken"), Err(Errno::NOENT.into()));
            assert_eq!(read("/etc/ring"), Err(Errno::LOOP.into()));
            for path in ["/secret/below", "/secret/", "/etc/slash", "/etc/os-release/"] {
                assert_eq!(read(path), Err(Errno::NOTDIR.into()), "{path}");
            }
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            assert_eq!(place.open_with("/etc/os-release", flags).map(drop), Err(Errno::LOOP.into()));
        }
    }

    #[test]
    fn the_kind_of_a_file_is_found_without_reading_it() {
        let (_outer, places) = image();
        for place in &places {
            let kind = |path: &str| place.file_at(path).expect("known").map(|file| file.kind);
            for path in ["/", ".", "/etc", "/etc/", "/etc/..", "/var/lib/link/", "/etc/folder"] {
                assert_eq!(kind(path), Some(FileKind::Directory), "{path}");
            }
            assert_eq!(kind("/etc/os-release"), Some(FileKind::File));
            assert_eq!(
                (kind("/etc/broken"), kind("/etc/ring")),
                (Some(FileKind::BrokenLink), Some(FileKind::BrokenLink))
            );
            assert_eq!((kind("/etc/none"), kind("/secret/below"), kind("/etc/broken/x")), (None, None, None));
            assert_eq!(place.read_link("/etc/broken").expect("link"), "/nowhere");
            place.read_link("/etc").expect_err("no link");
            place.directory("/etc/folder/link").expect("a directory");
            place.directory("/secret").expect_err("no directory");
        }
        for path in ["/", "/etc", "/etc/os-release", "/var/lib/link", "/etc/broken"] {
            let [by_kernel, by_walk] = &places;
            assert_eq!(by_kernel.file_at(path).expect("known"), by_walk.file_at(path).expect("known"), "{path}");
        }
        let times = places.each_ref().map(|place| place.times("/etc/os-release").expect("known"));
        assert_eq!(times[0], times[1]);
    }

    #[test]
    fn a_directory_over_the_limit_is_refused() {
        let (_outer, places) = image();
        for place in places {
            let entries = place.list("/etc", 1000, 1000).expect("listed");
            let bytes: usize = entries.iter().map(|entry| entry.name.len()).sum();
            let entries = entries.len();
            let refused = |most, bytes| place.list("/etc", most, bytes).expect_err("too many").kind();
            assert_eq!(place.list("/etc", entries, bytes).expect("as many as there are").len(), entries);
            assert_eq!(refused(entries - 1, bytes), io::ErrorKind::FileTooLarge);
            assert_eq!(refused(entries, bytes - 1), io::ErrorKind::FileTooLarge);
            place.list("/etc/os-release", 9, 99).expect_err("no directory");
        }
    }

    #[test]
    fn a_file_over_the_limit_and_a_directory_are_refused() {
        let (_outer, places) = image();
        for place in places {
            assert_eq!(place.read("/secret", 3, true).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
            assert_eq!(place.read("/secret", 3, false).expect("head"), b"the");
            assert_eq!(place.read("/etc", 3, true).expect_err("a directory").kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn what_nobody_knows_is_not_absent_and_has_its_own_words() {
        for (error, words) in [
            (WalkError::Replaced, "it, or a folder above it, is replaced all the time"),
            // What the server of a network volume has deleted.
            (Errno::STALE.into(), "stale network file handle"),
            (Errno::LOOP.into(), "filesystem loop or indirection limit (e.g. symlink loop)"),
        ] {
            let error = io_error(error);
            assert!(!crate::sources::is_absent(&error), "{error}");
            assert_eq!(crate::sources::error_reason("/etc/x", &error), format!("cannot read /etc/x: {words}"));
        }
    }
}
