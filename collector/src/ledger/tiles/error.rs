//! What can go wrong with an export.

use std::io;
use std::path::PathBuf;

use crate::ledger::checkpoint::CheckpointError;
use crate::ledger::leaf::NotALeaf;
use crate::ledger::tree::Hash;

/// Why an export cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The operating system refused.
    #[error("cannot {attempt} {}", .path.display())]
    File {
        /// `read`, `write`, `create`.
        attempt: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that has to be written exists with other content.
    #[error("cannot write {}: it exists with other content", .path.display())]
    Differs {
        /// The file.
        path: PathBuf,
    },
    /// A file of the export does not exist.
    #[error("{} is missing", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file has another length, or lengths in it do not add up.
    #[error("{} is damaged: it has not the form of {wanted}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: String,
    },
    /// The checkpoint in the directory is not good.
    #[error("cannot use {}", .path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// The checkpoint that the export is to have is not good.
    #[error("cannot export the ledger with this checkpoint")]
    NewCheckpoint(#[source] CheckpointError),
    /// An entry in the export does not have the hash that is in the tile.
    #[error("{} is damaged: entry {no} in it does not have the hash that is in the tile of level 0", .path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        no: u64,
    },
    /// The tiles of the export do not have the root that its checkpoint signs.
    #[error("the export {} is damaged: its {size} entries do not have the root in its checkpoint", .path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// The size of the checkpoint.
        size: u64,
    },
    /// The export is longer than the ledger.
    #[error("the export {} has {exported} entries, and the ledger only {size}", .path.display())]
    Longer {
        /// The directory.
        path: PathBuf,
        /// The size of its checkpoint.
        exported: u64,
        /// The size of the checkpoint of the ledger.
        size: u64,
    },
    /// The entries do not have the root that the new checkpoint signs.
    #[error("the entries up to {size} have the root {found}, and the checkpoint signs {signed}")]
    OtherRoot {
        /// The size of the checkpoint.
        size: u64,
        /// The root of the entries.
        found: Hash,
        /// The root of the checkpoint.
        signed: Hash,
    },
    /// There are more or fewer entries than the new checkpoint states.
    #[error("the checkpoint is of {size} entries, and there are {given}")]
    OtherSize {
        /// The size of the checkpoint.
        size: u64,
        /// How many entries there are.
        given: u64,
    },
    /// An entry cannot be exported.
    #[error("cannot export entry {no}")]
    Leaf {
        /// The entry.
        no: u64,
        /// Why.
        #[source]
        source: NotALeaf,
    },
}

impl ExportError {
    /// What to do about it, if there is something.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Differs { .. } => Some("export to an empty directory, and find out how the two exports differ"),
            Self::Missing { .. } | Self::Form { .. } | Self::Entry { .. } | Self::Root { .. } => {
                Some("copy the export again from where it was kept, or export to an empty directory")
            }
            Self::Checkpoint { .. } => Some("check that the key is that of the collector which made the export"),
            Self::Longer { .. } => {
                Some("keep the export: entries are missing in the ledger, or it was restored from an older backup")
            }
            Self::OtherRoot { .. } => {
                Some("verify the ledger: it does not have the entries that were sealed or exported")
            }
            Self::File { .. } | Self::NewCheckpoint(_) | Self::OtherSize { .. } | Self::Leaf { .. } => None,
        }
    }
}
