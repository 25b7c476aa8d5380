//! Postings: segments of the search index, which map an edition to the sections that contain it. A segment covers one
//! range of section numbers and never changes. Segments of one level are merged into one of the next.
//!
//! ```text
//! segment := block*                     in the order of their first editions; each block is a row
//! block   := entry*
//! entry   := edition:varint length:varint list     the edition as its difference from the one before
//! list    := section:varint*                       each as its difference from the one before
//! ```

use super::fault::{Step, StoreFault};

/// The size of a block in bytes, approximately.
const BLOCK: usize = 2_000;
/// How many segments of one level are merged into one of the next.
pub(in crate::store) const FAN: i64 = 8;
/// The highest level. Merging further would cost more writes than it saves reads.
pub(in crate::store) const TOP: i64 = 2;
/// The most sections in a new segment.
pub(in crate::store) const SECTIONS: i64 = 4_096;

/// A block of entries, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Block {
    /// The first edition in the block.
    pub(in crate::store) first: u32,
    pub(in crate::store) bytes: Vec<u8>,
}

/// A segment of these sections. Each has its number and the numbers of its editions, ascending and without duplicates.
pub(in crate::store) fn segment(sections: &[(i64, Vec<u32>)]) -> Vec<Block> {
    let Some(first) = sections.iter().map(|(number, _)| *number).min() else { return Vec::new() };
    // Edition and offset fit into one number, so sorting these numbers sorts the postings.
    let mut pairs: Vec<u64> = Vec::with_capacity(sections.iter().map(|(_, editions)| editions.len()).sum());
    for (number, editions) in sections {
        let offset = u32::try_from(number - first).unwrap_or(u32::MAX);
        pairs.extend(editions.iter().map(|edition| u64::from(*edition) << 32 | u64::from(offset)));
    }
    pairs.sort_unstable();
    let mut writer = Writer::default();
    let mut list = List::default();
    for run in pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
        list.clear();
        run.iter().for_each(|pair| list.push(first + i64::from(*pair as u32)));
        writer.entry((run[0] >> 32) as u32, &list.bytes);
    }
    writer.finish()
}

/// Merges segments whose ranges follow each other.
///
/// # Errors
/// A block is damaged.
pub(in crate::store) fn merge(segments: &[Vec<Block>]) -> Step<Vec<Block>> {
    let mut heads = Vec::with_capacity(segments.len());
    for blocks in segments {
        let mut entries = Entries::of(blocks);
        heads.push((entries.next()?, entries));
    }
    let mut writer = Writer::default();
    let mut list = List::default();
    while let Some(edition) = heads.iter().filter_map(|(head, _)| head.map(|(edition, _)| edition)).min() {
        list.clear();
        // Segments come in the order of their ranges, so the merged list stays ascending.
        for (head, entries) in &mut heads {
            if let Some((of, bytes)) = *head
                && of == edition
            {
                each(bytes, |section| list.push(section))?;
                *head = entries.next()?;
            }
        }
        writer.entry(edition, &list.bytes);
    }
    Ok(writer.finish())
}

/// The blocks of a segment with only those sections that are still there.
///
/// # Errors
/// A block is damaged.
pub(in crate::store) fn only(blocks: &[Block], is_there: impl Fn(i64) -> bool) -> Step<Vec<Block>> {
    let (mut writer, mut list) = (Writer::default(), List::default());
    let mut entries = Entries::of(blocks);
    while let Some((edition, bytes)) = entries.next()? {
        list.clear();
        each(bytes, |section| {
            if is_there(section) {
                list.push(section);
            }
        })?;
        if !list.bytes.is_empty() {
            writer.entry(edition, &list.bytes);
        }
    }
    Ok(writer.finish())
}

/// Shows what a block says of the wanted editions, which are ascending: each with a section. Returns the wanted editions that
/// come after the last one in the block.
pub(in crate::store) fn wanted_in<'w>(
    first: u32,
    lists: &[u8],
    wanted: &'w [u32],
    mut show: impl FnMut(u32, i64) -> Step<()>,
) -> Step<&'w [u32]> {
    let mut entries = Entries { blocks: [].iter(), rest: lists, last: first };
    let mut wanted = wanted;
    while let Some(next) = wanted.first()
        && let Some((edition, list)) = entries.next()?
    {
        if edition < *next {
            continue;
        }
        // Most wanted editions follow each other closely, so the next one is found by steps that double.
        let mut most = 1;
        while wanted.get(most).is_some_and(|number| *number < edition) {
            most *= 2;
        }
        let near = &wanted[..wanted.len().min(most + 1)];
        wanted = &wanted[near.partition_point(|number| *number < edition)..];
        if wanted.first() == Some(&edition) {
            wanted = &wanted[1..];
            try_each(list, |section| show(edition, section))?;
        }
    }
    Ok(wanted)
}

/// A checksum of a segment that does not depend on the order: the sum of [`of_pair`] over its postings of sections that are
/// there.
pub(in crate::store) fn fingerprint(blocks: &[Block], is_there: impl Fn(i64) -> bool) -> Step<u64> {
    let mut sum = 0_u64;
    let mut entries = Entries::of(blocks);
    while let Some((edition, list)) = entries.next()? {
        each(list, |section| {
            if is_there(section) {
                sum = sum.wrapping_add(of_pair(edition, section));
            }
        })?;
    }
    Ok(sum)
}

/// What one posting adds to the fingerprint.
pub(in crate::store) fn of_pair(edition: u32, section: i64) -> u64 {
    // The finalizer of SplitMix64: similar pairs give very different numbers.
    let mut mixed = section.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(edition));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Default)]
struct List {
    bytes: Vec<u8>,
    last: i64,
}

impl List {
    fn clear(&mut self) {
        self.bytes.clear();
        self.last = 0;
    }

    fn push(&mut self, section: i64) {
        // Wrapping, like the reader, which must not panic on damaged bytes.
        varint(&mut self.bytes, section.wrapping_sub(self.last).cast_unsigned());
        self.last = section;
    }
}

#[derive(Default)]
struct Writer {
    blocks: Vec<Block>,
    last: u32,
}

impl Writer {
    fn entry(&mut self, edition: u32, list: &[u8]) {
        // A list is never split: one that is larger than a block gets a block alone.
        match self.blocks.last() {
            Some(block) if block.bytes.len() + list.len() <= BLOCK => {}
            _ => {
                self.blocks.push(Block { first: edition, bytes: Vec::new() });
                self.last = edition;
            }
        }
        if let Some(block) = self.blocks.last_mut() {
            varint(&mut block.bytes, u64::from(edition - self.last));
            varint(&mut block.bytes, list.len() as u64);
            block.bytes.extend_from_slice(list);
            self.last = edition;
        }
    }

    fn finish(self) -> Vec<Block> {
        self.blocks
    }
}

/// Reads the entries of several blocks in order.
struct Entries<'a> {
    blocks: std::slice::Iter<'a, Block>,
    rest: &'a [u8],
    last: u32,
}

impl<'a> Entries<'a> {
    fn of(blocks: &'a [Block]) -> Self {
        Self { blocks: blocks.iter(), rest: &[], last: 0 }
    }

    fn next(&mut self) -> Step<Option<(u32, &'a [u8])>> {
        while self.rest.is_empty() {
            let Some(block) = self.blocks.next() else { return Ok(None) };
            // Each block starts again at its first edition, so that it can be read alone.
            (self.rest, self.last) = (&block.bytes, block.first);
        }
        let more = u32::try_from(read_varint(&mut self.rest)?).map_err(|_| broken())?;
        self.last = self.last.checked_add(more).ok_or_else(broken)?;
        let length = usize::try_from(read_varint(&mut self.rest)?).map_err(|_| broken())?;
        let (list, rest) = self.rest.split_at_checked(length).ok_or_else(broken)?;
        self.rest = rest;
        Ok(Some((self.last, list)))
    }
}

fn each(list: &[u8], mut show: impl FnMut(i64)) -> Step<()> {
    try_each(list, |section| {
        show(section);
        Ok(())
    })
}

fn try_each(mut list: &[u8], mut show: impl FnMut(i64) -> Step<()>) -> Step<()> {
    let mut last = 0_i64;
    while !list.is_empty() {
        last = last.wrapping_add(read_varint(&mut list)?.cast_signed());
        show(last)?;
    }
    Ok(())
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Step<u64> {
    let mut value = 0;
    // Ten groups of seven bits hold every u64; more of them are damage.
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(broken)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(broken())
}

fn broken() -> StoreFault {
    StoreFault::damaged("a block of the search index", "it cannot be read")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn find(blocks: &[Block], edition: u32) -> Vec<i64> {
        let at = blocks.partition_point(|block| block.first <= edition);
        let block = at.checked_sub(1).map(|at| &blocks[at..=at]).unwrap_or_default();
        of_wanted(block, &[edition]).into_iter().map(|(_, section)| section).collect()
    }

    /// What these blocks say of the wanted editions.
    fn of_wanted(blocks: &[Block], wanted: &[u32]) -> Vec<(u32, i64)> {
        let (mut found, mut rest) = (Vec::new(), wanted);
        for block in blocks {
            let last = rest;
            rest = wanted_in(block.first, &block.bytes, rest, |edition, section| {
                found.push((edition, section));
                Ok(())
            })
            .expect("reads");
            let passed = &last[..last.len() - rest.len()];
            let next = find_last(block);
            assert!(passed.iter().all(|edition| *edition <= next) && rest.iter().all(|edition| *edition > next));
        }
        found
    }

    fn find_last(block: &Block) -> u32 {
        let mut entries = Entries::of(std::slice::from_ref(block));
        let mut last = block.first;
        while let Some((edition, _)) = entries.next().expect("reads") {
            last = edition;
        }
        last
    }

    proptest! {
        #[test]
        fn merged_segments_name_the_sections_that_each_of_them_named(
            fleet in proptest::collection::vec(proptest::collection::btree_set(1_u32..400, 0..60), 1..60),
            cuts in proptest::collection::btree_set(0_usize..60, 0..6),
        ) {
            let sections: Vec<(i64, Vec<u32>)> =
                (100..).zip(&fleet).map(|(number, editions)| (number, editions.iter().copied().collect())).collect();
            let mut wanted: BTreeMap<u32, BTreeSet<i64>> = BTreeMap::new();
            let mut sum = 0_u64;
            for (number, editions) in &sections {
                for edition in editions {
                    wanted.entry(*edition).or_default().insert(*number);
                    sum = sum.wrapping_add(of_pair(*edition, *number));
                }
            }
            let (mut segments, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().filter(|cut| *cut < sections.len()).chain([sections.len()]) {
                segments.push(segment(&sections[from..cut]));
                from = cut;
            }
            let merged = merge(&segments).expect("merges");
            prop_assert_eq!(fingerprint(&merged, |_| true).expect("reads"), sum);
            let is_even = |number: i64| number % 2 == 0;
            let even: Vec<(i64, Vec<u32>)> = sections.iter().filter(|(number, _)| is_even(*number)).cloned().collect();
            let kept = only(&merged, is_even).expect("reads");
            prop_assert_eq!(&kept, &segment(&even), "the same as one segment of the sections that are there");
            prop_assert_eq!(fingerprint(&merged, is_even).expect("reads"), fingerprint(&kept, |_| true).expect("reads"));
            prop_assert_eq!(&merged, &segment(&sections), "the same as one segment of all sections");
            for step in [1, 2, 7, 150] {
                let some: Vec<u32> = (0..400).step_by(step).collect();
                let expected: Vec<(u32, i64)> = some
                    .iter()
                    .flat_map(|edition| wanted.get(edition).into_iter().flatten().map(|section| (*edition, *section)))
                    .collect();
                prop_assert_eq!(of_wanted(&merged, &some), expected);
            }
            for edition in 0..400 {
                let named: BTreeSet<i64> = find(&merged, edition).into_iter().collect();
                prop_assert_eq!(&named, &wanted.remove(&edition).unwrap_or_default());
            }
        }

        #[test]
        fn damaged_blocks_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let block = Block { first: 7, bytes };
            let _ = wanted_in(block.first, &block.bytes, &[9, 12, 700], |_, _| Ok(()));
            let _ = fingerprint(std::slice::from_ref(&block), |_| true);
            let _ = only(std::slice::from_ref(&block), |_| true);
            let _ = merge(&[vec![block.clone()], vec![block]]);
        }
    }
}
