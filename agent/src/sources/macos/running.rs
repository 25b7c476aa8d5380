//! What runs on a Mac.

use std::collections::BTreeSet;

/// The programs that run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Running {
    /// The paths of their files.
    pub(super) programs: BTreeSet<String>,
    /// Whether some processes do not say what they run.
    pub(super) some_hidden: bool,
}
