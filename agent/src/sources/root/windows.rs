//! Roots on Windows: the running system by its volumes, and the machine below a directory.
//!
//! Below a directory every path is walked name by name, and links are spliced into what remains. Somebody who renames directories
//! meanwhile can lead the walk astray, so a root is scanned where nobody works.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use muster_proto::model::{Platform, Timestamp};

use super::{Entry, FileAt, FileKind, Times};
use crate::memory::turn;

#[path = "live/windows.rs"]
mod live;

/// The platform of the running system.
pub(super) const SYSTEM: Platform = live::SYSTEM;

/// The number of links that are followed for one path, as on Linux.
const LINKS_FOLLOWED: usize = 40;

#[derive(Debug)]
pub(super) enum Place {
    Running,
    Below(PathBuf),
}

/// Whether a link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Follow,
    Keep,
}

pub(super) fn system_root() -> PathBuf {
    live::system_root()
}

pub(super) fn identity(file: &File, metadata: &Metadata) -> (u64, u64) {
    live::identity(file, metadata)
}

pub(super) fn read_at(file: &File, place: u64, buffer: &mut [u8]) -> io::Result<()> {
    live::read_at(file, place, buffer)
}

impl Place {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        if dir == system_root() {
            return Ok(Self::Running);
        }
        // Absolute, so that long paths below it can be opened on Windows.
        let dir = std::fs::canonicalize(dir)?;
        if !std::fs::metadata(&dir)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self::Below(dir))
    }

    fn real(&self, path: &str, end: End) -> io::Result<PathBuf> {
        match self {
            Self::Running => live::path(path),
            Self::Below(dir) => walk(dir, path, end),
        }
    }

    /// The result of an operation on a path. A volume that is not there, such as a disk that was detached, says nothing of its
    /// files, so on such a volume nothing is absent, nor behind a link that leads there. The same is true of a root that has gone.
    fn on_volume<T>(&self, path: &str, result: io::Result<T>) -> io::Result<T> {
        let real = || self.real(path, End::Keep).ok();
        result.map_err(|error| match self {
            Self::Below(dir) if is_absent(&error) && std::fs::metadata(dir).is_err() => super::names::root_gone(),
            Self::Below(_) => error,
            Self::Running if real().is_some_and(|real| live::is_on_lost_volume(&real)) => super::names::volume_gone(),
            Self::Running if is_absent(&error) && real().is_some_and(|real| is_behind_broken_link(&real)) => {
                super::names::behind_link()
            }
            Self::Running => error,
        })
    }

    pub(super) fn open_file(&self, path: &str) -> io::Result<File> {
        self.on_volume(path, self.real(path, End::Follow).and_then(|real| live::open(&real)))
    }

    pub(super) fn read(&self, path: &str, max: usize, whole: bool) -> io::Result<Vec<u8>> {
        let file = self.open_file(path)?;
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
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max {
            if whole {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            bytes.truncate(max);
        }
        Ok(bytes)
    }

    pub(super) fn list(&self, path: &str, most: usize, bytes: usize) -> io::Result<Vec<Entry>> {
        self.on_volume(path, self.real(path, End::Follow).and_then(|real| list(&real, most, bytes)))
    }

    pub(super) fn file_at(&self, path: &str) -> io::Result<Option<FileAt>> {
        let found = self.real(path, End::Follow).and_then(|real| Ok((std::fs::metadata(&real)?, real)));
        match self.on_volume(path, found) {
            Ok((metadata, real)) => {
                let kind = match &metadata {
                    metadata if metadata.is_dir() => FileKind::Directory,
                    metadata if metadata.is_file() => FileKind::File,
                    _ => FileKind::Other,
                };
                let identity = live::identity_at(&real, &metadata);
                Ok(Some(FileAt { kind, executable: live::is_executable(&metadata), identity }))
            }
            Err(error) if is_absent(&error) => self.broken_link(path),
            Err(error) => Err(error),
        }
    }

    /// A link that leads nowhere; `None` if there is nothing at all.
    fn broken_link(&self, path: &str) -> io::Result<Option<FileAt>> {
        let found = self.real(path, End::Keep).and_then(std::fs::symlink_metadata);
        match self.on_volume(path, found) {
            Ok(metadata) => Ok(metadata.file_type().is_symlink().then_some(FileAt {
                kind: FileKind::BrokenLink,
                executable: false,
                identity: (0, 0),
            })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn directory(&self, path: &str) -> io::Result<File> {
        self.open_file(path)
    }

    /// Windows has no `ctime`, so both times are the `mtime`.
    pub(super) fn times(&self, path: &str) -> io::Result<Times> {
        let modified = self.real(path, End::Follow).and_then(|real| std::fs::metadata(real)?.modified());
        let modified = self.on_volume(path, modified)?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let modified = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        Ok(Times { modified, changed: modified })
    }

    pub(super) fn read_link(&self, path: &str) -> io::Result<String> {
        let target = self.real(path, End::Keep).and_then(std::fs::read_link);
        Ok(self.on_volume(path, target)?.to_string_lossy().into_owned())
    }
}

fn is_absent(error: &io::Error) -> bool {
    crate::sources::is_absent(error)
}

/// Whether the nearest folder above that exists is a link that leads nowhere.
fn is_behind_broken_link(path: &Path) -> bool {
    let nearest = path.ancestors().skip(1).find_map(|folder| Some((folder, std::fs::symlink_metadata(folder).ok()?)));
    nearest.is_some_and(|(folder, found)| found.file_type().is_symlink() && std::fs::metadata(folder).is_err())
}

fn list(folder: &Path, most: usize, bytes: usize) -> io::Result<Vec<Entry>> {
    let entries = std::fs::read_dir(folder)?.take(most.saturating_add(1)).map(|entry| {
        let entry = entry?;
        let kind = entry.file_type()?;
        Ok(Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            is_link: kind.is_symlink(),
            is_directory: kind.is_dir(),
        })
    });
    let entries: Vec<Entry> = entries.collect::<io::Result<_>>()?;
    let names: usize = entries.iter().map(|entry| entry.name.len()).sum();
    if entries.len() > most || names > bytes { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(entries) }
}

/// The file below the directory: no link and no `..` leads out of it.
fn walk(dir: &Path, path: &str, end: End) -> io::Result<PathBuf> {
    let mut found: Vec<String> = Vec::new();
    let mut remaining = names(path);
    let mut links = 0;
    let real = |found: &[String]| found.iter().fold(dir.to_owned(), |path, name| path.join(name));
    while let Some(name) = remaining.pop() {
        if name == ".." {
            // At the top `..` stays there.
            found.pop();
            continue;
        }
        // A name with a letter of a volume would replace the whole path.
        if name.contains([':', '\\']) {
            return Err(io::ErrorKind::NotFound.into());
        }
        found.push(name);
        let here = real(&found);
        let is_end = remaining.is_empty();
        if !std::fs::symlink_metadata(&here)?.file_type().is_symlink() || (is_end && end == End::Keep) {
            continue;
        }
        links += 1;
        if links > LINKS_FOLLOWED {
            return Err(io::ErrorKind::NotFound.into());
        }
        let target = std::fs::read_link(&here)?.to_string_lossy().into_owned();
        found.pop();
        if target.starts_with(['/', std::path::MAIN_SEPARATOR]) {
            found.clear();
        }
        remaining.extend(names(&target));
    }
    Ok(real(&found))
}

/// The names of a path, last first.
fn names(path: &str) -> Vec<String> {
    let separators = ['/', std::path::MAIN_SEPARATOR];
    path.split(separators).rev().filter(|name| !matches!(*name, "" | ".")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::test_kit;

    #[test]
    fn a_directory_is_a_root_and_nothing_above_it_can_be_reached() {
        let outer = tempfile::tempdir().expect("temporary directory");
        let dir = outer.path().join("root");
        std::fs::create_dir_all(dir.join("etc/below")).expect("made");
        std::fs::write(outer.path().join("secret"), "secret").expect("written");
        std::fs::write(dir.join("etc/file"), "inside").expect("written");
        let place = Place::open(&dir).expect("opens");
        assert_eq!(place.read("/etc/below/../file", 64, true).expect("read"), b"inside");
        assert_eq!(place.read("/../../etc/file", 64, true).expect("`..` ends at the top"), b"inside");
        assert!(place.read("/../secret", 64, true).is_err());
        assert_eq!(place.list("/etc", 10, 100).expect("listed").len(), 2);
        assert_eq!(place.list("/etc", 1, 100).expect_err("too many").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(place.read("/etc", 64, true).expect_err("a directory").kind(), io::ErrorKind::InvalidData);
        assert!(Place::open(&dir.join("etc/file")).is_err(), "no directory");
        let identity = |path: &str| place.file_at(path).expect("known").map(|file| file.identity);
        assert_ne!(identity("/etc"), identity("/etc/below"));
        assert_ne!(identity("/etc"), Some((0, 0)));
        if !test_kit::link("../../secret", &dir.join("etc/out")) {
            return test_kit::left_out("links");
        }
        test_kit::link("/etc/file", &dir.join("absolute"));
        test_kit::link("gone", &dir.join("broken"));
        assert_eq!(place.read("/absolute", 64, true).expect("read"), b"inside");
        assert_eq!(place.file_at("/etc/out").expect("known").map(|file| file.kind), Some(FileKind::BrokenLink));
        assert_eq!(place.file_at("/broken").expect("known").map(|file| file.kind), Some(FileKind::BrokenLink));
    }
}
