//! Search for software: the query, and matching the editions of a dictionary.
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

use aho_corasick::{AhoCorasick, Input};
use muster_proto::canonical::Edition;
use muster_proto::model::{HostId, Kind, SoftwareHost};

pub(in crate::store) use self::count::{OfSections, Trail, count, filled};
pub(in crate::store) use self::editions::Editions;
pub(in crate::store) use self::pairs::Pairs;

use super::SiteScope;
use super::fault::{Step, StoreFault};
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
    fn matches(&self, version: &str) -> bool {
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

/// Finds a text, ignoring case.
pub(in crate::store) enum Wanted {
    /// An ASCII text: one automaton searches all bytes.
    Plain(AhoCorasick),
    /// Any other text, in lower case.
    Folded(String),
}

impl Wanted {
    pub(in crate::store) fn new(text: &str) -> Step<Self> {
        if !text.is_ascii() {
            return Ok(Self::Folded(text.to_lowercase()));
        }
        let built = AhoCorasick::builder().ascii_case_insensitive(true).build([text]);
        built.map(Self::Plain).map_err(|error| StoreFault::Other(format!("the text cannot be searched for: {error}")))
    }

    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Plain(automaton) => automaton.is_match(text),
            Self::Folded(wanted) => !text.is_ascii() && text.to_lowercase().contains(wanted),
        }
    }

    /// The position of the next candidate in concatenated texts.
    fn next(&self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Plain(automaton) => automaton.find(Input::new(bytes).range(from..)).map(|hit| hit.start()),
            Self::Folded(_) => (from < bytes.len()).then_some(from),
        }
    }
}

/// The name under which agents report that a host has storage of container images.
const CONTAINER_STORAGE: &str = "container-storage";

/// How many bytes of texts one step searches: about a millisecond.
const STEP_BYTES: usize = 1 << 20;

/// Adds the editions of a dictionary whose name or vendor contains the text and that match the query. `bytes` are all texts,
/// concatenated, each a platform, an edition and a state; `ends[n - 1]` is the end of the text with number n. One step
/// searches the texts after number `from`, and returns the number up to which it has searched; `None` at the end.
pub(in crate::store) fn search(
    bytes: &[u8],
    ends: &[usize],
    from: u32,
    wanted: &Wanted,
    query: &SoftwareQuery,
    found: &mut Editions,
) -> Step<Option<u32>> {
    query.budget.check()?;
    let first = from as usize;
    if first >= ends.len() {
        return Ok(None);
    }
    let mut at = first.checked_sub(1).map_or(0, |before| ends[before]);
    // A step has at least one text, however long it is.
    let last = ends.partition_point(|end| *end <= at + STEP_BYTES).max(first + 1);
    let (bytes, ends) = (&bytes[..ends[last - 1]], &ends[..last]);
    // A hit may also be in a version or a state, or span two editions; only name and vendor count.
    while let Some(hit) = wanted.next(bytes, at) {
        let index = ends.partition_point(|end| *end <= hit);
        let start = index.checked_sub(1).map_or(0, |before| ends[before]);
        // One hit in a text is enough, so the search goes on after its end.
        at = ends[index];
        let Some((platform, edition, state)) = read(&bytes[start..at]) else { continue };
        // Agents do not read such storage, so its name is no software.
        if edition.kind == Kind::Path && edition.name == CONTAINER_STORAGE {
            continue;
        }
        let is_wanted = wanted.is_in(edition.name) || wanted.is_in(edition.vendor);
        if !is_wanted || !query.version.matches(edition.version) {
            continue;
        }
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        found.add(number, platform, &edition, state, query)?;
    }
    Ok(Some(u32::try_from(last).unwrap_or(u32::MAX)))
}

/// About how many editions of hosts a page may have in total: a page ends early rather than use much memory.
pub(in crate::store) const PAGE: usize = 100_000;

/// Whether a page of hosts may have ended early, because it has so many editions. Then it may not be the last one, even
/// if it has fewer hosts than were asked for.
pub(crate) fn software_page_is_full(hosts: &[SoftwareHost]) -> bool {
    hosts.iter().map(|host| host.editions.len()).sum::<usize>() > PAGE
}

/// Platform, edition and state of a text in the dictionary.
pub(in crate::store) fn read(text: &[u8]) -> Option<(u8, Edition<'_>, &str)> {
    let (platform, rest) = text.split_first()?;
    let (edition, state) = Edition::read_first(rest).ok()?;
    Some((*platform, edition, std::str::from_utf8(state).ok()?))
}
