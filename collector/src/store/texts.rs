//! Texts by number and numbers by text, whole in memory: what both backends make their dictionaries of.
//!
//! Numbers begin with 1 and grow by one; 0 is the number of nothing.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use muster_proto::canonical::ObservationView;

use super::fault::Step;
use super::software::{self, Editions, Wanted};

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct Texts {
    /// All texts, one after the other.
    bytes: Vec<u8>,
    /// Where the text of number n ends, at n - 1.
    ends: Vec<usize>,
    numbers: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

/// A number with the place of its text: whoever looks for a text need not look for its place first.
#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u32,
    start: usize,
    length: u32,
}

impl Slot {
    fn text(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..][..self.length as usize]
    }
}

impl Texts {
    /// How many there are, which is the last number.
    pub(in crate::store) fn len(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// The text of a number.
    pub(in crate::store) fn get(&self, number: u32) -> Option<&[u8]> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        let end = *self.ends.get(at)?;
        Some(&self.bytes[at.checked_sub(1).map_or(0, |before| self.ends[before])..end])
    }

    /// By what [`Self::find_by`] finds it and [`Self::add`] keeps it.
    pub(in crate::store) fn hash(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one(text)
    }

    /// The number of a text.
    pub(in crate::store) fn find(&self, text: &[u8]) -> Option<u32> {
        self.find_by(self.hash(text), |known| known == text)
    }

    /// The number of the text with this hash that is the right one.
    pub(in crate::store) fn find_by(&self, hash: u64, is_it: impl Fn(&[u8]) -> bool) -> Option<u32> {
        self.numbers.find(hash, |slot| is_it(slot.text(&self.bytes))).map(|slot| slot.number)
    }

    /// For the editions of these observations: by what each is found, and its number or 0. All hashes come first: the
    /// processor then fetches what many look-ups need at once.
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

    /// Gives a text that is not here its number. It may come in parts.
    pub(in crate::store) fn add(&mut self, hash: u64, text: &[&[u8]]) -> u32 {
        let start = self.bytes.len();
        text.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push(self.bytes.len());
        let number = self.len();
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        let Self { bytes, numbers, hasher, .. } = self;
        numbers.insert_unique(hash, Slot { number, start, length }, |other| hasher.hash_one(other.text(bytes)));
        number
    }

    /// The next number stands for nothing.
    pub(in crate::store) fn skip(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Where they are editions, those of which something holds the text, see [`software::search`].
    pub(in crate::store) fn search(&self, text: &Wanted, version: &str) -> Step<Editions> {
        software::search(&self.bytes, &self.ends, text, version)
    }
}

/// By what an edition is found.
pub(in crate::store) fn edition_key(platform: u8, seen: &ObservationView<'_>, key: &mut Vec<u8>) {
    key.clear();
    key.push(platform);
    key.extend_from_slice(seen.edition);
}

/// Whether this is the key of the edition.
pub(in crate::store) fn is_edition(platform: u8, seen: &ObservationView<'_>, key: &[u8]) -> bool {
    key.split_first() == Some((&platform, seen.edition))
}
