//! Files that must never be half there and never be read by others: keys, certificates, tokens.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Owner only.
pub const OWNER_ONLY: u32 = 0o600;
/// Readable by all.
pub const PUBLIC: u32 = 0o644;

/// Writes a file whole or not at all: beside it, synced, renamed over it, the directory synced.
///
/// # Errors
/// Any step failed; the old file, if any, is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write_synced(&beside, bytes, mode).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    match path.parent() {
        Some(parent) => File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all(),
        None => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The mask of the process may have narrowed the mode, and a file left by a crash keeps its own.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a directory that only its owner may enter; one that is there is narrowed.
///
/// # Errors
/// It cannot be made, or is another's.
pub fn private_directory(path: &Path) -> io::Result<bool> {
    let made = !path.is_dir();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(made)
}

/// The permission bits by which others than the owner may read or write the file; 0 is as it must be.
///
/// # Errors
/// There is no such file.
pub fn open_to_others(path: &Path) -> io::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_owner_only_from_its_first_byte_and_replaced_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        write_atomically(&path, b"one", PUBLIC).expect("written");
        write_atomically(&path, b"two", OWNER_ONLY).expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"two");
        assert_eq!(open_to_others(&path).expect("is there"), 0);
        assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("occupied");
        std::fs::create_dir(&path).expect("made");
        assert!(write_atomically(&path, b"new", PUBLIC).is_err());
        assert!(path.is_dir());
        assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 1);
    }
}
