//! What differs between operating systems, apart from the sources: directories, owner-only files, secrets, signals, file change
//! notifications, service management, the system's log.
//!
//! This is a platform-neutral interface over one file per system. Only this module and `sources` may use `cfg(target_os)`.

pub mod access;
#[cfg(unix)]
#[path = "os/fallback/machine.rs"]
mod machine;
pub mod memory;
pub mod notify;
#[cfg(all(test, unix))]
#[path = "os/unix/test_kit.rs"]
mod platform_kit;
#[cfg(all(test, windows))]
#[path = "os/windows/test_kit.rs"]
mod platform_kit;
#[cfg(unix)]
#[path = "os/unix/private_files.rs"]
mod private_files;
mod retry;
pub mod service;
#[cfg(unix)]
#[path = "os/unix/settings_file.rs"]
mod settings_file;
#[cfg(windows)]
#[path = "os/windows/settings_file.rs"]
mod settings_file;
pub mod signals;
pub mod supervisor;
pub mod system_log;
#[cfg(test)]
pub(crate) mod test_kit;
pub mod uuid;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
#[path = "os/linux.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "os/macos.rs"]
mod platform;
#[cfg(target_os = "windows")]
#[path = "os/windows.rs"]
mod platform;

/// The default configuration file.
#[must_use]
pub fn default_config_file() -> PathBuf {
    platform::default_config_file()
}

/// The default state directory: the system's place for a service, or the user's own place for an ordinary user.
#[must_use]
pub fn default_state_dir() -> PathBuf {
    platform::default_state_dir()
}

/// Where the CA certificates that this system trusts may be, in PEM; the first existing file counts.
#[must_use]
pub fn ca_bundles() -> Vec<PathBuf> {
    platform::CA_BUNDLES.iter().map(PathBuf::from).collect()
}

/// The CA certificates that this system trusts, in DER, where it has them in no file.
#[must_use]
pub fn trusted_cas() -> Vec<Vec<u8>> {
    platform::trusted_cas()
}

/// The proxies that are set for the whole machine outside of the environment, and the hosts without one, as WinHTTP writes them;
/// `None` if none is set, or the system has no such setting.
#[must_use]
pub fn machine_proxy() -> Option<(String, String)> {
    platform::machine_proxy()
}

/// The machine id for the enrollment fingerprint: stable across restarts, and never sent itself.
#[must_use]
pub fn machine_id() -> Option<String> {
    platform::machine_id()
}

/// The fingerprint of the machine with this machine id, as its file has it. `None` if the text is no machine id.
#[must_use]
pub fn machine_fingerprint(machine_id: &str) -> Option<[u8; 32]> {
    // A running machine's id may be of another form on another system; only files of an image are checked here.
    let id = machine_id.trim();
    if id.is_empty() || id == "uninitialized" {
        return None;
    }
    // machine-id(5) forbids to send the id itself. The context makes this hash useless for any other application.
    Some(blake3::derive_key("muster 1 host fingerprint", id.as_bytes()))
}

/// Creates a directory that only its owner may enter, with its parents. An existing directory is left as it is: it may
/// belong to somebody else, and the files that matter are private themselves. On Windows a new directory is the administrators'
/// and the system's from its first moment on, and what is made in it inherits that.
///
/// # Errors
/// The directory cannot be created.
pub fn make_private_dir(dir: &Path) -> io::Result<()> {
    platform::make_private_dir(dir)
}

/// Replaces a file atomically, readable by its owner only: a reader sees the old or the new content, and after the return
/// the new content survives a power loss.
///
/// # Errors
/// The file or its directory cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_private_with(path, &|file| file.write_all(bytes))
}

/// Writes the content of a file; may be called more than once.
pub type WriteContent<'a> = &'a dyn Fn(&mut dyn Write) -> io::Result<()>;

/// As [`write_private`], with content that is written piece by piece.
///
/// # Errors
/// As [`write_private`].
pub fn write_private_with(path: &Path, content: WriteContent<'_>) -> io::Result<()> {
    platform::write_private(path, content)
}

/// Removes a file.
///
/// # Errors
/// As the system says. On Windows somebody may have the file open; a virus scanner is waited for a moment.
pub fn remove_file(path: &Path) -> io::Result<()> {
    platform::remove_file(path)
}

/// Protects a secret so that only this machine can read it; `None` on systems that have no such protection.
#[must_use]
pub fn protect(secret: &[u8]) -> Option<io::Result<Vec<u8>>> {
    platform::protect(secret)
}

/// Reads what [`protect`] has protected.
///
/// # Errors
/// It was protected on another machine, is damaged, or this system has no such protection.
pub fn unprotect(protected: &[u8]) -> io::Result<Vec<u8>> {
    platform::unprotect(protected)
}

/// Creates the directory of the settings file. Everybody may read it where the system has accounts for that; nobody but an
/// administrator may change it.
///
/// # Errors
/// The directory cannot be created.
pub fn make_settings_dir(dir: &Path) -> io::Result<()> {
    settings_file::make_dir(dir)
}

/// Replaces the settings file atomically. It keeps its owner and its mode.
///
/// # Errors
/// The file or its directory cannot be written.
pub fn write_settings(path: &Path, bytes: &[u8]) -> io::Result<()> {
    settings_file::write(path, bytes)
}

/// Makes removals and renames in this directory survive a power loss.
///
/// # Errors
/// The directory cannot be synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    platform::sync_dir(dir)
}

/// Takes the exclusive lock of a state directory. It is released when the process ends, however it ends.
///
/// # Errors
/// Another process holds it, or the lock file cannot be created.
pub fn lock(path: &Path) -> io::Result<std::fs::File> {
    // `is_locked` holds the lock for a moment.
    retry::patiently(|| platform::lock(path), |error| error.kind() == io::ErrorKind::WouldBlock, std::thread::sleep)
}

/// Whether a process holds the lock of a state directory. Creates no file.
///
/// # Errors
/// The lock file cannot be opened.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    match platform::is_locked(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        asked => asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_learns_that_one_is_running() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("lock");
        assert!(!is_locked(&path).expect("asked"), "there is no file yet");
        let held = lock(&path).expect("locked");
        assert!(is_locked(&path).expect("asked"));
        assert_eq!(lock(&path).expect_err("held").kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(!is_locked(&path).expect("asked"));
        lock(&path).expect("locked again");
    }
}
