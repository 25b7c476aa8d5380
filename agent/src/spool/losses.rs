//! Counts lost snapshots in a file beside the entries. The count is written together with the names of the entries to remove,
//! before they are removed. If the process is killed in between, the next one finishes the removal without counting again.

use std::path::{Path, PathBuf};

use muster_proto::model::Losses;

use crate::memory::file;

const FILE: &str = "losses.json";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct LossRecord {
    #[serde(flatten)]
    pub(super) losses: Losses,
    /// Files that are already counted and may not be removed yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) removing: Vec<String>,
}

impl LossRecord {
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// Reads the file. A missing or damaged one starts at zero, so that it never blocks the spool.
    pub(super) fn read(dir: &Path) -> Self {
        let bytes = file::read(&Self::path(dir), file::STATE).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_all_fields_is_read() {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(LossRecord::path(dir.path()), br#"{"dropped":3,"damaged":1}"#).expect("written");
        let losses = Losses { coalesced: 0, dropped: 3, damaged: 1 };
        assert_eq!(LossRecord::read(dir.path()), LossRecord { losses, removing: Vec::new() });
        let record = LossRecord { losses, removing: vec!["a".to_owned()] };
        std::fs::write(LossRecord::path(dir.path()), serde_json::to_vec(&record).expect("JSON")).expect("written");
        assert_eq!(LossRecord::read(dir.path()), record);
        std::fs::write(LossRecord::path(dir.path()), b"{").expect("written");
        assert_eq!(LossRecord::read(dir.path()), LossRecord::default());
    }
}
