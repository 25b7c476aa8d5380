//! The small files of the state directory: the watchlist that a collector sent, the scan that it acknowledged last, and
//! what the service watches.

use std::io;
use std::path::{Path, PathBuf};

use muster_proto::model::{Digest, Watchlist};

use crate::config::{Settings, WatchlistPolicy};
use crate::identity::{Identity, IdentityError, IdentityStore};
use crate::os;
use crate::sources::watchlist::{self, WatchlistFile};
use crate::spool::Bounds;
use crate::watch::Summary;

/// A file of the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}")]
pub struct StateFileError {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: io::Error,
}

/// The identity of this host, if it is enrolled.
///
/// # Errors
/// It is damaged or may not be read.
pub fn identity_of(settings: &Settings) -> Result<Option<Identity>, IdentityError> {
    IdentityStore::below(&settings.state_dir).load()
}

/// Where what waits for the collector is kept.
#[must_use]
pub fn spool_dir(settings: &Settings) -> PathBuf {
    settings.state_dir.join("spool")
}

/// How much may wait there.
#[must_use]
pub const fn spool_bounds(settings: &Settings) -> Bounds {
    Bounds { bytes: settings.spool_bytes, age: settings.spool_age }
}

/// The digest of the scan that the collector acknowledged last; `None` when none is known.
#[must_use]
pub fn last_acknowledged(state_dir: &Path) -> Option<Digest> {
    std::fs::read_to_string(acknowledged_file(state_dir)).ok()?.trim().parse().ok()
}

pub(super) fn keep_acknowledged(state_dir: &Path, digest: Digest) -> Result<(), StateFileError> {
    let path = acknowledged_file(state_dir);
    os::write_private(&path, format!("{digest}\n").as_bytes()).map_err(|source| StateFileError { path, source })
}

/// Whether an agent works in this state directory now: a service, or a single look.
///
/// # Errors
/// The directory may not be looked into.
pub fn at_work(state_dir: &Path) -> Result<bool, StateFileError> {
    let path = lock_file(state_dir);
    os::is_locked(&path).map_err(|source| StateFileError { path, source })
}

/// What the service says of its watch over the machine's places, when one is at work and has said anything. What one that
/// was killed has left behind says nothing of now: whoever works here next removes it.
///
/// # Errors
/// The directory may not be looked into.
pub fn watching(state_dir: &Path) -> Result<Option<Summary>, StateFileError> {
    if !at_work(state_dir)? {
        return Ok(None);
    }
    let bytes = std::fs::read(watching_file(state_dir)).ok();
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

pub(super) fn keep_watching(state_dir: &Path, summary: &Summary) -> Result<(), StateFileError> {
    let path = watching_file(state_dir);
    let bytes = serde_json::to_vec(summary).map_err(io::Error::from);
    bytes.and_then(|bytes| os::write_private(&path, &bytes)).map_err(|source| StateFileError { path, source })
}

/// Nobody watches: the one who calls holds the state directory and has not begun to.
pub(super) fn forget_watching(state_dir: &Path) {
    let path = watching_file(state_dir);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "what an earlier service watched cannot be removed");
    }
}

pub(super) fn lock_file(state_dir: &Path) -> PathBuf {
    state_dir.join("lock")
}

fn watching_file(state_dir: &Path) -> PathBuf {
    state_dir.join("watching.json")
}

fn acknowledged_file(state_dir: &Path) -> PathBuf {
    state_dir.join("acknowledged")
}

/// The watchlist that is used: the collector's where it may set one, else the built-in one. One that cannot be read is
/// as good as none: the collector sends it again.
#[must_use]
pub fn watchlist_in_force(settings: &Settings) -> Watchlist {
    let builtin = watchlist::builtin();
    if settings.watchlist == WatchlistPolicy::Builtin {
        return builtin;
    }
    let Ok(bytes) = std::fs::read(watchlist_file(&settings.state_dir)) else { return builtin };
    match serde_json::from_slice::<WatchlistFile>(&bytes) {
        // Bounds may have become narrower since it was kept.
        Ok(file) if file.version >= builtin.version => watchlist::accept(file.into()).0,
        Ok(_) => builtin,
        Err(error) => {
            tracing::warn!(error = %error, "the watchlist that was kept cannot be read; the built-in one is used");
            builtin
        }
    }
}

/// Takes a watchlist that a collector sent: within the agent's own bounds, and with every change in the log.
pub(super) fn keep_watchlist(
    settings: &Settings,
    old: &Watchlist,
    sent: Watchlist,
) -> Result<Watchlist, StateFileError> {
    let (new, dropped) = watchlist::accept(sent);
    for entry in dropped {
        tracing::warn!(
            watchlist.version = new.version,
            entry = entry.entry,
            why = entry.why,
            "an entry of the collector's watchlist is not taken"
        );
    }
    for change in watchlist::changes(old, &new) {
        tracing::info!(watchlist.version = new.version, change, "the watchlist changes");
    }
    let path = watchlist_file(&settings.state_dir);
    let bytes = serde_json::to_vec(&WatchlistFile::from(&new)).map_err(io::Error::from);
    bytes.and_then(|bytes| os::write_private(&path, &bytes)).map_err(|source| StateFileError { path, source })?;
    Ok(new)
}

fn watchlist_file(state_dir: &Path) -> PathBuf {
    state_dir.join("watchlist.json")
}

/// The next scan is kept until it is acknowledged, whatever was acknowledged before.
pub(super) fn forget_acknowledged(state_dir: &Path) {
    let path = acknowledged_file(state_dir);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "the mark of the last acknowledged look cannot be removed");
    }
}
