//! The places on disk that sources read, for the watch: a change there is worth a scan.

/// Which changes at a place matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The entry itself: created, removed, replaced or written. `*` in its name matches any run of characters.
    Entry,
    /// Every entry of this directory.
    Listing,
    /// Every entry of this directory and of its subdirectories.
    Tree,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute path on the scanned machine.
    pub path: String,
    /// Which changes matter.
    pub reach: Reach,
}
