//! Writes an export, or extends one: tiles and bundles as they become full, then those that are not full, and the
//! checkpoint last.
//!
//! ```text
//!  open ─► append (each entry after size()) ─► finish, or discard
//!    └ an earlier export is verified with its key, and continued
//! ```
//!
//! Until the new checkpoint is in place, the directory is the old export with files that nothing refers to.

use std::ops::Range;
use std::path::Path;

use super::directory::Directory;
use super::error::ExportError;
use super::layout::{self, WIDTH, WIDTH_LEAVES};
use super::levels::{Levels, split};
use super::reader;
use crate::attestation::VerifierKey;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::leaf::sealable;
use crate::ledger::tree::Hash;

/// An export that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// How many entries it had before.
    pub from: u64,
    /// How many it has now.
    pub size: u64,
}

/// Writes an export.
#[derive(Debug)]
pub struct TileWriter {
    directory: Directory,
    /// The signed checkpoint, which the export will have.
    note: Vec<u8>,
    checkpoint: Checkpoint,
    /// The size of the export that was found; `None` if there was none.
    found: Option<u64>,
    levels: Levels,
    /// The entries of the bundle that is not full.
    bundle: Vec<u8>,
    made: Made,
}

/// The full tiles of each level, and the full bundles, from the first that this writer has created to the last.
#[derive(Debug, Default)]
struct Made {
    tiles: Vec<Range<u64>>,
    bundles: Range<u64>,
}

impl TileWriter {
    /// Prepares the export up to a signed checkpoint. A directory with an earlier export is continued after its
    /// entries; a directory that does not exist is created.
    ///
    /// # Errors
    /// The checkpoint is not signed with the key. The earlier export is not, is damaged, or is longer than the
    /// checkpoint.
    pub fn open(directory: &Path, key: &VerifierKey, note: &[u8]) -> Result<Self, ExportError> {
        let directory = Directory::new(directory);
        let checkpoint = Checkpoint::open(note, key).map_err(ExportError::NewCheckpoint)?;
        let found = reader::checkpoint(&directory, key)?;
        let (levels, bundle) = match &found {
            Some(found) if found.size > checkpoint.size => {
                let (exported, size) = (found.size, checkpoint.size);
                return Err(ExportError::Longer { path: directory.path().to_owned(), exported, size });
            }
            Some(found) => resume(&directory, found)?,
            None => (Levels::default(), Vec::new()),
        };
        let found = found.map(|found| found.size);
        Ok(Self { directory, note: note.to_owned(), checkpoint, found, levels, bundle, made: Made::default() })
    }

    /// How many entries it has. The next one to append has this number plus 1.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.levels.size()
    }

    /// Adds the line of the next entry. After an error the writer has to be discarded.
    ///
    /// # Errors
    /// The line cannot be exported, the checkpoint covers no further entry, or a file cannot be written or exists with
    /// other content.
    pub fn append(&mut self, line: &[u8]) -> Result<(), ExportError> {
        let no = self.levels.size() + 1;
        if no > self.checkpoint.size {
            return Err(ExportError::OtherSize { size: self.checkpoint.size, given: no });
        }
        let hash = sealable(line).map_err(|source| ExportError::Leaf { no, source })?;
        layout::add_entry(&mut self.bundle, line);
        let Self { directory, levels, bundle, made, .. } = self;
        levels.append(hash, |level, index, hashes| made.create_tile(directory, level, index, hashes))?;
        if no.is_multiple_of(WIDTH_LEAVES) {
            made.create_bundle(directory, no / WIDTH_LEAVES - 1, bundle)?;
            bundle.clear();
        }
        Ok(())
    }

    /// Writes what is not full, and the checkpoint. Tiles that an earlier export had before they were full are removed,
    /// as the specification permits ("Partial Tiles").
    ///
    /// # Errors
    /// The entries are not those of the checkpoint: then the tiles that were created are removed again. A file cannot
    /// be written, or exists with other content.
    pub fn finish(self) -> Result<Written, ExportError> {
        let written = Written { from: self.found.unwrap_or(0), size: self.levels.size() };
        if let Err(error) = self.is_sealed() {
            self.discard();
            return Err(error);
        }
        if self.found == Some(written.size) {
            // The checkpoint in place may have signatures of others as well.
            return Ok(written);
        }
        for (level, index, hashes) in self.levels.unfinished() {
            self.directory.create(&layout::tile(level, index, hashes.len()), &layout::write_tile(hashes))?;
        }
        let (index, width) = split(written.size);
        if width > 0 {
            self.directory.create(&layout::bundle(index, width), &self.bundle)?;
        }
        self.directory.publish(layout::CHECKPOINT, &self.note)?;
        self.remove_superseded(written.from);
        Ok(written)
    }

    /// Whether the entries are those of the checkpoint.
    fn is_sealed(&self) -> Result<(), ExportError> {
        let (size, signed) = (self.checkpoint.size, self.checkpoint.root);
        let given = self.levels.size();
        let found = self.levels.tree().map(|tree| tree.root());
        match found {
            Some(found) if given == size && found != signed => Err(ExportError::OtherRoot { size, found, signed }),
            Some(_) if given == size => Ok(()),
            Some(_) | None => Err(ExportError::OtherSize { size, given }),
        }
    }

    /// Gives up: removes the tiles that this writer has created, so that wrong ones do not prevent the next export. The
    /// earlier export, if there is one, is as it was.
    pub fn discard(self) {
        for (level, made) in self.made.tiles.iter().enumerate() {
            self.remove(made.clone().map(|index| layout::tile(level, index, WIDTH)));
        }
        self.remove(self.made.bundles.clone().map(|index| layout::bundle(index, WIDTH)));
    }

    /// Removes the unfinished forms of tiles that were not full at an earlier size and are full now.
    fn remove_superseded(&self, from: u64) {
        let mut hashes = from;
        for (level, full) in self.levels.full().enumerate() {
            let (index, width) = split(hashes);
            hashes >>= layout::HEIGHT;
            if width == 0 || index >= full {
                continue;
            }
            self.remove([layout::unfinished(&layout::tile(level, index, WIDTH))]);
            if level == 0 {
                self.remove([layout::unfinished(&layout::bundle(index, WIDTH))]);
            }
        }
    }

    fn remove(&self, paths: impl IntoIterator<Item = String>) {
        for path in paths {
            // What is left over costs space and does no harm.
            let _ = self.directory.remove(&path);
        }
    }
}

impl Made {
    fn create_tile(
        &mut self,
        directory: &Directory,
        level: usize,
        index: u64,
        hashes: &[Hash],
    ) -> Result<(), ExportError> {
        if self.tiles.len() <= level {
            self.tiles.resize(level + 1, 0..0);
        }
        if directory.create(&layout::tile(level, index, WIDTH), &layout::write_tile(hashes))?
            && let Some(tiles) = self.tiles.get_mut(level)
        {
            extend(tiles, index);
        }
        Ok(())
    }

    fn create_bundle(&mut self, directory: &Directory, index: u64, entries: &[u8]) -> Result<(), ExportError> {
        if directory.create(&layout::bundle(index, WIDTH), entries)? {
            extend(&mut self.bundles, index);
        }
        Ok(())
    }
}

fn extend(made: &mut Range<u64>, index: u64) {
    made.start = if made.is_empty() { index } else { made.start };
    made.end = index + 1;
}

/// The levels and the unfinished bundle of an export, verified against its checkpoint.
fn resume(directory: &Directory, found: &Checkpoint) -> Result<(Levels, Vec<u8>), ExportError> {
    let levels = Levels::resume(found.size, |level, index, width| reader::tile(directory, level, index, width))?;
    if levels.tree().map(|tree| tree.root()) != Some(found.root) {
        return Err(ExportError::Root { path: directory.path().to_owned(), size: found.size });
    }
    let (index, width) = split(found.size);
    let mut bundle = Vec::new();
    if width > 0 {
        let entries = reader::bundle(directory, index, width)?;
        entries.verify(&reader::tile(directory, 0, index, width)?)?;
        bundle = entries.into_bytes();
    }
    Ok((levels, bundle))
}
