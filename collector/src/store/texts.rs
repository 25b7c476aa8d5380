//! Texts with numbers, in memory: the data structure behind the dictionaries of both backends.
//!
//! Numbers start at 1 and grow by one; 0 means "no number".

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use muster_proto::canonical::ObservationView;

use super::SoftwareQuery;
use super::edition_bounds::EditionTotals;
use super::fault::Step;
use super::software::{self, Editions, Wanted};

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct Texts {
    /// All texts, concatenated.
    bytes: Vec<u8>,
    /// The end of each text in `bytes`; that of number n is at index n - 1.
    ends: Vec<usize>,
    /// Only numbers: with the position of the text beside each of them, the table would be four times as large.
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// The text of a number.
fn text<'b>(bytes: &'b [u8], ends: &[usize], number: u32) -> Option<&'b [u8]> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    let end = *ends.get(at)?;
    Some(&bytes[at.checked_sub(1).map_or(0, |before| ends[before])..end])
}

/// Reserves space for some more elements. A vector that doubles would be half empty at worst; this one is so by an eighth.
fn reserve_some<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        vector.reserve_exact(more.max(vector.len() / 8).max(64));
    }
}

impl Texts {
    /// The number of texts, which is also the last number.
    pub(in crate::store) fn len(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// The text of a number.
    pub(in crate::store) fn get(&self, number: u32) -> Option<&[u8]> {
        text(&self.bytes, &self.ends, number)
    }

    /// The hash for [`Self::find_by`] and [`Self::add`].
    pub(in crate::store) fn hash(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one(text)
    }

    /// The number of a text.
    pub(in crate::store) fn find(&self, text: &[u8]) -> Option<u32> {
        self.find_by(self.hash(text), |known| known == text)
    }

    /// The number of the text with this hash for which `is_it` is true.
    pub(in crate::store) fn find_by(&self, hash: u64, is_it: impl Fn(&[u8]) -> bool) -> Option<u32> {
        self.numbers.find(hash, |number| self.get(*number).is_some_and(&is_it)).copied()
    }

    /// Hash and number (or 0) of the editions of these observations. All hashes are computed first, so that the
    /// processor can fetch memory for several look-ups at once.
    pub(in crate::store) fn editions(&self, platform: u8, observations: &[ObservationView<'_>]) -> Vec<(u64, u32)> {
        let mut key = Vec::new();
        let hash = |seen: &ObservationView<'_>| {
            edition_key(platform, seen, &mut key);
            (self.hash(&key), 0)
        };
        let mut found: Vec<(u64, u32)> = observations.iter().map(hash).collect();
        for ((hash, number), seen) in found.iter_mut().zip(observations) {
            *number = self.find_by(*hash, |known| is_edition(platform, seen, known)).unwrap_or_default();
        }
        found
    }

    /// The editions of these observations that are not there, each once. `found` is their hashes and numbers, and gets the
    /// numbers of those that have been added since.
    pub(in crate::store) fn new_editions(
        &self,
        platform: u8,
        observations: &[ObservationView<'_>],
        found: &mut [(u64, u32)],
    ) -> EditionTotals {
        let (mut new, mut counted) = (EditionTotals::default(), HashSet::new());
        for ((hash, number), seen) in found.iter_mut().zip(observations).filter(|((_, number), _)| *number == 0) {
            *number = self.find_by(*hash, |known| is_edition(platform, seen, known)).unwrap_or_default();
            if *number == 0 && counted.insert(*hash) {
                new.add(1 + seen.edition.len() + seen.state.len());
            }
        }
        new
    }

    /// The number of texts and their bytes.
    pub(in crate::store) fn totals(&self) -> EditionTotals {
        EditionTotals { editions: u64::from(self.len()), text_bytes: self.bytes.len() as u64 }
    }

    /// Adds a text that is not there, and returns its number. `parts` are concatenated.
    pub(in crate::store) fn add(&mut self, hash: u64, parts: &[&[u8]]) -> u32 {
        reserve_some(&mut self.bytes, parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.skip();
        let number = self.len();
        let Self { bytes, ends, numbers, hasher } = self;
        let hash_of = |other: &u32| hasher.hash_one(text(bytes, ends, *other).unwrap_or_default());
        numbers.insert_unique(hash, number, hash_of);
        number
    }

    /// Leaves the next number without a text.
    pub(in crate::store) fn skip(&mut self) {
        reserve_some(&mut self.ends, 1);
        self.ends.push(self.bytes.len());
    }

    /// If the texts are editions: adds those that match, see [`software::search`].
    pub(in crate::store) fn search(
        &self,
        from: u32,
        text: &Wanted,
        query: &SoftwareQuery,
        found: &mut Editions,
    ) -> Step<Option<u32>> {
        software::search(&self.bytes, &self.ends, from, text, query, found)
    }
}

/// The text of an edition in the dictionary: platform, canonical bytes, and the state. The state is part of it, so that a
/// search knows from the dictionary alone what is installed.
pub(in crate::store) fn edition_key(platform: u8, seen: &ObservationView<'_>, key: &mut Vec<u8>) {
    key.clear();
    key.push(platform);
    key.extend_from_slice(seen.edition);
    key.extend_from_slice(seen.state.as_bytes());
}

/// Whether this text is the edition on this platform.
pub(in crate::store) fn is_edition(platform: u8, seen: &ObservationView<'_>, key: &[u8]) -> bool {
    let Some((of, rest)) = key.split_first() else { return false };
    *of == platform && rest.strip_prefix(seen.edition) == Some(seen.state.as_bytes())
}
