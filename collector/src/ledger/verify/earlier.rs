//! Compares the ledger with an export that was made before, entry by entry.

use super::fault::Fault;
use crate::ledger::tiles::{Export, ExportError, Leaves};
use crate::ledger::tree::{TreeState, leaf_hash};

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// How many entries the export has.
    pub exported: u64,
    /// How many entries the ledger has.
    pub entries: u64,
    /// What is wrong; empty if the ledger begins with all entries of the export.
    pub faults: Vec<Fault>,
}

/// Compares a ledger with an earlier export. The caller hands it every entry, from the first, and then asks for the
/// result.
#[derive(Debug)]
pub struct EarlierExport {
    export: Export,
    leaves: Leaves,
    /// The tree of the export's entries.
    tree: TreeState,
    /// The first entry of the export whose hash is not that of its tile.
    damaged: Option<u64>,
    entries: u64,
    /// The first entry that differs, and how many after it do.
    differing: Option<(u64, u64)>,
}

impl EarlierExport {
    /// Compares with an export, whose checkpoint is verified.
    #[must_use]
    pub fn new(export: Export) -> Self {
        let leaves = export.leaves();
        Self { export, leaves, tree: TreeState::default(), damaged: None, entries: 0, differing: None }
    }

    /// Takes the line of the ledger's next entry.
    ///
    /// # Errors
    /// A file of the export is missing, cannot be read, or has another form.
    pub fn feed(&mut self, line: &[u8]) -> Result<(), ExportError> {
        self.entries += 1;
        if self.read(Some(line))? == Some(false) {
            match &mut self.differing {
                Some((_, others)) => *others += 1,
                none => *none = Some((self.entries, 0)),
            }
        }
        Ok(())
    }

    /// Reads the rest of the export, and says what was found.
    ///
    /// # Errors
    /// The export is damaged: then nothing follows from a difference.
    pub fn finish(mut self) -> Result<Compared, ExportError> {
        while self.read(None)?.is_some() {}
        let (path, size) = (self.export.path().to_owned(), self.export.checkpoint().size);
        if let Some(no) = self.damaged {
            return Err(ExportError::Entry { path, no });
        }
        if self.tree.root() != self.export.checkpoint().root {
            return Err(ExportError::Root { path, size });
        }
        let mut faults = Vec::new();
        if let Some((no, others)) = self.differing {
            faults.push(Fault::Differs { no, others });
        }
        if size > self.entries {
            faults.push(Fault::ShorterThanExport { exported: size, entries: self.entries });
        }
        Ok(Compared { exported: size, entries: self.entries, faults })
    }

    /// Reads an entry of the export, and whether it is this one; `None` after the last.
    fn read(&mut self, line: Option<&[u8]>) -> Result<Option<bool>, ExportError> {
        let Some(exported) = self.leaves.read_next()? else { return Ok(None) };
        let hash = leaf_hash(exported.line);
        if hash != exported.hash {
            self.damaged.get_or_insert(exported.no);
        }
        self.tree.append(hash);
        Ok(Some(line.is_none_or(|line| line == exported.line)))
    }
}
