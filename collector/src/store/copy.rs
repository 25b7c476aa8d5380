//! What a copy of a store is: its kind, its result, and how its files are made. Both backends use these.

use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// Clocks of collectors may differ by this much.
const CLOCKS: Duration = Duration::from_secs(600);
/// How long certificates of the lost time are accepted: as long as they are valid.
const OPEN: Duration = Duration::from_secs(30 * 86_400);

impl Restoration {
    /// Whether a certificate that was issued at this time may be of a host or key that the restore has lost, and is not
    /// too old to be accepted for that.
    #[must_use]
    pub fn covers(&self, issued_at: Timestamp, now: Timestamp) -> bool {
        self.backup_at.minus(CLOCKS) <= issued_at
            && issued_at <= self.restored_at.plus(CLOCKS)
            && now <= self.restored_at.plus(OPEN)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_of_the_lost_time_are_accepted_and_only_for_a_while() {
        let at = |hours: i64| Timestamp::from_millis(1_800_000_000_000 + hours * 3_600_000);
        let restored = Restoration { backup_at: at(0), restored_at: at(24) };
        assert!(restored.covers(at(0), at(25)) && restored.covers(at(24), at(24)));
        assert!(!restored.covers(at(-1), at(25)), "the store of the backup would have its key");
        assert!(!restored.covers(at(25), at(25)), "the restored store would have its key");
        assert!(restored.covers(at(12), at(24 + 30 * 24)) && !restored.covers(at(12), at(25 + 30 * 24)));
    }
}
