//! macOS: the system's library directories, and Unix file modes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) use super::machine::{machine_proxy, protect, trusted_cas, unprotect};

pub(super) const CA_BUNDLES: &[&str] = &["/etc/ssl/cert.pem"];

pub(super) fn default_config_file() -> PathBuf {
    folder().join("agent.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
    folder().join("agent")
}

/// The system's folder, or that of a person who runs the agent by hand.
fn folder() -> PathBuf {
    let of_system = PathBuf::from("/Library/Application Support/Muster");
    match std::env::home_dir() {
        Some(home) if !rustix::process::geteuid().is_root() => home.join("Library/Application Support/Muster"),
        Some(_) | None => of_system,
    }
}

pub(super) const fn machine_id() -> Option<String> {
    None
}

pub(super) fn make_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

pub(super) fn write_private(path: &Path, content: super::WriteContent<'_>) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    content(&mut file)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_dir(dir)
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub(super) fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    // The only way to find out is to try. The lock is shared, so that two probes do not see each other.
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
