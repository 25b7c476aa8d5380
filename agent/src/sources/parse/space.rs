//! Counts what is parsed from one package database, so that a hostile one does not fill the memory.

use crate::memory::{PACKAGES, PACKAGES_BYTES, TEXT_COST};

/// What the packages of one database take so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Space {
    packages: usize,
    bytes: usize,
}

impl Space {
    /// Counts a package with these texts; `false` if it must not be kept.
    pub(super) fn take<const TEXTS: usize>(&mut self, texts: [&String; TEXTS]) -> bool {
        let lengths: usize = texts.iter().map(|text| size_of::<String>() + TEXT_COST + text.capacity()).sum();
        let (packages, bytes) = (self.packages + 1, self.bytes + lengths);
        let fits = packages <= PACKAGES && bytes <= PACKAGES_BYTES;
        if fits {
            *self = Self { packages, bytes };
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_as_many_packages_as_fit() {
        let mut space = Space::default();
        let short = "x".to_owned();
        assert_eq!((0..2 * PACKAGES).filter(|_| space.take([&short, &short])).count(), PACKAGES);
        let mut space = Space::default();
        let long = "x".repeat(PACKAGES_BYTES / 4);
        assert_eq!((0..10).filter(|_| space.take([&long])).count(), 3);
        assert!(space.take([&short]), "a shorter one still fits");
    }
}
