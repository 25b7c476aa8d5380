//! The small files in the state directory: the collector's watchlist (`watchlist.json`), the digest of the last
//! acknowledged snapshot (`acknowledged`), the lock (`lock`), what the service watches (`watching.json`), and the token
//! that an installer left for the enrollment (`enroll.token`).

use std::io;
use std::path::{Path, PathBuf};

use muster_proto::model::{Digest, Platform, Watchlist};

use crate::config::{Settings, WatchlistPolicy};
use crate::deadline;
use crate::identity::{self, Identity, IdentityError, IdentityStore};
use crate::memory::file;
use crate::os;
use crate::os::access::{self, AccessError, Others};
use crate::sources::root::Root;
use crate::sources::watchlist::{self, WatchlistFile};
use crate::spool::Bounds;
use crate::watch::Summary;

/// A file of the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot access {path}")]
pub struct StateFileError {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: io::Error,
}

/// Checks that nobody else can read the secrets of a state directory or change anything in it. What does not exist yet is
/// created for its owner only.
///
/// # Errors
/// Something is too open; the advice has the command that closes it.
pub(super) fn check_access(state_dir: &Path) -> Result<(), AccessError> {
    let check =
        |path: &Path, others| access::check_mode(path, others).and_then(|()| access::check_owner(path, state_dir));
    check(&identity::user_key_file(state_dir), Others::Nothing)?;
    check(&own_token_file(state_dir), Others::Nothing)?;
    if let Some(parent) = access::unsafe_parent(state_dir) {
        check(parent, Others::Read)?;
    }
    let (identity, spool) = (state_dir.join("identity"), state_dir.join("spool"));
    for (folder, others) in [(state_dir, Others::Read), (&identity, Others::Nothing), (&spool, Others::Nothing)] {
        // What is in a folder that others may write can be replaced, whatever its own mode.
        check(folder, Others::Read)?;
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())) {
            check(&entry.path(), others)?;
        }
    }
    Ok(())
}

/// This host's identity; `None` before enrollment.
///
/// # Errors
/// The file is damaged or cannot be read.
pub fn load_identity(settings: &Settings) -> Result<Option<Identity>, IdentityError> {
    IdentityStore::below(&settings.state_dir).load()
}

/// The directory of the spool.
#[must_use]
pub fn spool_dir(settings: &Settings) -> PathBuf {
    settings.state_dir.join("spool")
}

/// The limits of the spool.
#[must_use]
pub const fn spool_bounds(settings: &Settings) -> Bounds {
    Bounds { bytes: settings.spool_bytes, age: settings.spool_age }
}

/// The digest of the snapshot that the collector acknowledged last; `None` if unknown.
#[must_use]
pub fn last_acknowledged(state_dir: &Path) -> Option<Digest> {
    file::read_text(&acknowledged_file(state_dir), file::DIGEST).ok()?.trim().parse().ok()
}

pub(super) fn save_acknowledged(state_dir: &Path, digest: Digest) -> Result<(), StateFileError> {
    let path = acknowledged_file(state_dir);
    os::write_private(&path, format!("{digest}\n").as_bytes()).map_err(|source| StateFileError { path, source })
}

/// Whether an agent process holds the lock of this state directory: the service, or a single `once`.
///
/// # Errors
/// The lock file cannot be opened.
pub fn is_running(state_dir: &Path) -> Result<bool, StateFileError> {
    let path = lock_file(state_dir);
    os::is_locked(&path).map_err(|source| StateFileError { path, source })
}

/// What the running service watches; `None` if no service is running or it has not started watching. A file left by a
/// killed service is ignored, and the next agent removes it.
///
/// # Errors
/// The lock file cannot be opened.
pub fn watch_summary(state_dir: &Path) -> Result<Option<Summary>, StateFileError> {
    if !is_running(state_dir)? {
        return Ok(None);
    }
    // The summary is for display only, so a file that cannot be read or parsed counts as none.
    let bytes = file::read(&watch_summary_file(state_dir), file::STATE).ok();
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

pub(super) fn save_watch_summary(state_dir: &Path, summary: &Summary) -> Result<(), StateFileError> {
    let path = watch_summary_file(state_dir);
    let bytes = serde_json::to_vec(summary).map_err(io::Error::from);
    bytes.and_then(|bytes| os::write_private(&path, &bytes)).map_err(|source| StateFileError { path, source })
}

/// Removes the summary of an earlier service. The caller holds the lock, so no service is running.
pub(super) fn remove_watch_summary(state_dir: &Path) {
    let path = watch_summary_file(state_dir);
    if let Err(error) = os::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "cannot remove the watch summary of an earlier service");
    }
}

pub(super) fn lock_file(state_dir: &Path) -> PathBuf {
    state_dir.join("lock")
}

/// The token that `service configure` leaves for the service.
pub(super) fn own_token_file(state_dir: &Path) -> PathBuf {
    state_dir.join("enroll.token")
}

/// Deletes that token. It has done its work, and it could enroll other machines.
pub(super) fn remove_own_token(state_dir: &Path) {
    let path = own_token_file(state_dir);
    match os::remove_file(&path) {
        Ok(()) => tracing::info!(path = %path.display(), "the enrollment token was deleted"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), error = %error, "cannot delete the enrollment token; delete it yourself");
        }
    }
}

/// Whether the directory has anything that only an agent leaves.
pub(super) fn has_any(state_dir: &Path) -> bool {
    let identity = state_dir.join("identity").join("identity.json");
    [lock_file(state_dir), own_token_file(state_dir), identity].iter().any(|path| path.is_file())
}

fn watch_summary_file(state_dir: &Path) -> PathBuf {
    state_dir.join("watching.json")
}

fn acknowledged_file(state_dir: &Path) -> PathBuf {
    state_dir.join("acknowledged")
}

/// The watchlist to use for a machine of this platform: the saved one of the collector if the settings allow it and it is
/// for that platform, else the built-in one. An unreadable file is ignored, because the collector sends the list again.
#[must_use]
pub fn current_watchlist(settings: &Settings, platform: Platform) -> Watchlist {
    let builtin = watchlist::builtin(platform);
    match saved_watchlist(settings) {
        // This version of the agent may have stricter limits than the one that saved the list.
        Some(file) if file.platform == Some(platform) && file.version >= builtin.version => {
            watchlist::accept(platform, file.into()).0
        }
        Some(_) | None => builtin,
    }
}

/// The watchlist of the last scan that the collector answered, of whatever platform that machine is.
#[must_use]
pub fn last_watchlist(settings: &Settings) -> Watchlist {
    let saved = saved_watchlist(settings).and_then(|file| file.platform);
    current_watchlist(settings, saved.unwrap_or(Root::running_platform()))
}

fn saved_watchlist(settings: &Settings) -> Option<WatchlistFile> {
    if settings.watchlist == WatchlistPolicy::Builtin {
        return None;
    }
    let path = watchlist_file(&settings.state_dir);
    deadline::reading(&path.to_string_lossy());
    let read = file::read(&path, file::STATE);
    if let Err(error) = &read
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "cannot read the saved watchlist; using the built-in one");
    }
    let bytes = read.ok()?;
    serde_json::from_slice(&bytes)
        .inspect_err(|error| {
            tracing::warn!(error = %error, "cannot parse the saved watchlist; using the built-in one");
        })
        .ok()
}

/// Saves a watchlist from the collector. The agent's own limits apply, and every change is logged.
pub(super) fn save_watchlist(
    settings: &Settings,
    platform: Platform,
    old: &Watchlist,
    sent: Watchlist,
) -> Result<Watchlist, StateFileError> {
    let (new, dropped) = watchlist::accept(platform, sent);
    for entry in dropped {
        tracing::warn!(
            watchlist.version = new.version,
            entry = entry.entry,
            reason = entry.reason,
            "rejected an entry of the collector's watchlist"
        );
    }
    for change in watchlist::changes(old, &new) {
        tracing::info!(watchlist.version = new.version, change, "the watchlist has changed");
    }
    let path = watchlist_file(&settings.state_dir);
    let bytes = serde_json::to_vec(&WatchlistFile::of(platform, &new)).map_err(io::Error::from);
    bytes.and_then(|bytes| os::write_private(&path, &bytes)).map_err(|source| StateFileError { path, source })?;
    Ok(new)
}

fn watchlist_file(state_dir: &Path) -> PathBuf {
    state_dir.join("watchlist.json")
}

/// Forgets the acknowledged digest, so that the next snapshot is spooled and sent.
pub(super) fn remove_acknowledged(state_dir: &Path) {
    let path = acknowledged_file(state_dir);
    if let Err(error) = os::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "cannot remove the digest of the last acknowledged snapshot");
    }
}
