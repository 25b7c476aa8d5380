//! The marker of a restore that was interrupted.
//!
//! It is in the data directory from the first change of a restore to its last. A collector does not start beside it: the
//! directory may have a CA and no store, or half of the files.

use std::path::PathBuf;

use crate::config::Settings;

/// The file.
const MARKER: &str = "restore.unfinished";

/// A restore into the data directory was interrupted.
#[derive(Debug, thiserror::Error)]
#[error("a restore into {} was interrupted: {} exists", .data_dir.display(), .data_dir.join(MARKER).display())]
pub(super) struct UnfinishedRestore {
    data_dir: PathBuf,
    is_on_server: bool,
}

impl UnfinishedRestore {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        let database = if self.is_on_server { " and the tables of the database" } else { "" };
        format!("delete the files in {}{database}, then run the restore again", self.data_dir.display())
    }
}

/// The path of the marker.
pub(super) fn marker(settings: &Settings) -> PathBuf {
    settings.file(MARKER)
}

/// Refuses a data directory in which a restore was interrupted.
pub(super) fn refuse_unfinished(settings: &Settings) -> Result<(), UnfinishedRestore> {
    if marker(settings).symlink_metadata().is_err() {
        return Ok(());
    }
    Err(UnfinishedRestore { data_dir: settings.data_dir.clone(), is_on_server: settings.store.file().is_none() })
}
