//! What one portion of a bulk change has done.

/// How a portion of hosts was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Those that differ now.
    pub(super) changed: u64,
    /// Those that have as much as a host may have.
    pub(super) refused: u64,
}
