//! What the logs add to a hive.

use crate::sources::parse::hive::header::Header;
use crate::sources::parse::hive::pages::Overlay;

/// What the logs add to a hive.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources::parse::hive) struct Replay {
    /// The header of the hive, or that of a log if the hive's own is damaged.
    pub(in crate::sources::parse::hive) header: Header,
    /// The bytes of the hive after the last change.
    pub(in crate::sources::parse::hive) size: u32,
    /// The pages that the logs replace.
    pub(in crate::sources::parse::hive) overlay: Overlay,
    /// Why the logs may hold more than was applied.
    pub(in crate::sources::parse::hive) fault: Option<&'static str>,
}
