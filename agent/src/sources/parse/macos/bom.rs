//! The bill of materials of a package: every path that it installed. Apple does not document the format; the layout is that
//! of <https://github.com/hogliux/bomutils> and of `BOMStore` files that macOS writes.
//!
//! ```text
//!  header ─► index: offset and length of each block
//!         ─► variables: `Paths` names the block of a tree ─► leaves, each with the next one ─► pairs of blocks:
//!            with the number of paths                        number and kind of an entry · parent's number and name
//! ```
//!
//! A bill that has lost an entry would call a package removed that is there. So it counts only with as many entries as it
//! says, each in a folder that it has, and each of the kind that its mode says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::paged::be32;

/// Limit of a file. A package with 30,000 files has 3 MiB.
pub const FILE_BYTES: usize = 4 * 1024 * 1024;
/// Limit of entries.
const ENTRIES: usize = 65_536;
/// Limit of levels of a path.
const DEPTH: usize = 64;

const MAGIC: &[u8] = b"BOMStore";
const HEADER: usize = 32;
const TREE: &[u8] = b"tree";
const FILE: u8 = 1;
const FOLDER: u8 = 2;
const LINK: u8 = 3;
const DEVICE: u8 = 4;
/// What is at the top of the package has this parent.
const NOWHERE: u32 = 0;

/// The entries of a package as a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bom {
    entries: BTreeMap<u32, Entry>,
    below: BTreeMap<u32, Vec<u32>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    is_folder: bool,
}

/// Whether something that a package installed is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// A file of it.
    Something,
    /// No file of it.
    Nothing,
    /// Not everything was looked at.
    Unknown,
}

impl Bom {
    /// Reads a bill of materials; `None` if it is none, or a damaged one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let store = Store::open(bytes)?;
        let tree = store.block(store.variable(b"Paths")?)?;
        if !tree.starts_with(TREE) || tree.len() < 20 {
            return None;
        }
        let mut bom = Self::default();
        let mut leaf = store.first_leaf(be32(tree, 8))?;
        let mut used = BTreeSet::new();
        loop {
            // A leaf that leads back would never end.
            if !used.insert(leaf) {
                return None;
            }
            let block = store.block(leaf)?;
            for pair in pairs(block)? {
                bom.add(&store, pair, &mut used)?;
            }
            match be32(block, 4) {
                0 => break,
                next => leaf = next,
            }
        }
        let is_complete = usize::try_from(be32(tree, 16)).is_ok_and(|paths| paths == bom.entries.len());
        (is_complete && bom.is_one_tree()).then_some(bom)
    }

    /// Whether every entry is below the top, and in nothing but folders.
    fn is_one_tree(&self) -> bool {
        let mut reached = 0;
        let mut folders = vec![NOWHERE];
        while let Some(folder) = folders.pop() {
            for number in self.below.get(&folder).into_iter().flatten() {
                reached += 1;
                folders.extend(self.entries.get(number).filter(|entry| entry.is_folder).map(|_| *number));
            }
        }
        // A circle of folders is not reached.
        reached == self.entries.len() && !self.entries.is_empty()
    }

    /// Adds an entry. Each has blocks of its own, so that a changed reference does not lead to those of another one.
    fn add(&mut self, store: &Store<'_>, (first, second): (u32, u32), used: &mut BTreeSet<u32>) -> Option<()> {
        let (information, file) = (store.block(first)?, store.block(second)?);
        if information.len() < 8 || file.len() < 4 || self.entries.len() >= ENTRIES {
            return None;
        }
        let details = be32(information, 4);
        if ![first, second, details].into_iter().all(|block| used.insert(block)) {
            return None;
        }
        let kind = kind(store.block(details)?)?;
        let name = std::str::from_utf8(file[4..].strip_suffix(b"\0")?).ok()?;
        if name.is_empty() || name.contains(['/', '\0']) {
            return None;
        }
        let (number, parent) = (be32(information, 0), be32(file, 0));
        let entry = Entry { name: name.to_owned(), is_folder: kind == FOLDER };
        // An entry has one place, so that walking down from the top ends.
        if number == NOWHERE || self.entries.insert(number, entry).is_some() {
            return None;
        }
        self.below.entry(parent).or_default().push(number);
        Some(())
    }

    /// The number of entries that are no folders.
    #[must_use]
    pub fn files(&self) -> usize {
        self.entries.values().filter(|entry| !entry.is_folder).count()
    }

    /// The number of entries.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Whether a file of the package is still below a folder. `exists` says whether a path exists, `None` if that is unknown; it is
    /// asked at most `most` times.
    pub fn remains(&self, prefix: &str, most: usize, exists: &mut dyn FnMut(&str) -> Option<bool>) -> Remains {
        let mut left = most;
        let mut folders = vec![(NOWHERE, prefix.trim_end_matches('/').to_owned(), 0)];
        while let Some((folder, path, depth)) = folders.pop() {
            for number in self.below.get(&folder).into_iter().flatten() {
                let Some(entry) = self.entries.get(number) else { continue };
                // The package's own top is the prefix.
                let path = if entry.name == "." { path.clone() } else { format!("{path}/{}", entry.name) };
                if depth > DEPTH || left == 0 {
                    return Remains::Unknown;
                }
                left -= 1;
                match exists(if path.is_empty() { "/" } else { &path }) {
                    None => return Remains::Unknown,
                    Some(false) => {}
                    Some(true) if entry.is_folder => folders.push((*number, path, depth + 1)),
                    Some(true) => return Remains::Something,
                }
            }
        }
        Remains::Nothing
    }
}

/// The blocks of a file.
struct Store<'b> {
    bytes: &'b [u8],
    index: usize,
    blocks: usize,
}

impl<'b> Store<'b> {
    fn open(bytes: &'b [u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) || bytes.len() < HEADER {
            return None;
        }
        let index = usize::try_from(be32(bytes, 16)).ok()?;
        let blocks = usize::try_from(be32(bytes.get(index..)?, 0)).ok()?;
        let end = blocks.checked_mul(8)?.checked_add(index)?.checked_add(4)?;
        let store = (end <= bytes.len()).then_some(Self { bytes, index, blocks })?;
        let variables = usize::try_from(be32(bytes, 24)).ok()?;
        let length = usize::try_from(be32(bytes, 28)).ok()?;
        store.is_without_overlap(&[0..HEADER, index..end, variables..variables.checked_add(length)?]).then_some(store)
    }

    /// Whether no block shares a byte with another one or with these parts, as one does whose place or length has changed.
    fn is_without_overlap(&self, others: &[Range<usize>]) -> bool {
        let blocks = (0..self.blocks).filter_map(|number| self.place(u32::try_from(number).ok()?));
        let mut places: Vec<Range<usize>> =
            blocks.chain(others.iter().cloned()).filter(|one| !one.is_empty()).collect();
        places.sort_unstable_by_key(|place| place.start);
        places.windows(2).all(|pair| pair[0].end <= pair[1].start)
    }

    fn block(&self, number: u32) -> Option<&'b [u8]> {
        self.bytes.get(self.place(number)?)
    }

    fn place(&self, number: u32) -> Option<Range<usize>> {
        let number = usize::try_from(number).ok().filter(|number| *number < self.blocks)?;
        let place = self.index + 4 + 8 * number;
        let [start, length] = [be32(self.bytes, place), be32(self.bytes, place + 4)].map(usize::try_from);
        let start = start.ok()?;
        Some(start..start.checked_add(length.ok()?)?)
    }

    /// The block that a variable names.
    fn variable(&self, wanted: &[u8]) -> Option<u32> {
        let mut rest = self.bytes.get(usize::try_from(be32(self.bytes, 24)).ok()?..)?;
        let count = be32(rest, 0);
        rest = rest.get(4..)?;
        for _ in 0..count.min(64) {
            let (block, length) = (be32(rest, 0), usize::from(*rest.get(4)?));
            let name = rest.get(5..5 + length)?;
            if name == wanted {
                return Some(block);
            }
            rest = &rest[5 + length..];
        }
        None
    }

    /// The first leaf of a tree.
    fn first_leaf(&self, mut node: u32) -> Option<u32> {
        for _ in 0..DEPTH {
            let block = self.block(node)?;
            if block.get(..2)? != [0, 0] {
                return Some(node);
            }
            node = pairs(block)?.next()?.0;
        }
        None
    }
}

/// The kind of an entry: its byte, and the same in the mode of the file (`st_mode`), if the bill has modes.
fn kind(details: &[u8]) -> Option<u8> {
    let mode = u16::from_be_bytes([*details.get(4)?, *details.get(5)?]);
    let kind = *details.first()?;
    let of_mode = match mode & 0o17_0000 {
        0o10_0000 => FILE,
        0o04_0000 => FOLDER,
        0o12_0000 => LINK,
        0o02_0000 | 0o06_0000 => DEVICE,
        0 => kind,
        _ => return None,
    };
    (kind == of_mode && matches!(kind, FILE | FOLDER | LINK | DEVICE)).then_some(kind)
}

/// The pairs of blocks of one node.
fn pairs(block: &[u8]) -> Option<impl Iterator<Item = (u32, u32)> + '_> {
    let count = usize::from(u16::from_be_bytes([*block.get(2)?, *block.get(3)?]));
    let pairs = block.get(12..12 + count * 8)?;
    Some(pairs.chunks_exact(8).map(|pair| (be32(pair, 0), be32(pair, 4))))
}

/// Bills of materials for tests.
#[cfg(test)]
pub mod builder {
    use super::{FILE, FOLDER};

    /// A bill of materials with these files, whose paths begin with `./`.
    #[must_use]
    pub fn bom(files: &[&str]) -> Vec<u8> {
        let mut entries: Vec<(u32, String, bool)> = vec![(0, ".".to_owned(), true)];
        let mut known = vec![String::new()];
        for file in files {
            let mut path = String::new();
            let names: Vec<&str> = file.trim_start_matches("./").split('/').collect();
            for (at, name) in names.iter().enumerate() {
                let parent = known.iter().position(|known| *known == path).expect("a parent");
                path = format!("{path}/{name}");
                if !known.contains(&path) {
                    known.push(path.clone());
                    let parent = u32::try_from(parent + 1).expect("few");
                    entries.push((parent, (*name).to_owned(), at + 1 < names.len()));
                }
            }
        }
        let mut blocks: Vec<Vec<u8>> = vec![Vec::new(), tree(entries.len()), Vec::new()];
        let mut leaf = vec![0, 1];
        leaf.extend(u16::try_from(entries.len()).expect("few").to_be_bytes());
        leaf.extend([0; 8]);
        for (number, (parent, name, is_folder)) in (1_u32..).zip(&entries) {
            let first = u32::try_from(blocks.len()).expect("few");
            let (kind, mode) = if *is_folder { (FOLDER, 0o04_0755_u16) } else { (FILE, 0o10_0644) };
            blocks.push([&[kind, 1, 0, 0][..], &mode.to_be_bytes(), &[0; 4]].concat());
            blocks.push([number.to_be_bytes(), first.to_be_bytes()].concat());
            blocks.push([&parent.to_be_bytes(), name.as_bytes(), b"\0"].concat());
            leaf.extend((first + 1).to_be_bytes());
            leaf.extend((first + 2).to_be_bytes());
        }
        blocks[2] = leaf;
        file(&blocks)
    }

    fn tree(paths: usize) -> Vec<u8> {
        let paths = u32::try_from(paths).expect("few").to_be_bytes();
        [b"tree".as_slice(), &1_u32.to_be_bytes(), &2_u32.to_be_bytes(), &4096_u32.to_be_bytes(), &paths, &[0]].concat()
    }

    fn file(blocks: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"BOMStore".to_vec();
        bytes.resize(512, 0);
        let mut index = u32::try_from(blocks.len()).expect("few").to_be_bytes().to_vec();
        for block in blocks {
            index.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
            index.extend(u32::try_from(block.len()).expect("short").to_be_bytes());
            bytes.extend(block);
        }
        let at = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_be_bytes();
        let variables = at(&bytes);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 5]);
        bytes.extend(b"Paths");
        let index_at = at(&bytes);
        let index_length = at(&index);
        bytes.extend(index);
        for (at, number) in [(16, index_at), (20, index_length), (24, variables), (28, 14_u32.to_be_bytes())] {
            bytes[at..at + 4].copy_from_slice(&number);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILES: &[&str] = &["./Applications/X.app/Contents/MacOS/x", "./Applications/X.app/y", "./Library/z"];

    #[test]
    fn what_remains_of_a_package_is_seen_without_looking_at_more_than_needed() {
        let bom = Bom::parse(&builder::bom(FILES)).expect("a bill");
        assert_eq!(bom.files(), 3);
        let remains = |there: &[&str], most: usize| {
            let mut asked = 0;
            let remains = bom.remains("/", most, &mut |path| {
                asked += 1;
                Some(path == "/" || there.contains(&path))
            });
            (remains, asked)
        };
        let folders = ["/Applications", "/Library"];
        assert_eq!(remains(&folders, 100), (Remains::Nothing, 5), "nothing below a folder that is gone");
        assert_eq!(remains(&["/Applications", "/Library", "/Library/z"], 100).0, Remains::Something);
        assert_eq!(remains(&folders, 4).0, Remains::Unknown);
        assert_eq!(bom.remains("/", 100, &mut |_| None), Remains::Unknown);
        let mut asked = Vec::new();
        bom.remains("/opt/x", 100, &mut |path| {
            asked.push(path.to_owned());
            Some(true)
        });
        assert!(asked.contains(&"/opt/x/Library".to_owned()), "{asked:?}");
    }

    #[test]
    fn a_bill_that_was_cut_is_none() {
        let bytes = builder::bom(FILES);
        for cut in 0..bytes.len() {
            assert_eq!(Bom::parse(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_change_makes_it_panic_or_run_for_ever(place in 0..600_usize, byte in any::<u8>()) {
            let mut bytes = builder::bom(FILES);
            let place = bytes.len().saturating_sub(1 + place);
            bytes[place] = byte;
            if let Some(bom) = Bom::parse(&bytes) {
                let _ = bom.remains("/", 100, &mut |_| Some(true));
            }
        }
    }
}
