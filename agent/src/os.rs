//! What differs between operating systems and is not a source: directories, owner-only files, signals, notices
//! of change, whoever supervises the service.
//!
//! A neutral face over one file for each system. This and `sources` are the only modules that may say `cfg(target_os)`.

pub mod memory;
pub mod notify;
pub mod service;
pub mod signals;
pub mod supervisor;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(target_os = "linux")]
#[path = "os/linux.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "os/macos.rs"]
mod platform;
#[cfg(target_os = "windows")]
#[path = "os/windows.rs"]
mod platform;

/// Where the agent's settings are by default.
#[must_use]
pub fn default_config_file() -> PathBuf {
    platform::default_config_file()
}

/// Where the agent keeps key, identity and spool by default: the system's place for the service, the user's own place
/// for everybody else.
#[must_use]
pub fn default_state_dir() -> PathBuf {
    platform::default_state_dir()
}

/// Where the certificates of the CAs may be that this system trusts, as PEM; the first that is there counts.
#[must_use]
pub fn ca_bundles() -> Vec<PathBuf> {
    platform::CA_BUNDLES.iter().map(PathBuf::from).collect()
}

/// A fresh description of the machine for the enrollment fingerprint: stable over restarts, never sent as it is.
#[must_use]
pub fn machine_id() -> Option<String> {
    platform::machine_id()
}

/// Makes a directory that only its owner may enter, with its parents. One that is there stays as it is: it may be
/// somebody else's, and the files that matter are private themselves.
///
/// # Errors
/// The directory cannot be made.
pub fn make_private_dir(dir: &Path) -> io::Result<()> {
    platform::make_private_dir(dir)
}

/// Replaces a file in one step, readable by its owner only: a reader sees the old bytes or the new ones, and after
/// the return the new ones survive a loss of power.
///
/// # Errors
/// The file or its directory cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    platform::write_private(path, bytes)
}

/// Makes the removal and renaming of files in this directory survive a loss of power.
///
/// # Errors
/// The directory cannot be synchronised.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    platform::sync_dir(dir)
}

/// Takes the exclusive right to a state directory; it ends with the process, however that ends.
///
/// # Errors
/// Another process holds it, or the lock file cannot be made.
pub fn lock(path: &Path) -> io::Result<std::fs::File> {
    /// Whoever asks [`is_locked`] is in the way for less than this.
    const ASKED: Duration = Duration::from_millis(50);
    match platform::lock(path) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            std::thread::sleep(ASKED);
            platform::lock(path)
        }
        tried => tried,
    }
}

/// Whether a process holds the right to a state directory. Makes no file.
///
/// # Errors
/// The lock file may not be opened.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    match platform::is_locked(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        asked => asked,
    }
}
