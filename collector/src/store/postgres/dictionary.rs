//! The editions in memory, as they are read from blocks.

use super::block::{self, BlockReader, Entry};
use super::fault::{PostgresFault, Step};
use crate::store::edition_table::EditionTable;

/// The dictionary in memory. Numbers whose editions were removed are gaps.
#[derive(Debug, Default)]
pub(super) struct EditionTexts(EditionTable);

impl EditionTexts {
    pub(super) const fn table(&self) -> &EditionTable {
        &self.0
    }

    /// Makes space for editions up to this number.
    pub(super) fn reserve_to(&mut self, last: i32) {
        let more = u32::try_from(last).unwrap_or_default().saturating_sub(self.0.last());
        self.0.reserve(more as usize);
    }

    /// Gives back the memory that is not in use.
    pub(super) fn shrink(&mut self) {
        self.0.shrink();
    }

    /// Adds a block. A known block is skipped. Blocks come in the order of their numbers; one that is missing had no edition
    /// left.
    pub(super) fn take(&mut self, first: i32, block: &[u8]) -> Step<()> {
        let mut reader = BlockReader::new(first, block)?;
        if u32::try_from(first).is_ok_and(|first| first <= self.0.last()) {
            return Ok(());
        }
        let damaged = || PostgresFault::damaged(format!("block {first} of a dictionary"), "a text of it is no edition");
        while let Some((number, entry)) = reader.next()? {
            self.0.skip_to(number);
            match entry {
                Entry::Text(text) => drop(self.0.add(text).ok_or_else(damaged)?),
                Entry::Gaps(gaps) => self.0.skip_to(number + gaps),
            }
        }
        Ok(())
    }

    /// Forgets the editions of a known block that it does not have any more.
    pub(super) fn forget_gaps(&mut self, first: i32, block: &[u8]) -> Step<()> {
        block::gaps(first, block)?.into_iter().for_each(|number| self.0.forget(number));
        Ok(())
    }

    /// Forgets the titles that no edition has any more.
    pub(super) fn forget_titles(&mut self) {
        let in_use = self.0.titles_in_use();
        let titles = 1..=self.0.titles().len();
        titles.filter(|title| !in_use.contains(i64::from(*title))).for_each(|title| self.0.title_forget(title));
    }
}

/// The texts of editions with these names.
#[cfg(test)]
pub(super) fn texts_of(names: &[&str]) -> std::collections::BTreeSet<Vec<u8>> {
    use crate::store::edition_detail::{Detail, Id, write_title_of};
    let text = |name: &&str| {
        let mut text = Vec::new();
        write_title_of(1, 1, name.as_bytes(), b"Debian", &mut text);
        Detail { id: Id::None, state: b"ii", version: b"1.0" }.spell(name.as_bytes(), &mut text);
        text
    };
    names.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_back_their_texts_and_their_numbers() {
        let long = "x".repeat(70_000);
        let (one, other) = (texts_of(&["libc6", "", "libc-bin", "zlib", &long]), texts_of(&["libc6-dev", "кесл"]));
        let mut editions = EditionTexts::default();
        editions.take(1, &block::block(&one)).expect("takes");
        editions.take(6, &block::block(&other)).expect("takes");
        for (number, text) in (1..).zip(one.iter().chain(&other)) {
            assert_eq!(editions.table().text(number).as_ref(), Some(text));
            assert_eq!(editions.table().find(text), Some(number));
        }
        let all = editions.table();
        assert_eq!((all.last(), all.text(0), all.text(8), all.find(b"lib")), (7, None, None, None));
        editions.take(6, &block::block(&other)).expect("passes over what is known");
        assert_eq!(editions.table().last(), 7);
        assert!(editions.take(8, &[0, 1, 7]).is_err(), "no edition");
    }

    #[test]
    fn numbers_of_editions_that_were_removed_stay_unused() {
        let text = |name| texts_of(&[name]).pop_first().expect("one");
        let thinned = |first, names: &[&str], kept: u32| {
            block::thinned(first, &block::block(&texts_of(names)), |number| number == kept).expect("reads").0
        };
        // As they are sorted.
        let (one, other) = (["apt", "bash", "dash"], ["curl", "wget"]);
        let mut editions = EditionTexts::default();
        editions.take(1, &thinned(1, &one, 2)).expect("takes");
        // The blocks with the numbers 4 to 9 had no edition left.
        editions.take(10, &thinned(10, &other, 10)).expect("takes");
        let all = editions.table();
        assert_eq!(
            (all.find(&text("bash")), all.find(&text("curl")), all.find(&text("apt"))),
            (Some(2), Some(10), None)
        );
        assert_eq!((all.last(), all.totals().editions), (11, 2), "gaps do not count");
        // Another collector removes one more.
        let none = thinned(1, &one, 0);
        for _ in 0..2 {
            editions.forget_gaps(1, &none).expect("forgets");
            editions.forget_titles();
        }
        let all = editions.table();
        assert_eq!((all.find(&text("bash")), all.find(&text("curl")), all.last()), (None, Some(10), 11));
        assert_eq!(all.totals().editions, 1);
        editions.take(12, &block::block(&texts_of(&["bash"]))).expect("takes");
        assert_eq!(editions.table().find(&text("bash")), Some(12), "it came again");
    }
}
