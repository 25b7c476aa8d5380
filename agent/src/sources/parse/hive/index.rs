//! Where the keys below recently used keys are, by a hash of their names.
//!
//! The lists in a hive have hashes and an order too, but their writers did not always keep to either. A lookup therefore
//! reads the name of every key of a list. Sources look up key after key in the same lists, so the last few are kept.

use std::collections::{VecDeque, hash_map::DefaultHasher};
use std::hash::{Hash, Hasher};

use super::bounds;
use crate::sources::parse::paged::PagedFault;
use crate::sources::parse::registry_value::folded;

/// The keys below one key.
#[derive(Debug)]
pub(super) struct Index {
    /// The cell of the key.
    pub(super) key: u32,
    /// The first thing that is wrong with its list.
    pub(super) fault: Option<PagedFault>,
    children: Vec<(u32, u32)>,
}

impl Index {
    /// The index of the keys below a key: hash and cell of each. Their names are not kept, since they can be long.
    pub(super) fn new(key: u32, mut children: Vec<(u32, u32)>, fault: Option<PagedFault>) -> Self {
        // The sort keeps the order of equal hashes, so that the first of two keys with one name is found.
        children.sort_by_key(|(hash, _)| *hash);
        Self { key, fault, children }
    }

    /// The cells of the keys that may have this name.
    pub(super) fn candidates(&self, name: &str) -> Vec<u32> {
        let wanted = hash(name);
        let from = self.children.partition_point(|(hash, _)| *hash < wanted);
        self.children[from..].iter().take_while(|(hash, _)| *hash == wanted).map(|(_, cell)| *cell).collect()
    }
}

/// The hash of a name.
pub(super) fn hash(name: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    folded(name).hash(&mut hasher);
    let hash = hasher.finish();
    (hash ^ hash >> 32) as u32
}

/// The indexes of the keys that were used last.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Index>);

impl Recent {
    /// The index of a key.
    pub(super) fn get(&mut self, key: u32) -> Option<&Index> {
        let at = self.0.iter().position(|index| index.key == key)?;
        let index = self.0.remove(at)?;
        self.0.push_front(index);
        self.0.front()
    }

    /// Keeps an index, and drops those that were not used for the longest time.
    pub(super) fn put(&mut self, index: Index) {
        self.0.push_front(index);
        let mut children = 0;
        let kept = self.0.iter().take(bounds::INDEXED_KEYS).take_while(|index| {
            children += index.children.len();
            children <= bounds::INDEXED_CHILDREN
        });
        let kept = kept.count();
        self.0.truncate(kept);
    }
}
