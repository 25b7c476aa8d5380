//! Reads an export: its checkpoint, and its entries in order with the hashes of their tiles.
//!
//! An unfinished tile may be missing once the full one exists, and is then the beginning of the full one.

use std::ops::Range;
use std::path::Path;

use super::directory::Directory;
use super::error::ExportError;
use super::layout::{self, BUNDLE_BYTES, WIDTH, WIDTH_LEAVES};
use crate::attestation::VerifierKey;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::NOTE_BYTES;
use crate::ledger::tree::{HASH_BYTES, Hash, leaf_hash};

/// An export with a good checkpoint.
#[derive(Debug)]
pub struct Export {
    directory: Directory,
    checkpoint: Checkpoint,
}

impl Export {
    /// Opens an export and verifies its checkpoint; its tiles are read later.
    ///
    /// # Errors
    /// The directory has no checkpoint, or one that the key has not signed.
    pub fn open(directory: &Path, key: &VerifierKey) -> Result<Self, ExportError> {
        let directory = Directory::new(directory);
        match checkpoint(&directory, key)? {
            Some(checkpoint) => Ok(Self { directory, checkpoint }),
            None => Err(ExportError::Missing { path: directory.place(layout::CHECKPOINT) }),
        }
    }

    /// Its checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its entries, from the first.
    #[must_use]
    pub fn leaves(&self) -> Leaves {
        let entries = Entries { directory: self.directory.clone(), index: 0, bytes: Vec::new(), spans: Vec::new() };
        Leaves { entries, hashes: Vec::new(), read: 0, size: self.checkpoint.size }
    }
}

/// An entry of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportedLeaf<'a> {
    /// Its number; the first is 1.
    pub no: u64,
    /// Its line.
    pub line: &'a [u8],
    /// The hash that the tile has of it. Whether it is that of the line is not yet verified.
    pub hash: Hash,
}

/// The entries of an export, in order. It holds one bundle at a time: at most 16 MiB.
#[derive(Debug)]
pub struct Leaves {
    entries: Entries,
    hashes: Vec<Hash>,
    read: u64,
    size: u64,
}

impl Leaves {
    /// The next entry; `None` after the last one of the checkpoint.
    ///
    /// # Errors
    /// A file is missing, cannot be read, or has not the form of a bundle or a tile.
    pub fn read_next(&mut self) -> Result<Option<ExportedLeaf<'_>>, ExportError> {
        if self.read == self.size {
            return Ok(None);
        }
        let (index, at) = (self.read / WIDTH_LEAVES, self.read % WIDTH_LEAVES);
        if at == 0 {
            let width = usize::try_from(self.size - self.read).unwrap_or(WIDTH).min(WIDTH);
            self.entries = bundle(&self.entries.directory, index, width)?;
            self.hashes = tile(&self.entries.directory, 0, index, width)?;
        }
        self.read += 1;
        let at = usize::try_from(at).unwrap_or(WIDTH);
        // Both have as many as was asked for.
        Ok(self.entries.line(at).zip(self.hashes.get(at)).map(|(line, hash)| ExportedLeaf {
            no: self.read,
            line,
            hash: *hash,
        }))
    }
}

/// The entries of a bundle.
#[derive(Debug)]
pub(super) struct Entries {
    directory: Directory,
    index: u64,
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Entries {
    fn line(&self, at: usize) -> Option<&[u8]> {
        self.bytes.get(self.spans.get(at)?.clone())
    }

    /// The bundle.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Compares the entries with the hashes of their tile.
    pub(super) fn verify(&self, hashes: &[Hash]) -> Result<(), ExportError> {
        let is_other = |at: &usize| self.line(*at).map(leaf_hash).as_ref() != hashes.get(*at);
        match (0..self.spans.len()).find(is_other) {
            Some(at) => Err(ExportError::Entry {
                path: self.directory.place(&layout::bundle(self.index, self.spans.len())),
                no: self.index * WIDTH_LEAVES + u64::try_from(at).unwrap_or_default() + 1,
            }),
            None => Ok(()),
        }
    }
}

/// The checkpoint of an export; `None` if the directory has none.
pub(super) fn checkpoint(directory: &Directory, key: &VerifierKey) -> Result<Option<Checkpoint>, ExportError> {
    let Some(note) = directory.read(layout::CHECKPOINT, NOTE_BYTES)? else { return Ok(None) };
    match Checkpoint::open(&note, key) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(source) => Err(ExportError::Checkpoint { path: directory.place(layout::CHECKPOINT), source }),
    }
}

/// The first hashes of a tile.
pub(super) fn tile(directory: &Directory, level: usize, index: u64, width: usize) -> Result<Vec<Hash>, ExportError> {
    let read = |stored: usize| {
        let path = layout::tile(level, index, stored);
        let Some(bytes) = directory.read(&path, WIDTH * HASH_BYTES)? else { return Ok(None) };
        let wrong = || ExportError::Form { path: directory.place(&path), wanted: format!("a tile of {stored} hashes") };
        layout::read_tile(&bytes, stored).ok_or_else(wrong).map(Some)
    };
    let mut hashes = match read(width)? {
        Some(hashes) => hashes,
        None => read(WIDTH)?.ok_or_else(|| missing(directory, &layout::tile(level, index, width)))?,
    };
    hashes.truncate(width);
    Ok(hashes)
}

/// The first entries of a bundle.
pub(super) fn bundle(directory: &Directory, index: u64, width: usize) -> Result<Entries, ExportError> {
    let read = |stored: usize| {
        let path = layout::bundle(index, stored);
        let Some(bytes) = directory.read(&path, BUNDLE_BYTES)? else { return Ok(None) };
        let wrong =
            || ExportError::Form { path: directory.place(&path), wanted: format!("a bundle of {stored} entries") };
        let spans = layout::entries(&bytes, stored).ok_or_else(wrong)?;
        Ok(Some((bytes, spans)))
    };
    let (mut bytes, mut spans) = match read(width)? {
        Some(found) => found,
        None => read(WIDTH)?.ok_or_else(|| missing(directory, &layout::bundle(index, width)))?,
    };
    spans.truncate(width);
    bytes.truncate(spans.last().map_or(0, |last| last.end));
    Ok(Entries { directory: directory.clone(), index, bytes, spans })
}

fn missing(directory: &Directory, path: &str) -> ExportError {
    ExportError::Missing { path: directory.place(path) }
}
