//! `muster-collector backup`, `backup verify` and `restore`: a folder with everything that a collector needs to go on.
//!
//! ```text
//!  backup: collector's files, settings, rules, store ─► folder ─► digests ─► manifest.json, last
//!  restore: manifest.json ─► digests ─► empty? ─► marker ─► collector's files, store ─► marker removed
//! ```
//!
//! A folder without a manifest is no backup. A data directory with the marker is no collector. So neither a backup nor a
//! restore that was interrupted passes for a complete one.

mod create;
mod files;
mod manifest;
mod restore;
mod verify;

use std::path::Path;

pub(super) use create::{Given, create};
pub(super) use restore::restore;
pub(super) use verify::verify;

/// The collector's own files: those of the data directory that nothing can make again, and the admin token.
const COLLECTOR: &str = "collector";
/// Settings files, and what was set by variables and options.
const SETTINGS: &str = "settings";
/// The directory of `rules.overlay`.
const RULES: &str = "rules";
/// The copy of the store.
const STORE: &str = "store";

/// Files of the data directory that a backup holds, with whether a backup without them is useless.
const DATA_FILES: [(&str, bool); 7] = [
    ("ca.pem", true),
    ("ca.key", true),
    ("ca.issued", false),
    ("server.pem", false),
    (super::seal::SEAL_KEY, true),
    (super::seal::SEAL_PUB, true),
    (super::prepare::ADMIN_TOKEN, false),
];

/// A backup or restore that was refused before anything was changed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Refused {
    what: String,
    advice: String,
}

impl Refused {
    fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }

    fn not_a_backup(folder: &Path) -> Self {
        let what = format!(
            "{} has no {}: it is not a backup, or the backup was interrupted",
            folder.display(),
            manifest::FILE
        );
        Self::new(what, "name the directory that was given to `backup --to`")
    }

    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        self.advice.clone()
    }
}
