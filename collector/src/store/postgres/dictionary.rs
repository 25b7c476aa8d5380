//! Editions (a title in one version), whole in memory, and the blocks in which the database keeps them.
//!
//! A text of some thirty bytes is no row of its own: a row would cost twice as much as the text, its indexes once more, and
//! a section that comes with many new ones as many insertions. What is new is kept together, sorted, each text by what
//! tells it from the one before:
//!
//! ```text
//! block := (shared:varint rest:varint bytes)*      numbered from `first` on
//! text  := platform:u8 edition, as it stands in canonical bytes
//! ```

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::fault::{Fault, Step};
use crate::store::software::{self, Editions, Wanted};

/// The dictionary: texts by number, numbers by text. Numbers begin with 1 and grow by one.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// All texts, one after the other.
    bytes: Vec<u8>,
    /// Where the text of number n ends, at n - 1.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Shelf {
    /// The number of a text.
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        let is_it = |number: &u32| self.get(*number) == Some(text);
        self.numbers.find(self.hasher.hash_one(text), is_it).copied()
    }

    /// The text of a number.
    pub(super) fn get(&self, number: u32) -> Option<&[u8]> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        let end = *self.ends.get(at)?;
        Some(&self.bytes[at.checked_sub(1).map_or(0, |before| self.ends[before])..end])
    }

    /// The editions of which something holds the text, see [`software::search`].
    pub(super) fn search(&self, text: &Wanted, version: &str) -> Step<Editions> {
        Ok(software::search(&self.bytes, &self.ends, text, version)?)
    }

    /// How many there are, which is the last number.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Takes a block. One that is known is passed over; none may be missing before it.
    pub(super) fn take(&mut self, first: i32, block: &[u8]) -> Step<()> {
        let damaged = |reason: &str| Fault::damaged(format!("block {first} of a dictionary"), reason);
        let known = self.len();
        let first_number = u32::try_from(first).map_err(|_| damaged("it has no number"))?;
        if first_number <= known {
            return Ok(());
        }
        if first_number != known + 1 {
            return Err(damaged("the one before it is not there"));
        }
        let mut text = Vec::new();
        let mut rest = block;
        while !rest.is_empty() {
            let shared = varint(&mut rest).filter(|shared| *shared <= text.len());
            let own = varint(&mut rest).filter(|own| *own <= rest.len());
            let (Some(shared), Some(own)) = (shared, own) else { return Err(damaged("it is cut")) };
            text.truncate(shared);
            text.extend_from_slice(&rest[..own]);
            rest = &rest[own..];
            self.add(&text);
        }
        Ok(())
    }

    fn add(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        let number = self.len();
        let Self { bytes, ends, numbers, hasher } = self;
        let text_of = |number: &u32| {
            let at = *number as usize - 1;
            &bytes[at.checked_sub(1).map_or(0, |before| ends[before])..ends[at]]
        };
        numbers.insert_unique(hasher.hash_one(text), number, |other| hasher.hash_one(text_of(other)));
    }
}

/// A block of these texts.
pub(super) fn block(texts: &BTreeSet<Vec<u8>>) -> Vec<u8> {
    let mut block = Vec::new();
    let mut before: &[u8] = &[];
    for text in texts {
        let shared = before.iter().zip(text).take_while(|(one, other)| one == other).count();
        put_varint(&mut block, shared);
        put_varint(&mut block, text.len() - shared);
        block.extend_from_slice(&text[shared..]);
        before = text;
    }
    block
}

fn put_varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..28).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> BTreeSet<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn blocks_give_back_their_texts_and_their_numbers() {
        let long = "x".repeat(70_000);
        let (one, other) = (texts(&["libc6", "", "libc-bin", "zlib", &long]), texts(&["libc6-dev", "кесл"]));
        let mut shelf = Shelf::default();
        shelf.take(1, &block(&one)).expect("takes");
        shelf.take(6, &block(&other)).expect("takes");
        for (number, text) in (1..).zip(one.iter().chain(&other)) {
            assert_eq!(shelf.get(number), Some(text.as_slice()));
            assert_eq!(shelf.find(text), Some(number));
        }
        assert_eq!((shelf.len(), shelf.get(0), shelf.get(8), shelf.find(b"lib")), (7, None, None, None));
        shelf.take(6, &block(&other)).expect("passes over what is known");
        assert_eq!(shelf.len(), 7);
        assert!(block(&texts(&["libc6-dbg", "libc6-dev"])).len() < 16, "what is shared is not repeated");
    }

    #[test]
    fn a_block_that_is_cut_or_out_of_turn_is_damage() {
        let whole = block(&texts(&["adduser", "apt"]));
        for end in 1..whole.len() {
            let cut = Shelf::default().take(1, &whole[..end]);
            // Between two texts a cut does not show here; the section that names what is missing shows it.
            assert!(cut.is_err() || end == 9, "cut at {end}");
        }
        assert!(Shelf::default().take(2, &whole).is_err());
        assert!(Shelf::default().take(1, &[1, 0]).is_err(), "it shares what is not there");
        assert!(Shelf::default().take(1, &[0x80; 9]).is_err());
    }
}
