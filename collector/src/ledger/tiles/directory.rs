//! The files of an export below its directory. A file appears complete or not at all, and none but the checkpoint is
//! ever replaced.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::error::ExportError;

/// The directory of an export. Paths below it are those of the layout, with `/`.
#[derive(Debug, Clone)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// The directory, which need not exist yet.
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory itself.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The place of a file.
    pub(super) fn place(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// The bytes of a file; `None` if it does not exist.
    pub(super) fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, ExportError> {
        let path = self.place(path);
        match read(&path, most) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ExportError::File { attempt: "read", path, source }),
        }
    }

    /// Creates a file, and the folders above it. Returns whether it was created: a file of the same content is kept.
    pub(super) fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, ExportError> {
        if let Some(found) = self.found(path, bytes.len())? {
            let path = self.place(path);
            return if found == bytes { Ok(false) } else { Err(ExportError::Differs { path }) };
        }
        self.write(path, bytes)?;
        Ok(true)
    }

    /// Creates or replaces a file after everything written before it is on the disk.
    pub(super) fn publish(&self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let failed = |source| ExportError::File { attempt: "write", path: self.place(path), source };
        fs::create_dir_all(&self.0).map_err(failed)?;
        let sync = || rustix::fs::syncfs(File::open(&self.0)?).map_err(io::Error::from);
        // Without the first, a crash may leave a checkpoint without its tiles; without the second, the old checkpoint.
        sync().map_err(failed)?;
        self.write(path, bytes)?;
        sync().map_err(failed)
    }

    /// Removes a file or a folder with its files, if it exists.
    pub(super) fn remove(&self, path: &str) -> Result<(), ExportError> {
        let path = self.place(path);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ExportError::File { attempt: "remove", path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A file that exists where one of so many bytes is to be created. A longer one is cut off behind the first byte
    /// that makes it longer.
    fn found(&self, path: &str, bytes: usize) -> Result<Option<Vec<u8>>, ExportError> {
        let path = self.place(path);
        match open(&path).and_then(|file| read_some(file, bytes + 1)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ExportError::File { attempt: "read", path, source }),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let path = self.place(path);
        write(&path, bytes).map_err(|source| ExportError::File { attempt: "write", path, source })
    }
}

fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let bytes = read_some(open(path)?, most + 1)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

/// Opens a file, and nothing that would wait for another process.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    File::open(path)
}

fn read_some(file: File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// To a temporary file beside it, and renamed.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // With the process id, two processes never share a temporary file.
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written =
        File::create(&beside).and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The error of the write is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written
}
