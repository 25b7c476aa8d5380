//! Windows: ProgramData. The agent's folders there are for the system and the administrators, and files inherit that from them.

#[path = "windows/certificates.rs"]
mod certificates;
#[path = "windows/machine_proxy.rs"]
mod machine_proxy;
#[path = "windows/secret.rs"]
mod secret;
#[path = "windows/security.rs"]
pub(in crate::os) mod security;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use windows_registry::LOCAL_MACHINE;

/// Windows has no such file, but [`trusted_cas`].
pub(super) const CA_BUNDLES: &[&str] = &[];

/// Where Windows itself has the path of the folder. An environment can be another one for a service, or changed.
const PROFILES: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList";

fn program_data() -> PathBuf {
    let drive = || std::env::var("SystemDrive").unwrap_or_else(|_| "C:".to_owned());
    let registered = LOCAL_MACHINE.open(PROFILES).and_then(|key| key.get_string("ProgramData"));
    // The value names no other variable.
    let registered = registered.ok().map(|path| path.replace("%SystemDrive%", &drive()));
    registered.filter(|path| !path.contains('%') && Path::new(path).is_absolute()).map_or_else(
        || std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from),
        PathBuf::from,
    )
}

pub(super) fn default_config_file() -> PathBuf {
    program_data().join(r"Muster\agent.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
    program_data().join(r"Muster\agent")
}

pub(super) use certificates::trusted_cas;
pub(super) use machine_proxy::machine_proxy;
pub(super) use secret::{protect, unprotect};

/// Windows makes this number when it is installed, and `sysprep` makes a new one.
pub(super) fn machine_id() -> Option<String> {
    /// The same for a program of 32 bits.
    const FULL_VIEW: u32 = 0x0100;
    let key = LOCAL_MACHINE.options().read().access(FULL_VIEW).open(r"SOFTWARE\Microsoft\Cryptography").ok()?;
    key.get_string("MachineGuid").ok().filter(|id| !id.trim().is_empty())
}

pub(super) fn make_private_dir(dir: &Path) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    match security::create_private_folder(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_private_dir(dir.parent().ok_or(error)?)?;
            security::create_private_folder(dir)
        }
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        done => done,
    }
}

pub(super) fn write_private(path: &Path, content: super::WriteContent<'_>) -> io::Result<()> {
    let mut name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = path.with_file_name(name);
    let written = write_new(&new, content).and_then(|()| waiting_for_scanners(|| std::fs::rename(&new, path)));
    if written.is_err() {
        // It may hold a secret. Best effort: the error of the failed write is what matters.
        let _ = remove_file(&new);
    }
    written
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    waiting_for_scanners(|| std::fs::remove_file(path))
}

/// A virus scanner opens every new file for a moment, and then it can be neither replaced nor removed.
fn waiting_for_scanners<T>(operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let passes = |error: &io::Error| {
        matches!(error.raw_os_error(), Some(ACCESS_DENIED | SHARING_VIOLATION | LOCK_VIOLATION | USER_MAPPED_FILE))
    };
    super::retry::patiently(operation, passes, std::thread::sleep)
}

fn write_new(path: &Path, content: super::WriteContent<'_>) -> io::Result<()> {
    // A file left by a killed process with the same id keeps its access list when it is opened.
    match remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = security::create_private_file(path)?;
    content(&mut file)?;
    file.sync_all()
}

pub(super) fn sync_dir(_dir: &Path) -> io::Result<()> {
    // NTFS journals its metadata, and a directory handle cannot be flushed.
    Ok(())
}

/// Errors of Windows: another process has the file open and does not share it, or a part of it; it is to be deleted, or others
/// have it open; a part of it is in memory.
const SHARING_VIOLATION: i32 = 32;
const LOCK_VIOLATION: i32 = 33;
const ACCESS_DENIED: i32 = 5;
const USER_MAPPED_FILE: i32 = 1224;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn this_machine_has_an_id_that_stays() {
        let id = machine_id().expect("an id");
        assert!(id.len() >= 32, "{id}");
        assert_eq!(machine_id(), Some(id));
    }

    #[test]
    fn a_file_that_a_scanner_holds_for_a_moment_is_replaced_and_removed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("state");
        std::fs::write(&path, "old").expect("written");
        let held_for_a_moment = || {
            let held = OpenOptions::new().read(true).share_mode(0).open(&path).expect("opened");
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(200));
                drop(held);
            })
        };
        let scanner = held_for_a_moment();
        write_private(&path, &|file| file.write_all(b"new")).expect("replaced");
        scanner.join().expect("ended");
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
        let scanner = held_for_a_moment();
        remove_file(&path).expect("removed");
        scanner.join().expect("ended");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0, "nothing is left");
    }
}
