//! The blocks in which the database stores editions.
//!
//! An edition has about thirty bytes. A row for each would cost twice as much as its text, its indexes as much again,
//! and a section with many new editions would need as many insertions. So the new editions of a batch are one block:
//! sorted, each as its difference from the one before. A block whose editions are removed is written again with gaps, so
//! that the others keep their numbers.
//!
//! ```text
//! block := entry*                       numbered from `first` on
//! entry := shared:varint rest:varint bytes        a text: what it shares with the text before it, and the rest
//!        | 0 0 gaps:varint                        so many numbers without a text
//! text  := of an edition, see `edition_detail`
//! ```

use std::collections::BTreeSet;

use super::fault::{PostgresFault, Step};
use crate::store::varint;

/// One entry of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Text(&'a [u8]),
    Gaps(u32),
}

/// Reads a block, entry by entry.
pub(super) struct BlockReader<'b> {
    first: i32,
    /// The number of the next entry.
    next: u32,
    rest: &'b [u8],
    text: Vec<u8>,
}

impl<'b> BlockReader<'b> {
    /// A block whose editions are numbered from `first` on.
    pub(super) fn new(first: i32, block: &'b [u8]) -> Step<Self> {
        match u32::try_from(first) {
            Ok(next) if next > 0 => Ok(Self { first, next, rest: block, text: Vec::new() }),
            _ => Err(damaged(first, "it has no number")),
        }
    }

    /// The next entry with its number, or that of the first of its gaps.
    pub(super) fn next(&mut self) -> Step<Option<(u32, Entry<'_>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let cut = || damaged(self.first, "it is cut");
        let shared = varint::read(&mut self.rest).filter(|shared| *shared <= self.text.len()).ok_or_else(cut)?;
        let own = varint::read(&mut self.rest).ok_or_else(cut)?;
        let number = self.next;
        if (shared, own) == (0, 0) {
            let gaps = varint::read(&mut self.rest).and_then(|gaps| u32::try_from(gaps).ok()).ok_or_else(cut)?;
            self.next = number.checked_add(gaps).ok_or_else(cut)?;
            return Ok(Some((number, Entry::Gaps(gaps))));
        }
        let (own, rest) = self.rest.split_at_checked(own).ok_or_else(cut)?;
        self.text.truncate(shared);
        self.text.extend_from_slice(own);
        (self.rest, self.next) = (rest, number + 1);
        Ok(Some((number, Entry::Text(&self.text))))
    }
}

/// A block of these texts, none of which is empty.
pub(super) fn block(texts: &BTreeSet<Vec<u8>>) -> Vec<u8> {
    let mut writer = BlockWriter::default();
    texts.iter().for_each(|text| writer.text(text));
    writer.finish()
}

/// The numbers in a block that have a text.
pub(super) fn numbers(first: i32, block: &[u8]) -> Step<Vec<u32>> {
    let (mut reader, mut numbers) = (BlockReader::new(first, block)?, Vec::new());
    while let Some((number, entry)) = reader.next()? {
        if let Entry::Text(_) = entry {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// The numbers in a block that have no text any more.
pub(super) fn gaps(first: i32, block: &[u8]) -> Step<Vec<u32>> {
    let (mut reader, mut numbers) = (BlockReader::new(first, block)?, Vec::new());
    while let Some((number, entry)) = reader.next()? {
        if let Entry::Gaps(gaps) = entry {
            numbers.extend(number..number + gaps);
        }
    }
    Ok(numbers)
}

/// A block with gaps in place of the editions that are not kept, and how many those are.
pub(super) fn thinned(first: i32, block: &[u8], is_kept: impl Fn(u32) -> bool) -> Step<(Vec<u8>, u64)> {
    let (mut reader, mut writer, mut removed) = (BlockReader::new(first, block)?, BlockWriter::default(), 0);
    while let Some((number, entry)) = reader.next()? {
        match entry {
            Entry::Text(text) if is_kept(number) => writer.text(text),
            Entry::Text(_) => {
                writer.gaps(1);
                removed += 1;
            }
            Entry::Gaps(gaps) => writer.gaps(gaps),
        }
    }
    Ok((writer.finish(), removed))
}

#[derive(Default)]
struct BlockWriter {
    bytes: Vec<u8>,
    before: Vec<u8>,
    /// Gaps that are not written yet.
    gaps: u32,
}

impl BlockWriter {
    fn text(&mut self, text: &[u8]) {
        self.write_gaps();
        let shared = self.before.iter().zip(text).take_while(|(one, other)| one == other).count();
        varint::put(&mut self.bytes, shared);
        varint::put_text(&mut self.bytes, &text[shared..]);
        self.before.truncate(shared);
        self.before.extend_from_slice(&text[shared..]);
    }

    const fn gaps(&mut self, gaps: u32) {
        self.gaps += gaps;
    }

    fn write_gaps(&mut self) {
        if self.gaps > 0 {
            self.bytes.extend_from_slice(&[0, 0]);
            varint::put(&mut self.bytes, self.gaps as usize);
            self.gaps = 0;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.write_gaps();
        self.bytes
    }
}

fn damaged(first: i32, reason: &str) -> PostgresFault {
    PostgresFault::damaged(format!("block {first} of a dictionary"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> BTreeSet<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    /// Each number with its text; `None` is a gap.
    fn read(first: i32, block: &[u8]) -> Vec<(u32, Option<String>)> {
        let (mut reader, mut all) = (BlockReader::new(first, block).expect("a number"), Vec::new());
        while let Some((number, entry)) = reader.next().expect("reads") {
            match entry {
                Entry::Text(text) => all.push((number, Some(String::from_utf8_lossy(text).into_owned()))),
                Entry::Gaps(gaps) => all.extend((number..number + gaps).map(|number| (number, None))),
            }
        }
        all
    }

    #[test]
    fn a_block_gives_back_its_texts_and_what_they_share_is_not_repeated() {
        let long = "x".repeat(70_000);
        let all = texts(&["libc6", "libc-bin", "zlib", &long]);
        let expected: Vec<_> =
            (7..).zip(&all).map(|(number, text)| (number, Some(String::from_utf8_lossy(text).into_owned()))).collect();
        assert_eq!(read(7, &block(&all)), expected);
        assert!(block(&texts(&["libc6-dbg", "libc6-dev"])).len() < 16);
    }

    #[test]
    fn a_block_without_some_editions_leaves_their_numbers_unused() {
        let whole = block(&texts(&["adduser", "apt", "apt-utils", "bash", "curl", "dash"]));
        for kept in 0..64_u32 {
            let is_kept = |number: u32| kept >> (number - 10) & 1 == 1;
            let (thin, removed) = thinned(10, &whole, is_kept).expect("reads");
            assert_eq!(removed, u64::from(6 - kept.count_ones()));
            let expected: Vec<_> =
                read(10, &whole).into_iter().map(|(number, text)| (number, text.filter(|_| is_kept(number)))).collect();
            assert_eq!(read(10, &thin), expected, "{kept:b}");
            assert_eq!(numbers(10, &thin).expect("reads"), (10..16).filter(|n| is_kept(*n)).collect::<Vec<_>>());
            assert_eq!(gaps(10, &thin).expect("reads"), (10..16).filter(|n| !is_kept(*n)).collect::<Vec<_>>());
            // Again, with what is left: gaps stay gaps.
            let (none, removed) = thinned(10, &thin, |_| false).expect("reads");
            assert_eq!((none, removed), (vec![0, 0, 6], u64::from(kept.count_ones())));
        }
    }

    #[test]
    fn a_block_that_is_cut_is_damage() {
        let whole = block(&texts(&["adduser", "apt"]));
        for end in 1..whole.len() {
            // Between two texts a cut does not show here; the section that names what is missing shows it.
            assert!(numbers(1, &whole[..end]).is_err() || end == 9, "cut at {end}");
        }
        assert!(numbers(0, &whole).is_err() && numbers(-1, &whole).is_err());
        assert!(numbers(1, &[1, 0]).is_err(), "it shares what is not there");
        assert!(numbers(1, &[0, 0]).is_err(), "no number of gaps");
        assert!(numbers(1, &[0x80; 9]).is_err());
    }
}
