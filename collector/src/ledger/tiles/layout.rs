//! The names of an export's files, and the form of its bundles of entries. <https://c2sp.org/tlog-tiles>

use std::ops::Range;

use crate::ledger::tree::{HASH_BYTES, Hash};

/// The hashes of a full tile, and the entries of a full bundle.
pub(super) const WIDTH: usize = 256;
/// [`WIDTH`] as a number of leaves.
pub(super) const WIDTH_LEAVES: u64 = 256;
/// How many bits of a leaf's number select the hash in a tile.
pub(super) const HEIGHT: u32 = 8;
/// The file of the checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The most bytes of a bundle: 256 entries of the greatest length.
pub(super) const BUNDLE_BYTES: usize = WIDTH * (LENGTH_BYTES + u16::MAX as usize);

/// The bytes of an entry's length.
const LENGTH_BYTES: usize = 2;

/// The path of a tile. The level is at most 7, because 256 to the power of 8 leaves are more than a tree has.
pub(super) fn tile(level: usize, index: u64, width: usize) -> String {
    format!("tile/{level}/{}", numbered(index, width))
}

/// The path of a bundle of entries.
pub(super) fn bundle(index: u64, width: usize) -> String {
    format!("tile/entries/{}", numbered(index, width))
}

/// The folder of a tile or bundle while it is not full: its path without the width.
pub(super) fn unfinished(full: &str) -> String {
    format!("{full}.p")
}

/// The index in groups of three digits, all but the last after an `x`; and the width, unless it is full.
fn numbered(index: u64, width: usize) -> String {
    let mut path = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    if width == WIDTH { path } else { format!("{}/{width}", unfinished(&path)) }
}

/// The bytes of a tile.
pub(super) fn write_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes of a tile; `None` if its length is not that of `width` hashes.
pub(super) fn read_tile(bytes: &[u8], width: usize) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    (rest.is_empty() && hashes.len() == width).then(|| hashes.iter().copied().map(Hash).collect())
}

/// Adds an entry to a bundle; `None`, and nothing is added, if it has more than 65,535 bytes.
pub(super) fn add_entry(bundle: &mut Vec<u8>, leaf: &[u8]) -> Option<()> {
    let length = u16::try_from(leaf.len()).ok()?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(leaf);
    Some(())
}

/// Where the entries of a bundle are; `None` if it does not consist of `width` entries.
pub(super) fn entries(bundle: &[u8], width: usize) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::with_capacity(width);
    let mut at = 0;
    while at < bundle.len() && found.len() < width {
        let length = bundle.get(at..at + LENGTH_BYTES)?.try_into().ok().map(u16::from_be_bytes)?;
        let start = at + LENGTH_BYTES;
        at = start + usize::from(length);
        found.push(start..at);
    }
    (at == bundle.len() && found.len() == width).then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_have_the_names_of_the_specification() {
        assert_eq!(tile(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile(1, 0, 1), "tile/1/000.p/1");
        assert_eq!(tile(2, 1_000, 255), "tile/2/x001/000.p/255");
        assert_eq!(bundle(273, 112), "tile/entries/273.p/112");
        assert_eq!(unfinished(&bundle(273, 256)), "tile/entries/273.p");
    }

    #[test]
    fn a_bundle_of_another_form_has_no_entries() {
        let mut good = Vec::new();
        add_entry(&mut good, b"one").expect("fits");
        add_entry(&mut good, b"").expect("fits");
        assert_eq!(good, b"\0\x03one\0\0");
        assert_eq!(entries(&good, 2), Some(vec![2..5, 7..7]));
        for (bytes, width) in
            [(&good[..], 1), (&good[..], 3), (&good[..6], 2), (&good[..4], 1), (&[], 1), (&[0, 0, 0], 1)]
        {
            assert_eq!(entries(bytes, width), None, "{bytes:?}");
        }
        assert_eq!(add_entry(&mut good, &vec![0; 65_536]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_bundle_of_entries_within_it_or_none(
            bytes in proptest::collection::vec(0_u8..4, 0..60),
            width in 1_usize..20,
        ) {
            if let Some(found) = entries(&bytes, width) {
                let mut again = Vec::new();
                for entry in &found {
                    add_entry(&mut again, &bytes[entry.clone()]).expect("fits");
                }
                prop_assert_eq!((again, found.len()), (bytes, width));
            }
        }
    }
}
