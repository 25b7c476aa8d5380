//! The Merkle tree of the ledger, grown leaf by leaf. It keeps only the hashes of the complete subtrees from which the
//! rest is computed, so sealing needs no earlier entry.
//!
//! Hashes are those of RFC 6962, section 2.1 (<https://www.rfc-editor.org/rfc/rfc6962.html#section-2.1>): SHA-256 over
//! the byte 0 and the leaf, or over the byte 1 and two hashes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256, digest};

/// The bytes of a hash.
pub const HASH_BYTES: usize = 32;
/// The most leaves: sizes and numbers are signed 64-bit integers in databases and in Go's `tlog`.
pub const TREE_LEAVES: u64 = i64::MAX as u64;
/// The most bytes of a stored tree: version, size, and a hash for each bit of the size.
pub const TREE_BYTES: usize = HEAD_BYTES + 63 * HASH_BYTES;

/// The version of stored trees that this code writes.
const VERSION: u8 = 1;
/// Version and size.
const HEAD_BYTES: usize = 1 + size_of::<u64>();

/// A SHA-256 hash of a leaf or of a subtree. `Display` writes base64, as checkpoints have it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(leaf);
    taken(&context.finish())
}

/// The hash of a tree with these two subtrees.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hashed = [1; 1 + 2 * HASH_BYTES];
    hashed[1..=HASH_BYTES].copy_from_slice(&left.0);
    hashed[1 + HASH_BYTES..].copy_from_slice(&right.0);
    taken(&digest(&SHA256, &hashed))
}

/// The hash of a complete subtree of any height, from the hashes of its equally high parts; their number is a power of
/// 2.
#[must_use]
pub(super) fn complete_hash(parts: &[Hash]) -> Hash {
    match parts {
        [] => empty_root(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            node_hash(&complete_hash(left), &complete_hash(right))
        }
    }
}

/// Why bytes are no stored tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotATree {
    /// A newer version of Muster wrote them, or they are something else.
    #[error("the stored tree has version {found}; this collector reads version {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
    /// They are too few, too many or state an impossible size.
    #[error("{bytes} bytes are not a stored tree")]
    Length {
        /// How many.
        bytes: usize,
    },
}

/// A tree of some number of leaves: the hashes of its complete subtrees, the largest first. The size has a bit for
/// each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeState {
    size: u64,
    edge: Vec<Hash>,
}

impl TreeState {
    /// A tree of complete subtrees; `None` if their number is not that of the size's bits.
    pub(super) fn from_edge(size: u64, edge: Vec<Hash>) -> Option<Self> {
        let is_whole = size <= TREE_LEAVES && usize::try_from(size.count_ones()) == Ok(edge.len());
        is_whole.then_some(Self { size, edge })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each subtree that is as large as the new one is merged with it, as a carry in the addition size + 1.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size += 1;
    }

    /// The root. Without leaves it is the SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = self.edge.iter().rev();
        let Some(smallest) = subtrees.next() else { return empty_root() };
        subtrees.fold(*smallest, |right, left| node_hash(left, &right))
    }

    /// The tree as it is stored: the version 1, the size in 8 bytes, big-endian, and the hashes; at most
    /// [`TREE_BYTES`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend(self.edge.iter().flat_map(|hash| hash.0));
        bytes
    }

    /// Reads a stored tree. Whether it is that of a checkpoint, only its root says.
    ///
    /// # Errors
    /// The bytes have another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotATree> {
        let wrong = NotATree::Length { bytes: bytes.len() };
        let (version, rest) = bytes.split_first().ok_or(wrong)?;
        if *version != VERSION {
            return Err(NotATree::Version { found: *version });
        }
        let (size, hashes) = rest.split_first_chunk().ok_or(wrong)?;
        let (edge, rest) = hashes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || edge.len() > 63 {
            return Err(wrong);
        }
        Self::from_edge(u64::from_be_bytes(*size), edge.iter().copied().map(Hash).collect()).ok_or(wrong)
    }
}

fn empty_root() -> Hash {
    taken(&digest(&SHA256, &[]))
}

fn taken(digest: &ring::digest::Digest) -> Hash {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(digest.as_ref());
    Hash(hash)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    /// Leaves and roots of Certificate Transparency's tests, in hexadecimal digits: `LeafInputs` and `RootHashes` in
    /// <https://github.com/transparency-dev/merkle/blob/main/testonly/constants.go>.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn read(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal digits")
    }

    /// The root as RFC 6962 defines it: split at the largest power of 2 below the size.
    fn by_definition(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => taken(&digest(&SHA256, &[])),
            [leaf] => taken(&digest(&SHA256, &[&[0], leaf.as_slice()].concat())),
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                let hashed = [&[1], by_definition(left).0.as_slice(), &by_definition(right).0].concat();
                taken(&digest(&SHA256, &hashed))
            }
        }
    }

    fn leaf(n: u64) -> Vec<u8> {
        format!("leaf {n}").into_bytes()
    }

    #[test]
    fn trees_have_the_roots_of_certificate_transparency() {
        let mut tree = TreeState::default();
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            assert_eq!(HEXLOWER.encode(&tree.root().0), root, "{} leaves", tree.size());
            tree.append(leaf_hash(&read(leaf)));
        }
        assert_eq!(HEXLOWER.encode(&tree.root().0), ROOTS[8]);
    }

    #[test]
    fn every_size_has_the_root_of_the_definition() {
        let leaves: Vec<Vec<u8>> = (0..600).map(leaf).collect();
        let mut tree = TreeState::default();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), by_definition(&leaves[..size]), "{size} leaves");
            tree.append(leaf_hash(leaf));
            let stored = tree.to_bytes();
            assert!(stored.len() <= TREE_BYTES);
            assert_eq!(TreeState::from_bytes(&stored), Ok(tree.clone()), "{size} leaves");
        }
        assert_eq!((tree.size(), tree.root()), (600, by_definition(&leaves)));
    }

    #[test]
    fn bytes_of_another_form_are_no_tree() {
        let mut tree = TreeState::default();
        (0..5).for_each(|n| tree.append(leaf_hash(&leaf(n))));
        let good = tree.to_bytes();
        assert_eq!(good.len(), 9 + 2 * HASH_BYTES);
        let with = |at: usize, byte: u8| {
            let mut changed = good.clone();
            changed[at] = byte;
            TreeState::from_bytes(&changed)
        };
        assert_eq!(with(0, 2), Err(NotATree::Version { found: 2 }));
        assert_eq!(with(8, 7), Err(NotATree::Length { bytes: 73 }), "a size with three bits and two hashes");
        assert_eq!(with(1, 0x80), Err(NotATree::Length { bytes: 73 }), "a size that is no signed integer");
        TreeState::from_bytes(&[]).expect_err("empty");
        TreeState::from_bytes(&good[..good.len() - 1]).expect_err("cut off");
        TreeState::from_bytes(&[good.as_slice(), &[0; 32]].concat()).expect_err("a hash too many");
    }

    proptest! {
        #[test]
        fn a_tree_that_was_stored_between_any_two_leaves_grows_as_one_that_was_not(
            size in 0_u64..3_000,
            stops in proptest::collection::btree_set(0_u64..3_000, 0..6),
        ) {
            let (mut kept, mut stored) = (TreeState::default(), TreeState::default());
            for n in 0..size {
                if stops.contains(&n) {
                    stored = TreeState::from_bytes(&stored.to_bytes()).expect("was stored");
                }
                let hash = leaf_hash(&leaf(n));
                kept.append(hash);
                stored.append(hash);
            }
            prop_assert_eq!(kept.root(), stored.root());
            prop_assert_eq!(stored.size(), size);
        }

        #[test]
        fn any_bytes_are_a_tree_that_is_stored_in_the_same_bytes_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            size in 0_u64..8,
        ) {
            let head = [&[VERSION], size.to_be_bytes().as_slice(), &bytes].concat();
            for bytes in [bytes, head] {
                if let Ok(tree) = TreeState::from_bytes(&bytes) {
                    prop_assert_eq!(tree.to_bytes(), bytes);
                }
            }
        }
    }
}
