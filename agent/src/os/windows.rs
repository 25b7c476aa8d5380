//! Windows: ProgramData. Files there have the access list of the folder, which lets every user read them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Windows has no such file; use `proxy.ca_file`.
pub(super) const CA_BUNDLES: &[&str] = &[];

fn program_data() -> PathBuf {
    std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from)
}

pub(super) fn default_config_file() -> PathBuf {
    program_data().join(r"Muster\agent.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
    program_data().join(r"Muster\agent")
}

pub(super) const fn machine_id() -> Option<String> {
    None
}

pub(super) fn make_private_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)
}

pub(super) fn write_private(path: &Path, content: super::WriteContent<'_>) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let written = write_new(&new, content).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // It may hold a secret. Best effort: the error of the failed write is what matters.
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, content: super::WriteContent<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    content(&mut file)?;
    file.sync_all()
}

pub(super) fn sync_dir(_dir: &Path) -> io::Result<()> {
    // NTFS journals its metadata, and a directory handle cannot be flushed.
    Ok(())
}

/// `ERROR_SHARING_VIOLATION`: another process has the file open and does not share it.
const SHARING_VIOLATION: i32 = 32;

pub(super) fn lock(path: &Path) -> io::Result<File> {
    // An open file that is not shared acts as the lock. The system's error has no kind of its own.
    let opened = OpenOptions::new().write(true).create(true).truncate(false).share_mode(0).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(SHARING_VIOLATION) => io::Error::new(io::ErrorKind::WouldBlock, error),
        Some(_) | None => error,
    })
}

pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(true),
        Err(error) => Err(error),
    }
}
