//! Where a change is worth a scan: the places on disk that the sources read, by name. Whoever watches them decides how.

use muster_proto::model::Watchlist;

use super::platform;

/// How much of a place matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The entry itself: that it comes, goes, is replaced or written. `*` in its name stands for any run of characters.
    Entry,
    /// Every entry of this directory.
    Listing,
    /// Every entry of this directory and of the directories in it.
    Tree,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute, as the looked-at machine sees it.
    pub path: String,
    /// How much of it matters.
    pub reach: Reach,
}

/// Everything that the sources of this platform read from disk and that can be watched; people's homes are left alone,
/// and what the kernel makes up as it is read (`/proc`) tells nobody that it has changed.
#[must_use]
pub fn places(watchlist: &Watchlist) -> Vec<Place> {
    let own = platform::PLACES.iter().map(|(path, reach)| Place { path: (*path).to_owned(), reach: *reach });
    let listed = watchlist.paths.iter().map(|path| Place { path: path.clone(), reach: Reach::Entry });
    own.chain(listed).collect()
}
