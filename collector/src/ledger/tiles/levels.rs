//! The tiles of a tree as it grows: per level, the hashes of the last tile, which is not full.

use super::layout::{HEIGHT, WIDTH};
use crate::ledger::tree::{Hash, TreeState, complete_hash};

/// The levels of a tree of tiles.
#[derive(Debug, Default)]
pub(super) struct Levels {
    size: u64,
    levels: Vec<Last>,
}

/// The last tile of a level: its index, and at most 255 hashes.
#[derive(Debug, Default)]
struct Last {
    index: u64,
    hashes: Vec<Hash>,
}

impl Levels {
    /// The levels of a tree of some size. `read` is asked for each tile that is not full: level, index and width.
    pub(super) fn resume<E>(
        size: u64,
        mut read: impl FnMut(usize, u64, usize) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut levels = Vec::new();
        let mut hashes = size;
        while hashes > 0 {
            let (index, width) = split(hashes);
            let hashes_of_tile = if width == 0 { Vec::new() } else { read(levels.len(), index, width)? };
            levels.push(Last { index, hashes: hashes_of_tile });
            hashes >>= HEIGHT;
        }
        Ok(Self { size, levels })
    }

    /// How many leaves the tree has.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. `full` gets each tile that becomes full: level, index and hashes. After an error of it the levels
    /// are of no use.
    pub(super) fn append<E>(
        &mut self,
        leaf: Hash,
        mut full: impl FnMut(usize, u64, &[Hash]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.size += 1;
        let mut added = leaf;
        for (level, last) in self.levels.iter_mut().enumerate() {
            last.hashes.push(added);
            if last.hashes.len() < WIDTH {
                return Ok(());
            }
            full(level, last.index, &last.hashes)?;
            added = complete_hash(&last.hashes);
            last.hashes.clear();
            last.index += 1;
        }
        self.levels.push(Last { index: 0, hashes: vec![added] });
        Ok(())
    }

    /// The tiles that are not full and not empty: level, index and hashes.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = (usize, u64, &[Hash])> {
        let levels = self.levels.iter().enumerate().filter(|(_, last)| !last.hashes.is_empty());
        levels.map(|(level, last)| (level, last.index, last.hashes.as_slice()))
    }

    /// For each level, how many of its tiles are full.
    pub(super) fn full(&self) -> impl Iterator<Item = u64> {
        self.levels.iter().map(|last| last.index)
    }

    /// The tree of the tiles; `None` if a tile had not the width that was asked for.
    pub(super) fn tree(&self) -> Option<TreeState> {
        let mut edge = Vec::new();
        for last in self.levels.iter().rev() {
            let mut rest = last.hashes.as_slice();
            while let Some(bits) = rest.len().checked_ilog2() {
                let (subtree, more) = rest.split_at(1 << bits);
                edge.push(complete_hash(subtree));
                rest = more;
            }
        }
        TreeState::from_edge(self.size, edge)
    }
}

/// A number of hashes as the index of the last tile and the hashes in it.
pub(super) fn split(hashes: u64) -> (u64, usize) {
    let width = usize::try_from(hashes % (1 << HEIGHT)).unwrap_or_default();
    (hashes >> HEIGHT, width)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use crate::ledger::tree::leaf_hash;

    #[test]
    fn seventy_thousand_leaves_have_the_tiles_that_the_specification_counts() {
        let (mut levels, mut tree) = (Levels::default(), TreeState::default());
        let mut full: BTreeMap<usize, u64> = BTreeMap::new();
        for n in 0_u64..70_000 {
            let leaf = leaf_hash(&n.to_be_bytes());
            levels
                .append(leaf, |level, index, hashes| {
                    assert_eq!(hashes.len(), WIDTH);
                    let before = full.entry(level).or_default();
                    assert_eq!(*before, index, "tiles become full in order");
                    *before += 1;
                    Ok::<(), Infallible>(())
                })
                .expect("infallible");
            tree.append(leaf);
            if n % 257 == 0 {
                assert_eq!(levels.tree(), Some(tree.clone()), "{} leaves", n + 1);
            }
        }
        assert_eq!(full, BTreeMap::from([(0, 273), (1, 1)]));
        let unfinished: Vec<_> =
            levels.unfinished().map(|(level, index, hashes)| (level, index, hashes.len())).collect();
        assert_eq!(unfinished, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(levels.tree(), Some(tree));
    }
}
