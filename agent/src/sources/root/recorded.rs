//! Every path that a scan accesses, for a person who wants to see them.

use std::collections::{BTreeMap, BTreeSet};

use crate::memory::{RECORDED_BYTES, RECORDED_COST};

/// Every path that was accessed, with the names of the threads that did it.
pub type Accesses = BTreeMap<String, BTreeSet<String>>;

/// What a root has recorded, and how many bytes that takes.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) paths: Accesses,
    bytes: usize,
}

impl Recorded {
    pub(super) fn add(&mut self, path: &str, by: &str) {
        let is_known = self.paths.contains_key(path);
        let bytes = self.bytes + RECORDED_COST + path.len();
        let path = if is_known || bytes <= RECORDED_BYTES { path } else { MORE_PATHS };
        if !is_known && path != MORE_PATHS {
            self.bytes = bytes;
        }
        self.paths.entry(path.to_owned()).or_default().insert(by.to_owned());
    }
}

/// Stands for the paths that are not recorded.
const MORE_PATHS: &str = "(more paths than are recorded)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_paths_than_fit_are_named_as_such() {
        let mut recorded = Recorded::default();
        for number in 0..60_000 {
            recorded.add(&format!("/path/{number}"), "dpkg");
        }
        assert!(recorded.bytes <= RECORDED_BYTES);
        assert!(recorded.paths.len() > 20_000 && recorded.paths.len() < 40_000);
        recorded.add("/path/0", "rpm");
        assert_eq!(recorded.paths["/path/0"].len(), 2, "a known path");
        assert!(recorded.paths.contains_key(MORE_PATHS));
    }
}
