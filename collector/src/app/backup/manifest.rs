//! `manifest.json`: what a backup is of, and size and digest of each file. It is written last.

use std::path::Path;

use anyhow::Context;
use muster_proto::model::Timestamp;
use muster_proto::terminal::Progress;
use serde::{Deserialize, Serialize};

use super::Refused;
use super::files::{self, Content};
use crate::store::StoreKind;

pub(super) const FILE: &str = "manifest.json";
/// The digest of the manifest, so that a damaged manifest is noticed too.
pub(super) const DIGEST_FILE: &str = "manifest.blake3";
/// The version of folders that this code writes and reads.
const FORMAT: u32 = 1;

/// See the head of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) program_version: String,
    /// When the backup was begun.
    pub(super) created_at: Timestamp,
    pub(super) store: StoreKind,
    pub(super) schema: i64,
    pub(super) ca_pin: String,
    /// Sorted by path.
    pub(super) files: Vec<FileRecord>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileRecord {
    /// Relative to the folder.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
}

impl Manifest {
    pub(super) fn new(created_at: Timestamp, store: StoreKind, schema: i64, ca_pin: String) -> Self {
        let program_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, program_version, created_at, store, schema, ca_pin, files: Vec::new() }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Writes the digest and then the manifest, which makes the folder a backup.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let text = format!("{:#}\n", serde_json::to_value(self).context("write the manifest")?);
        files::write(&folder.join(DIGEST_FILE), format!("{}\n", blake3::hash(text.as_bytes()).to_hex()).as_bytes())?;
        let unfinished = folder.join(format!("{FILE}.new"));
        files::write(&unfinished, text.as_bytes())?;
        let path = folder.join(FILE);
        std::fs::rename(&unfinished, &path).with_context(|| format!("create {}", path.display()))?;
        files::sync_directory(folder)
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// There is none, it is damaged, or a newer version wrote it.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Refused::not_a_backup(folder).into());
            }
            read => read.with_context(|| format!("read {}", path.display()))?,
        };
        let damaged = |reason: String| {
            let what = format!("the manifest {} is damaged: {reason}", path.display());
            Refused::new(what, "use another backup; nothing was changed")
        };
        // The format is read alone first: a newer one may have a digest of another kind.
        let OnlyFormat { format } = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if format > FORMAT {
            let what =
                format!("the backup {} has format {format}; this version reads format {FORMAT}", folder.display());
            return Err(Refused::new(what, "use the version of muster-collector that made it, or a newer one").into());
        }
        let digest = std::fs::read_to_string(folder.join(DIGEST_FILE)).unwrap_or_default();
        if digest.trim() != blake3::hash(&text).to_hex().as_str() {
            return Err(damaged(format!("it differs from its digest in {DIGEST_FILE}")).into());
        }
        Ok(serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?)
    }

    /// What differs between the files and this manifest, one line each. The progress counts bytes.
    pub(super) fn faults(&self, folder: &Path, progress: &Progress) -> Vec<String> {
        let mut faults = Vec::new();
        for record in &self.files {
            let path = folder.join(&record.path);
            if !files::stays_below(Path::new(&record.path)) {
                faults.push(format!("the manifest names {}, which is outside the backup", record.path));
                continue;
            }
            let found = files::content(&path, &mut |more| progress.advance(more));
            faults.extend(record.fault(&path, found));
        }
        faults
    }
}

impl FileRecord {
    pub(super) fn new(path: &Path, content: Content) -> Self {
        Self { path: path.to_string_lossy().into_owned(), bytes: content.bytes, blake3: content.blake3 }
    }

    fn fault(&self, path: &Path, found: std::io::Result<Content>) -> Option<String> {
        let place = path.display();
        match found {
            Ok(found) if found.bytes != self.bytes => {
                Some(format!("{place} has {} bytes instead of {}", found.bytes, self.bytes))
            }
            Ok(found) if found.blake3 != self.blake3 => Some(format!("the content of {place} has changed")),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(format!("{place} is missing")),
            Err(error) => Some(format!("{place}: {error}")),
        }
    }
}
