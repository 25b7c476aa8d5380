//! The editions that a search has found: compact, because there can be hundreds of thousands of them, of which few are shown.
//!
//! ```text
//!  numbers := (edition's number, group)*           ascending
//!  group   := platform kind present name vendor version state
//! ```
//!
//! A person sees editions that differ only in their ids as one: they are one group.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, Equivalent, HashMap, HashTable};
use muster_proto::canonical::Edition;
use muster_proto::model::{Kind, Platform, SoftwareEdition};

use crate::store::SoftwareQuery;
use crate::store::fault::{Step, StoreFault};

/// The memory of a number besides the text of its group: here, and on the way through the index.
const NUMBER_BYTES: usize = 8 + 16;
/// The memory of a group besides its text: here, and while its hosts are counted.
const GROUP_BYTES: usize = 8 + 16 + 24;

/// The memory of a state besides its text.
const STATE_BYTES: usize = 64;

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct Editions {
    numbers: Vec<(u32, u32)>,
    /// The texts of all groups, concatenated.
    bytes: Vec<u8>,
    /// The end of each text in `bytes`.
    ends: Vec<usize>,
    groups: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Which states mean that software is installed: there are few, and asking costs more than looking here.
    states: HashMap<(Kind, String), bool>,
}

/// A state as it is looked for.
#[derive(Hash)]
struct Asked<'a>(Kind, &'a str);

impl Equivalent<(Kind, String)> for Asked<'_> {
    fn equivalent(&self, (kind, state): &(Kind, String)) -> bool {
        (self.0, self.1) == (*kind, state.as_str())
    }
}

/// The text of a group. Groups have the same order as [`SoftwareEdition`]s.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group<'a> {
    platform: Platform,
    kind: Kind,
    name: &'a str,
    vendor: &'a str,
    version: &'a str,
    state: &'a str,
    present: bool,
}

impl<'a> Group<'a> {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.platform.code(), self.kind.code(), u8::from(self.present)]);
        for text in [self.name, self.vendor, self.version] {
            bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(self.state.as_bytes());
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let ([platform, kind, present], mut rest) = bytes.split_first_chunk::<3>()?;
        let mut text = || {
            let (length, text) = rest.split_first_chunk()?;
            let (text, after) = text.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            std::str::from_utf8(text).ok()
        };
        let (name, vendor, version) = (text()?, text()?, text()?);
        Some(Self {
            platform: Platform::from_code(*platform)?,
            kind: Kind::from_code(*kind)?,
            name,
            vendor,
            version,
            state: std::str::from_utf8(rest).ok()?,
            present: *present != 0,
        })
    }
}

impl Editions {
    /// None yet.
    pub(in crate::store) fn new() -> Self {
        Self::default()
    }

    /// Adds an edition, if it is installed or remnants are wanted too, and pays for it.
    pub(in crate::store) fn add(
        &mut self,
        number: u32,
        platform: u8,
        edition: &Edition<'_>,
        state: &str,
        query: &SoftwareQuery,
    ) -> Step<()> {
        let SoftwareQuery { installed, remnants, budget, .. } = query;
        let Edition { kind, name, vendor, version, id: _ } = *edition;
        let platform = Platform::from_code(platform)
            .ok_or_else(|| StoreFault::damaged("an edition", format!("there is no platform with code {platform}")))?;
        let present = match self.states.get(&Asked(kind, state)) {
            Some(present) => *present,
            None => {
                let present = (installed.0)(kind, state);
                budget.spend(0, STATE_BYTES + state.len())?;
                self.states.insert((kind, state.to_owned()), present);
                present
            }
        };
        if !present && !*remnants {
            return Ok(());
        }
        let from = self.bytes.len();
        Group { platform, kind, name, vendor, version, state, present }.write(&mut self.bytes);
        let Self { bytes, ends, groups, hasher, .. } = self;
        let text = &bytes[from..];
        let hash = hasher.hash_one(text);
        let known = groups.find(hash, |group| text_of(bytes, ends, *group) == Some(text)).copied();
        let group = match known {
            Some(group) => {
                bytes.truncate(from);
                budget.spend(1, NUMBER_BYTES)?;
                group
            }
            None => {
                budget.spend(1, NUMBER_BYTES + GROUP_BYTES + bytes.len() - from)?;
                let group = u32::try_from(ends.len()).unwrap_or(u32::MAX);
                ends.push(bytes.len());
                let hash_of = |other: &u32| hasher.hash_one(text_of(bytes, ends, *other).unwrap_or_default());
                groups.insert_unique(hash, group, hash_of);
                group
            }
        };
        self.numbers.push((number, group));
        Ok(())
    }

    /// The numbers, ascending.
    pub(in crate::store) fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.numbers.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The groups, each with its numbers: those of one group follow each other.
    pub(super) fn by_group(&self) -> Vec<(u32, u32)> {
        let mut by_group: Vec<(u32, u32)> = self.numbers.iter().map(|(number, group)| (*group, *number)).collect();
        by_group.sort_unstable();
        by_group
    }

    /// The edition that a person sees.
    pub(super) fn edition(&self, group: u32) -> Step<SoftwareEdition> {
        let Group { platform, kind, name, vendor, version, state, present } =
            self.read(group).ok_or_else(|| StoreFault::damaged("a search", "one of its editions is lost"))?;
        let (name, vendor, version, state) = (name.to_owned(), vendor.to_owned(), version.to_owned(), state.to_owned());
        Ok(SoftwareEdition { platform, kind, name, vendor, version, state, present })
    }

    /// The order in which people see these groups.
    pub(super) fn compare(&self, a: u32, b: u32) -> std::cmp::Ordering {
        self.read(a).cmp(&self.read(b))
    }

    fn read(&self, group: u32) -> Option<Group<'_>> {
        Group::read(text_of(&self.bytes, &self.ends, group)?)
    }
}

fn text_of<'b>(bytes: &'b [u8], ends: &[usize], group: u32) -> Option<&'b [u8]> {
    let at = usize::try_from(group).ok()?;
    let end = *ends.get(at)?;
    Some(&bytes[at.checked_sub(1).map_or(0, |before| ends[before])..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::InstalledStates;
    use crate::store::contract::query;

    fn added(editions: &mut Editions, number: u32, name: &str, id: &str, state: &str) {
        let edition = Edition { kind: Kind::Deb, name, vendor: "Debian", version: "1", id };
        let query = SoftwareQuery { installed: InstalledStates::new(|_, state| state != "removed"), ..query("any") };
        editions.add(number, Platform::Linux.code(), &edition, state, &query).expect("adds");
    }

    #[test]
    fn editions_that_differ_in_their_ids_alone_are_one_group_and_removed_ones_are_left_out() {
        let mut editions = Editions::default();
        added(&mut editions, 4, "curl", "curl:amd64", "");
        added(&mut editions, 5, "kesl", "kesl", "");
        added(&mut editions, 6, "curl", "curl:i386", "");
        added(&mut editions, 7, "curl", "curl:arm64", "removed");
        assert_eq!(editions.numbers(), [4, 5, 6]);
        assert_eq!(editions.by_group(), [(0, 4), (0, 6), (1, 5)]);
        let curl = editions.edition(0).expect("is there");
        assert_eq!((curl.name.as_str(), curl.vendor.as_str(), curl.present), ("curl", "Debian", true));
        assert_eq!(editions.compare(0, 1), std::cmp::Ordering::Less);
        assert!(editions.edition(2).is_err());
    }

    #[test]
    fn groups_are_in_the_order_of_the_editions_that_they_show() {
        let mut editions = Editions::default();
        for (number, name) in ["b", "ab", "a", "Б", "aa"].into_iter().enumerate() {
            added(&mut editions, u32::try_from(number).expect("small"), name, "", "");
        }
        let mut groups: Vec<u32> = (0..5).collect();
        groups.sort_by(|a, b| editions.compare(*a, *b));
        let sorted: Vec<SoftwareEdition> =
            groups.iter().map(|group| editions.edition(*group).expect("there")).collect();
        assert!(sorted.is_sorted(), "{sorted:?}");
    }
}
