//! What a copy of a store is: its kind, its result, and how its files are made. Both backends use these.

use std::path::{Path, PathBuf};

use muster_proto::model::Timestamp;

use super::{StoreCheck, StoreError, is_postgres};

/// The kind of store that a copy was made of. A copy can be put back only into a store of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// One file of the embedded backend.
    Sqlite,
    /// A database of a PostgreSQL server.
    Postgresql,
}

impl StoreKind {
    /// The kind of the store at a URL.
    #[must_use]
    pub fn of(url: &str) -> Self {
        if is_postgres(url) { Self::Postgresql } else { Self::Sqlite }
    }

    /// Its name for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgresql => "PostgreSQL",
        }
    }
}

/// A restore of the store from a backup. Hosts that were enrolled or renewed in between are not in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restoration {
    /// When the backup was begun. Everything that was acknowledged before is in it.
    pub backup_at: Timestamp,
    /// When it was restored.
    pub restored_at: Timestamp,
}

/// The result of checking a copy.
#[derive(Debug, Clone)]
pub enum CopyCheck {
    /// All records were verified, as `muster-collector check` does.
    Records(StoreCheck),
    /// Only the form of the files was verified, for this reason.
    Form(&'static str),
}

/// The error of a file operation on a copy.
pub(in crate::store) fn file_error(operation: &'static str, path: &Path, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        StoreError::Full { operation, place: path.display().to_string() }
    } else {
        StoreError::Operation { operation, reason: format!("{}: {error}", path.display()) }
    }
}

/// Creates a file of a copy, readable by its owner only. It must not exist.
pub(in crate::store) fn create_file(operation: &'static str, path: &Path) -> Result<std::fs::File, StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let created = options.read(true).write(true).create_new(true).mode(0o600).open(path);
    created.map_err(|error| file_error(operation, path, &error))
}

/// The file of a copy with this name.
pub(in crate::store) fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}
