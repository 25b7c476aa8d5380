//! Modes and owners of files.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{AccessError, Others};

const WRITE: u32 = 0o022;

pub(super) fn check_mode(path: &Path, others: Others) -> Result<(), AccessError> {
    let Some(metadata) = examined(path)? else { return Ok(()) };
    let mode = metadata.mode() & 0o7777;
    let forbidden = match others {
        Others::Nothing => 0o077,
        Others::GroupReads => 0o037,
        Others::Read => WRITE,
    };
    if mode & forbidden == 0 {
        return Ok(());
    }
    let what = if mode & forbidden & WRITE == 0 { "read" } else { "change" };
    let change = match others {
        Others::Read => "go-w",
        Others::Nothing | Others::GroupReads if metadata.is_dir() => "700",
        Others::Nothing | Others::GroupReads => "600",
    };
    let command = format!("chmod {change} {}", quoted(path));
    Err(AccessError::Mode { path: path.to_owned(), what, mode, command })
}

pub(super) fn check_owner(path: &Path, state_dir: &Path) -> Result<(), AccessError> {
    let Some(metadata) = examined(path)? else { return Ok(()) };
    let own = rustix::process::geteuid();
    let owner = metadata.uid();
    let mut trusted = vec![0, own.as_raw()];
    if own.is_root() {
        trusted.extend(examined(state_dir)?.map(|state| state.uid()));
    }
    if trusted.contains(&owner) {
        return Ok(());
    }
    let command = format!("chown {} {}", own.as_raw(), quoted(path));
    Err(AccessError::Owner { path: path.to_owned(), owner, command })
}

/// A token may belong to the person who was given it.
pub(super) fn check_token(path: &Path) -> Result<(), AccessError> {
    check_mode(path, Others::GroupReads)
}

#[expect(clippy::unnecessary_wraps, reason = "on Windows they are examined")]
pub(super) const fn check_settings(_file: &Path) -> Result<(), AccessError> {
    Ok(())
}

/// The folders of services are made by root, and those of users are their own business.
pub(super) const fn unsafe_parent(_state_dir: &Path) -> Option<&Path> {
    None
}

fn examined(path: &Path) -> Result<Option<Metadata>, AccessError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(AccessError::Unknown { path: path.to_owned(), source }),
    }
}

/// The path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
