//! Writes keys, certificates and tokens: atomically and with the right permissions from the first byte.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Owner only.
pub const OWNER_ONLY: u32 = 0o600;
/// Readable by all.
pub const PUBLIC: u32 = 0o644;

/// Writes a file atomically: to a temporary file beside it, synced and renamed; then syncs the directory.
///
/// # Errors
/// A step failed. An old file is unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // With the process id, two processes never share a temporary file.
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write_synced(&beside, bytes, mode).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // The error of the write is the one to report.
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    match path.parent() {
        // Without this sync a crash may undo the rename. The parent of a bare file name is the empty path.
        Some(parent) => File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all(),
        None => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The umask may have changed the mode, and a file left by a crash keeps its old mode.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Creates a directory that only its owner may enter, or restricts an existing one. Returns whether it was created.
///
/// # Errors
/// It cannot be created, or belongs to another user.
pub fn private_directory(path: &Path) -> io::Result<bool> {
    let made = !path.is_dir();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // `create` sets the mode of new directories only and accepts an existing one as it is.
    if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(made)
}

/// The permission bits of group and others; 0 means that only the owner has access.
///
/// # Errors
/// The file does not exist or cannot be examined.
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
