//! The bill of materials of a package: every path that it installed. Apple does not document the format; the layout is that
//! of <https://github.com/hogliux/bomutils> and of `BOMStore` files that macOS writes.
//!
//! ```text
//!  header ─► index: offset and length of each block
//!         ─► variables: `Paths` names the block of a tree ─► leaves, each with the next one ─► pairs of blocks:
//!                                                            number and kind of an entry · parent's number and name
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::super::paged::be32;

/// Limit of a file. A package with 30,000 files has 3 MiB.
pub const FILE_BYTES: usize = 4 * 1024 * 1024;
/// Limit of entries.
const ENTRIES: usize = 65_536;
/// Limit of levels of a path.
const DEPTH: usize = 64;

const MAGIC: &[u8] = b"BOMStore";
const TREE: &[u8] = b"tree";
const FILE: u8 = 1;
const FOLDER: u8 = 2;
const LINK: u8 = 3;

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
        if !tree.starts_with(TREE) || tree.len() < 16 {
            return None;
        }
        let mut bom = Self::default();
        let mut leaf = store.first_leaf(be32(tree, 8))?;
        let mut visited = BTreeSet::new();
        loop {
            // A leaf that leads back would never end.
            if !visited.insert(leaf) {
                return None;
            }
            let block = store.block(leaf)?;
            for pair in pairs(block)? {
                bom.add(&store, pair)?;
            }
            match be32(block, 4) {
                0 => break,
                next => leaf = next,
            }
        }
        (!bom.entries.is_empty()).then_some(bom)
    }

    fn add(&mut self, store: &Store<'_>, (information, file): (u32, u32)) -> Option<()> {
        let (information, file) = (store.block(information)?, store.block(file)?);
        if information.len() < 8 || file.len() < 4 || self.entries.len() >= ENTRIES {
            return None;
        }
        let kind = *store.block(be32(information, 4))?.first()?;
        let name = file[4..].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.contains('/'))?;
        let (number, parent) = (be32(information, 0), be32(file, 0));
        // A device is nothing that a program consists of.
        if matches!(kind, FILE | FOLDER | LINK) {
            let entry = Entry { name: name.to_owned(), is_folder: kind == FOLDER };
            if self.entries.insert(number, entry).is_some() {
                return None;
            }
            self.below.entry(parent).or_default().push(number);
        }
        Some(())
    }

    /// The number of entries that are no folders.
    #[must_use]
    pub fn files(&self) -> usize {
        self.entries.values().filter(|entry| !entry.is_folder).count()
    }

    /// Whether a file of the package is still below a folder. `exists` says whether a path exists, `None` if that is unknown; it is
    /// asked at most `most` times.
    pub fn remains(&self, prefix: &str, most: usize, exists: &mut dyn FnMut(&str) -> Option<bool>) -> Remains {
        let mut left = most;
        let mut folders = vec![(0, prefix.trim_end_matches('/').to_owned(), 0)];
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
        if !bytes.starts_with(MAGIC) || bytes.len() < 32 {
            return None;
        }
        let index = usize::try_from(be32(bytes, 16)).ok()?;
        let blocks = usize::try_from(be32(bytes.get(index..)?, 0)).ok()?;
        let end = blocks.checked_mul(8)?.checked_add(index)?.checked_add(4)?;
        (end <= bytes.len()).then_some(Self { bytes, index, blocks })
    }

    fn block(&self, number: u32) -> Option<&'b [u8]> {
        let number = usize::try_from(number).ok().filter(|number| *number < self.blocks)?;
        let place = self.index + 4 + 8 * number;
        let [start, length] = [be32(self.bytes, place), be32(self.bytes, place + 4)].map(usize::try_from);
        let start = start.ok()?;
        self.bytes.get(start..start.checked_add(length.ok()?)?)
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
        let mut blocks: Vec<Vec<u8>> = vec![Vec::new(), tree(), Vec::new()];
        let mut leaf = vec![0, 1];
        leaf.extend(u16::try_from(entries.len()).expect("few").to_be_bytes());
        leaf.extend([0; 8]);
        for (number, (parent, name, is_folder)) in (1_u32..).zip(&entries) {
            let first = u32::try_from(blocks.len()).expect("few");
            blocks.push(vec![if *is_folder { FOLDER } else { FILE }, 1]);
            blocks.push([number.to_be_bytes(), first.to_be_bytes()].concat());
            blocks.push([&parent.to_be_bytes(), name.as_bytes(), b"\0"].concat());
            leaf.extend((first + 1).to_be_bytes());
            leaf.extend((first + 2).to_be_bytes());
        }
        blocks[2] = leaf;
        file(&blocks)
    }

    fn tree() -> Vec<u8> {
        [b"tree".as_slice(), &1_u32.to_be_bytes(), &2_u32.to_be_bytes(), &[0; 9]].concat()
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
        bytes.extend(index);
        bytes[16..20].copy_from_slice(&index_at);
        bytes[24..28].copy_from_slice(&variables);
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
