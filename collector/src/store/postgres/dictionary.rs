//! The editions in memory, and the blocks in which the database stores them.
//!
//! An edition has about thirty bytes. A row for each would cost twice as much as its text, its indexes as much again,
//! and a section with many new editions would need as many insertions. So the new editions of a batch are one block:
//! sorted, each as its difference from the one before.
//!
//! ```text
//! block := (shared:varint rest:varint bytes)*      numbered from `first` on
//! text  := platform:u8 edition state      the edition as in canonical bytes; the state is the rest
//! ```

use super::fault::{PostgresFault, Step};
use crate::store::texts::Texts;
use std::collections::BTreeSet;

/// The dictionary in memory: blocks without a gap.
#[derive(Debug, Default)]
pub(super) struct EditionTexts(Texts);

impl EditionTexts {
    pub(super) const fn texts(&self) -> &Texts {
        &self.0
    }

    /// Adds a block. A known block is skipped. It is an error if the block before it is missing.
    pub(super) fn take(&mut self, first: i32, block: &[u8]) -> Step<()> {
        let damaged = |reason: &str| PostgresFault::damaged(format!("block {first} of a dictionary"), reason);
        let known = self.0.len();
        let first_number = u32::try_from(first).map_err(|_| damaged("it has no number"))?;
        if first_number <= known {
            return Ok(());
        }
        if first_number != known + 1 {
            return Err(damaged("the block before it is missing"));
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
            self.0.add(self.0.hash(&text), &[&text]);
        }
        Ok(())
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
    // Four groups of seven bits; a longer number is damage.
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
        let mut editions = EditionTexts::default();
        editions.take(1, &block(&one)).expect("takes");
        editions.take(6, &block(&other)).expect("takes");
        for (number, text) in (1..).zip(one.iter().chain(&other)) {
            assert_eq!(editions.texts().get(number), Some(text.as_slice()));
            assert_eq!(editions.texts().find(text), Some(number));
        }
        let all = editions.texts();
        assert_eq!((all.len(), all.get(0), all.get(8), all.find(b"lib")), (7, None, None, None));
        editions.take(6, &block(&other)).expect("passes over what is known");
        assert_eq!(editions.texts().len(), 7);
        assert!(block(&texts(&["libc6-dbg", "libc6-dev"])).len() < 16, "what is shared is not repeated");
    }

    #[test]
    fn a_block_that_is_cut_or_out_of_turn_is_damage() {
        let whole = block(&texts(&["adduser", "apt"]));
        for end in 1..whole.len() {
            let cut = EditionTexts::default().take(1, &whole[..end]);
            // Between two texts a cut does not show here; the section that names what is missing shows it.
            assert!(cut.is_err() || end == 9, "cut at {end}");
        }
        assert!(EditionTexts::default().take(2, &whole).is_err());
        assert!(EditionTexts::default().take(1, &[1, 0]).is_err(), "it shares what is not there");
        assert!(EditionTexts::default().take(1, &[0x80; 9]).is_err());
    }
}
