//! The editions in memory, and the blocks in which the database stores them.
//!
//! An edition has about thirty bytes. A row for each would cost twice as much as its text, its indexes as much again,
//! and a section with many new editions would need as many insertions. So the new editions of a batch are one block:
//! sorted, each as its difference from the one before.
//!
//! ```text
//! block := (shared:varint rest:varint bytes)*      numbered from `first` on
//! text  := platform:u8 edition state      see `edition_detail`
//! ```

use std::collections::BTreeSet;

use super::fault::{PostgresFault, Step};
use crate::store::edition_table::EditionTable;
use crate::store::varint;

/// The dictionary in memory: blocks without a gap.
#[derive(Debug, Default)]
pub(super) struct EditionTexts {
    table: EditionTable,
    /// For the text that is being read.
    text: Vec<u8>,
}

impl EditionTexts {
    pub(super) const fn table(&self) -> &EditionTable {
        &self.table
    }

    /// Makes space for editions up to this number.
    pub(super) fn reserve_to(&mut self, last: i32) {
        let more = u32::try_from(last).unwrap_or_default().saturating_sub(self.table.last());
        self.table.reserve(more as usize);
    }

    /// Gives back the memory that is not in use.
    pub(super) fn shrink(&mut self) {
        self.table.shrink();
    }

    /// Adds a block. A known block is skipped. It is an error if the block before it is missing.
    pub(super) fn take(&mut self, first: i32, block: &[u8]) -> Step<()> {
        let damaged = |reason: &str| PostgresFault::damaged(format!("block {first} of a dictionary"), reason);
        let known = self.table.last();
        let first_number = u32::try_from(first).map_err(|_| damaged("it has no number"))?;
        if first_number <= known {
            return Ok(());
        }
        if first_number != known + 1 {
            return Err(damaged("the block before it is missing"));
        }
        let Self { table, text } = self;
        text.clear();
        let mut rest = block;
        while !rest.is_empty() {
            let shared = varint::read(&mut rest).filter(|shared| *shared <= text.len());
            let own = varint::read_text(&mut rest);
            let (Some(shared), Some(own)) = (shared, own) else { return Err(damaged("it is cut")) };
            text.truncate(shared);
            text.extend_from_slice(own);
            table.add(text).ok_or_else(|| damaged("a text of it is no edition"))?;
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
        varint::put(&mut block, shared);
        varint::put_text(&mut block, &text[shared..]);
        before = text;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::edition_detail::{Detail, Id, write_title_of};

    /// The texts of editions with these names.
    fn texts(names: &[&str]) -> BTreeSet<Vec<u8>> {
        let text = |name: &&str| {
            let mut text = Vec::new();
            write_title_of(1, 1, name.as_bytes(), b"Debian", &mut text);
            Detail { id: Id::None, state: b"ii", version: b"1.0" }.spell(name.as_bytes(), &mut text);
            text
        };
        names.iter().map(text).collect()
    }

    #[test]
    fn blocks_give_back_their_texts_and_their_numbers() {
        let long = "x".repeat(70_000);
        let (one, other) = (texts(&["libc6", "", "libc-bin", "zlib", &long]), texts(&["libc6-dev", "кесл"]));
        let mut editions = EditionTexts::default();
        editions.take(1, &block(&one)).expect("takes");
        editions.take(6, &block(&other)).expect("takes");
        for (number, text) in (1..).zip(one.iter().chain(&other)) {
            assert_eq!(editions.table().text(number).as_ref(), Some(text));
            assert_eq!(editions.table().find(text), Some(number));
        }
        let all = editions.table();
        assert_eq!((all.last(), all.text(0), all.text(8), all.find(b"lib")), (7, None, None, None));
        editions.take(6, &block(&other)).expect("passes over what is known");
        assert_eq!(editions.table().last(), 7);
        assert!(block(&texts(&["libc6-dbg", "libc6-dev"])).len() < 48, "what is shared is not repeated");
    }

    #[test]
    fn a_block_that_is_cut_or_out_of_turn_is_damage() {
        let texts = texts(&["adduser", "apt"]);
        let whole = block(&texts);
        let first = 2 + texts.first().expect("a text").len();
        for end in 1..whole.len() {
            let cut = EditionTexts::default().take(1, &whole[..end]);
            // Between two texts a cut does not show here; the section that names what is missing shows it.
            assert!(cut.is_err() || end == first, "cut at {end}");
        }
        assert!(EditionTexts::default().take(2, &whole).is_err());
        assert!(EditionTexts::default().take(1, &[1, 0]).is_err(), "it shares what is not there");
        assert!(EditionTexts::default().take(1, &[0, 1, 7]).is_err(), "no edition");
        assert!(EditionTexts::default().take(1, &[0x80; 9]).is_err());
    }
}
