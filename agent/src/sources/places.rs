//! The places on disk and in the registry that sources read, for the watch: a change there is worth a scan.

/// Which changes at a place matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The entry itself: created, removed, replaced or written. `*` in its name matches any run of characters. A key of the
    /// registry, and an entry on Windows or macOS: created, removed or replaced.
    Entry,
    /// Every entry of this directory, on macOS as with [`Self::Entry`]. Of a key: its own values, and which keys are directly below.
    Listing,
    /// Every entry of this directory and of its subdirectories. Of a key: all keys and values below.
    Tree,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute path on the scanned machine with `/`, or of a key of its registry with `\`, such as `HKLM\SOFTWARE`. A path
    /// on another volume than that of Windows begins with its letter: `D:/Programs`.
    pub path: String,
    /// Which changes matter.
    pub reach: Reach,
}

impl Place {
    /// Whether it is a key of the registry.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.path.starts_with(r"HKLM\")
    }

    /// Whether it is on another volume than that of Windows.
    #[must_use]
    pub fn is_on_other_volume(&self) -> bool {
        matches!(self.path.as_bytes(), [letter, b':', b'/', ..] if letter.is_ascii_alphabetic())
    }
}
