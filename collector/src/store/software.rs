//! Search: which software is asked for, and the editions that fit.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, Input};
use muster_proto::canonical::Edition;
use muster_proto::model::{HostId, Platform, SoftwareCount, SoftwareEdition};

use super::fault::{Step, StoreFault};

/// Which software is asked for.
#[derive(Debug, Clone)]
pub struct SoftwareQuery {
    /// A part of its name or of its vendor, without regard to case; not empty.
    pub text: String,
    /// How its version begins; empty is any.
    pub version: String,
    /// At most this many editions; those that most hosts have come first.
    pub editions: usize,
    /// At most this many hosts.
    pub hosts: usize,
    /// Only hosts after this one, in the order of their ids.
    pub after: Option<HostId>,
}

/// What came of a step in building the index of search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexStep {
    /// It was taken; there may be more.
    Taken,
    /// There is nothing to do.
    Nothing,
    /// Another builds, or others are still writing: soon.
    Later,
}

/// Editions by their numbers.
pub(in crate::store) type Editions = BTreeMap<u32, SoftwareEdition>;

/// Finds a text without regard to case.
pub(in crate::store) enum Wanted {
    /// Of ASCII alone: one automaton finds it in all bytes.
    Plain(AhoCorasick),
    /// Of any letters, in small ones.
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

    /// Where the next text begins that may hold it, among texts that lie one after the other.
    fn next(&self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Plain(automaton) => automaton.find(Input::new(bytes).range(from..)).map(|hit| hit.start()),
            Self::Folded(_) => (from < bytes.len()).then_some(from),
        }
    }
}

/// Of a dictionary, the editions whose name or vendor holds the text and whose version begins so. The dictionary is all
/// its texts one after the other, each a platform and an edition, and where that of number n ends, at n - 1.
pub(in crate::store) fn search(bytes: &[u8], ends: &[usize], wanted: &Wanted, version: &str) -> Step<Editions> {
    let mut found = BTreeMap::new();
    let mut at = 0;
    // What is found may also stand in a version, or reach over the end of an edition.
    while let Some(hit) = wanted.next(bytes, at) {
        let index = ends.partition_point(|end| *end <= hit);
        let start = index.checked_sub(1).map_or(0, |before| ends[before]);
        at = ends[index];
        let Some((platform, edition)) = read(&bytes[start..at]) else { continue };
        if edition.version.starts_with(version) && (wanted.is_in(edition.name) || wanted.is_in(edition.vendor)) {
            found.insert(u32::try_from(index + 1).unwrap_or(u32::MAX), stored(platform, edition)?);
        }
    }
    Ok(found)
}

/// The numbers of each edition: under several ids it has several.
pub(in crate::store) fn by_text(editions: &Editions) -> BTreeMap<&SoftwareEdition, Vec<u32>> {
    let mut by_text: BTreeMap<&SoftwareEdition, Vec<u32>> = BTreeMap::new();
    for (number, edition) in editions {
        by_text.entry(edition).or_default().push(*number);
    }
    by_text
}

/// Editions of hosts on one page, about: a page ends early rather than fill the memory.
pub(in crate::store) const PAGE: usize = 100_000;

/// Puts editions in order, and says how many there are beyond the first so many.
pub(in crate::store) fn foremost(counted: &mut Vec<SoftwareCount>, most: usize) -> u64 {
    counted.sort_by(|a, b| b.hosts.cmp(&a.hosts).then_with(|| a.edition.cmp(&b.edition)));
    let more = counted.len().saturating_sub(most) as u64;
    counted.truncate(most);
    more
}

/// Platform and edition of a text of the dictionary.
pub(in crate::store) fn read(text: &[u8]) -> Option<(u8, Edition<'_>)> {
    let (platform, edition) = text.split_first()?;
    Some((*platform, Edition::read(edition).ok()?))
}

fn stored(platform: u8, edition: Edition<'_>) -> Step<SoftwareEdition> {
    let Edition { kind, name, vendor, version, id: _ } = edition;
    let platform = Platform::from_code(platform)
        .ok_or_else(|| StoreFault::damaged("an edition", format!("the platform {platform} has no meaning")))?;
    let (name, vendor, version) = (name.to_owned(), vendor.to_owned(), version.to_owned());
    Ok(SoftwareEdition { platform, kind, name, vendor, version })
}
