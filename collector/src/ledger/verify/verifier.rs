//! Verifies entries one by one, in order. Pure: it reads no store and no file, and holds two trees at most.

use std::ops::ControlFlow;

use super::fault::Fault;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::tree::{Hash, TreeState, leaf_hash};

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many entries were read.
    pub entries: u64,
    /// How many of them, from the first, have a stored hash.
    pub sealed: u64,
    /// The size of the largest checkpoint that agrees. If there are no faults, everything up to this entry is as it was
    /// signed; no signature covers later entries.
    pub covered: u64,
    /// How many checkpoints agree.
    pub checkpoints: u64,
    /// The root of the sealed hashes.
    pub root: Hash,
    /// What is wrong; at most one of each kind.
    pub faults: Vec<Fault>,
}

/// Verifies a ledger. The caller hands it every entry, from the first, and then asks for the report.
#[derive(Debug)]
pub struct Verifier {
    /// The tree of the stored hashes.
    sealed: TreeState,
    /// The tree of the entries as they are now, since the first that has another hash than was stored.
    present: Option<TreeState>,
    differing: Option<Differing>,
    /// Entries after the last one with a stored hash.
    unsealed: u64,
    /// Checkpoints beyond the entries so far; the next one is the last.
    pending: Vec<Checkpoint>,
    covered: u64,
    checkpoints: u64,
    rewritten: Option<Fault>,
    /// Why no further entry can be verified.
    stopped: Option<Fault>,
}

/// Entries whose hash is not the stored one.
#[derive(Debug)]
struct Differing {
    first: u64,
    others: u64,
    /// Whether a checkpoint agrees with the entries as they are now, and not with the stored hashes.
    are_entries_good: bool,
}

impl Verifier {
    /// Verifies against checkpoints, in any order, whose signatures are already verified. They are held in memory.
    #[must_use]
    pub fn new(checkpoints: impl IntoIterator<Item = Checkpoint>) -> Self {
        let mut pending: Vec<Checkpoint> = checkpoints.into_iter().collect();
        pending.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        let mut verifier = Self {
            sealed: TreeState::default(),
            present: None,
            differing: None,
            unsealed: 0,
            pending,
            covered: 0,
            checkpoints: 0,
            rewritten: None,
            stopped: None,
        };
        verifier.compare();
        verifier
    }

    /// Takes the next entry: its number, its line, and the hash that was stored when it was sealed; `None` if it is not
    /// sealed yet. After `Break`, no further entry is verified.
    pub fn feed(&mut self, no: u64, line: &[u8], stored: Option<&Hash>) -> ControlFlow<()> {
        if self.stopped.is_none() {
            self.stopped = self.take(no, line, stored).err();
        }
        if self.stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Report {
        let entries = self.entries();
        let mut faults = Vec::new();
        if let Some(Differing { first: no, others, are_entries_good }) = self.differing {
            let changed = Fault::Changed { no, others };
            faults.push(if are_entries_good { Fault::HashChanged { no, others } } else { changed });
        }
        faults.extend(self.rewritten);
        if self.stopped.is_none()
            && let Some(largest) = self.pending.first()
        {
            faults.push(Fault::Truncated { size: largest.size, entries });
        }
        faults.extend(self.stopped);
        let (covered, checkpoints) = (self.covered, self.checkpoints);
        Report { entries, sealed: self.sealed.size(), covered, checkpoints, root: self.sealed.root(), faults }
    }

    const fn entries(&self) -> u64 {
        self.sealed.size() + self.unsealed
    }

    fn take(&mut self, no: u64, line: &[u8], stored: Option<&Hash>) -> Result<(), Fault> {
        let after = self.entries();
        if no <= after {
            return Err(Fault::Order { no, after });
        }
        if no > after + 1 {
            return Err(Fault::Missing { first: after + 1, next: no });
        }
        let Some(stored) = stored else {
            if !self.pending.is_empty() {
                return Err(Fault::HashMissing { no });
            }
            self.unsealed += 1;
            return Ok(());
        };
        if self.unsealed > 0 {
            return Err(Fault::HashMissing { no: self.sealed.size() + 1 });
        }
        self.append(no, leaf_hash(line), *stored);
        self.compare();
        Ok(())
    }

    fn append(&mut self, no: u64, present: Hash, stored: Hash) {
        if present != stored {
            // Until now both trees were the same.
            self.present.get_or_insert_with(|| self.sealed.clone());
            match &mut self.differing {
                Some(differing) => differing.others += 1,
                none => *none = Some(Differing { first: no, others: 0, are_entries_good: false }),
            }
        }
        if let Some(tree) = &mut self.present {
            tree.append(present);
        }
        self.sealed.append(stored);
    }

    /// Compares the trees with the checkpoints of their size.
    fn compare(&mut self) {
        let size = self.sealed.size();
        while let Some(checkpoint) = self.pending.pop_if(|checkpoint| checkpoint.size == size) {
            let (found, signed) = (self.sealed.root(), checkpoint.root);
            let are_entries_good = self.present.as_ref().is_some_and(|tree| tree.root() == signed);
            if found == signed || are_entries_good {
                self.covered = size;
                self.checkpoints += 1;
                if let Some(differing) = &mut self.differing {
                    differing.are_entries_good = are_entries_good;
                }
            } else if self.rewritten.is_none() {
                self.rewritten = Some(Fault::Rewritten { after: self.covered, size, found, signed });
            }
        }
    }
}
