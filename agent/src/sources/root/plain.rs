//! Roots on systems other than Linux: only the running system, by plain paths.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use muster_proto::model::{Platform, Timestamp};

use super::{Entry, FileAt, FileKind, Times};

/// The platform of the running system.
pub(super) const SYSTEM: Platform = if cfg!(target_os = "windows") { Platform::Windows } else { Platform::Macos };

#[derive(Debug)]
pub(super) struct Place;

pub(super) fn system_root() -> PathBuf {
    PathBuf::from("/")
}

/// These systems have no common file identity.
pub(super) fn identity(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}

pub(super) fn read_at(mut file: &File, place: u64, buffer: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(buffer)
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
const fn is_executable(_metadata: &Metadata) -> bool {
    false
}

impl Place {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        if dir == Path::new("/") {
            return Ok(Self);
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux can scan another root"))
    }

    pub(super) fn open_file(&self, path: &str) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn read(&self, path: &str, max: usize, whole: bool) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
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
        let entries = std::fs::read_dir(path)?.take(most.saturating_add(1)).map(|entry| {
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

    pub(super) fn file_at(&self, path: &str) -> io::Result<Option<FileAt>> {
        match std::fs::metadata(path) {
            Ok(metadata) => {
                let kind = match &metadata {
                    metadata if metadata.is_dir() => FileKind::Directory,
                    metadata if metadata.is_file() => FileKind::File,
                    _ => FileKind::Other,
                };
                Ok(Some(FileAt { kind, executable: is_executable(&metadata), identity: identity(&metadata) }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn directory(&self, path: &str) -> io::Result<File> {
        File::open(path)
    }

    /// These systems have no common `ctime`, so both times are the `mtime`.
    pub(super) fn times(&self, path: &str) -> io::Result<Times> {
        let modified = std::fs::metadata(path)?.modified()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let modified = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        Ok(Times { modified, changed: modified })
    }

    pub(super) fn read_link(&self, path: &str) -> io::Result<String> {
        Ok(std::fs::read_link(path)?.to_string_lossy().into_owned())
    }
}
