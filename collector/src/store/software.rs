//! Search for software: the query, and the way from editions to hosts. `edition_search` finds the editions.
//!
//! ```text
//!  dictionary ─► Editions ─► Pairs (sections) ─► Pairs (snapshots) ─► Pairs (hosts) ─► count ─► page
//!                            index               index or table       table
//! ```

mod count;
mod editions;
mod pairs;

use std::fmt;
use std::sync::Arc;

use muster_proto::model::{HostId, Kind, SoftwareHost};

pub(in crate::store) use self::count::{OfSections, Trail, count, filled};
pub(in crate::store) use self::editions::Editions;
pub(in crate::store) use self::pairs::Pairs;

use super::SiteScope;
use super::search_budget::SearchBudget;

/// A search for software.
#[derive(Debug, Clone)]
pub struct SoftwareQuery {
    /// Text that the name or the vendor contains, ignoring case; not empty.
    pub text: String,
    /// The version.
    pub version: VersionFilter,
    /// Which states mean that software is installed.
    pub installed: InstalledStates,
    /// Also software whose state means that it is not installed.
    pub remnants: bool,
    /// Only hosts of these sites.
    pub sites: SiteScope,
    /// At most this many editions, those on most hosts first.
    pub editions: usize,
    /// At most this many hosts.
    pub hosts: usize,
    /// Only hosts after this place. Hosts are in the order of their names, without regard to the case of ASCII letters,
    /// and of their ids.
    pub after: Option<(String, HostId)>,
    /// What the search may use.
    pub budget: SearchBudget,
}

/// Which versions match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VersionFilter {
    /// Every version.
    #[default]
    Any,
    /// Only this version.
    Exactly(String),
    /// Versions that start with this text.
    StartsWith(String),
}

impl VersionFilter {
    pub(in crate::store) fn matches(&self, version: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => version == wanted,
            Self::StartsWith(start) => version.starts_with(start),
        }
    }
}

/// Says of a state, as a source of this kind spells it, whether it means that the software is installed. The rules know
/// that, and the store does not know the rules.
#[derive(Clone)]
pub struct InstalledStates(Arc<IsInstalled>);

/// Whether a state of an observation of this kind means that the software is installed.
type IsInstalled = dyn Fn(Kind, &str) -> bool + Send + Sync;

impl InstalledStates {
    /// States for which this is true mean that the software is installed.
    #[must_use]
    pub fn new(is_installed: impl Fn(Kind, &str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_installed))
    }
}

impl Default for InstalledStates {
    /// Every state means that the software is installed.
    fn default() -> Self {
        Self::new(|_, _| true)
    }
}

impl fmt::Debug for InstalledStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstalledStates").finish_non_exhaustive()
    }
}

/// The result of one step in building the search index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexStep {
    /// A step was taken; there may be more.
    Taken,
    /// Nothing to do.
    Nothing,
    /// Not now: another collector is building, or transactions are still writing. Try again soon.
    Later,
}

/// About how many editions of hosts a page may have in total: a page ends early rather than use much memory.
pub(in crate::store) const PAGE: usize = 100_000;

/// Whether a page of hosts may have ended early, because it has so many editions. Then it may not be the last one, even
/// if it has fewer hosts than were asked for.
pub(crate) fn software_page_is_full(hosts: &[SoftwareHost]) -> bool {
    hosts.iter().map(|host| host.editions.len()).sum::<usize>() > PAGE
}
