//! Byte strings with numbers, one after another in one allocation: the memory under the dictionaries.
//!
//! Numbers start at 1 and grow by one. A text that was forgotten leaves an empty one: its number is not given again.

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct Arena {
    bytes: Vec<u8>,
    ends: Ends,
}

/// Where each text ends. Four bytes for each of them are enough, because the higher bits seldom change.
#[derive(Debug, Default)]
struct Ends {
    low: Vec<u32>,
    /// The indexes from which on the ends are 4 GiB farther.
    carries: Vec<u32>,
}

impl Ends {
    fn get(&self, index: usize) -> Option<usize> {
        Some(end(*self.low.get(index)?, &self.carries, index))
    }

    /// The end before an index.
    fn before(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|before| self.get(before)).unwrap_or_default()
    }

    fn push(&mut self, end: usize) {
        self.carry(self.low.len(), end);
        reserve_some(&mut self.low, 1);
        self.low.push(end as u32);
    }

    /// Notes that the end at this index, and all that follow, have the higher bits of `end`.
    fn carry(&mut self, index: usize, end: usize) {
        while (self.carries.len() as u64) < end as u64 >> 32 {
            self.carries.push(u32::try_from(index).unwrap_or(u32::MAX));
        }
    }
}

fn end(low: u32, carries: &[u32], index: usize) -> usize {
    let carried = carries.partition_point(|first| *first as usize <= index) as u64;
    (carried << 32 | u64::from(low)) as usize
}

/// Unused bytes that are never worth moving the others.
const WASTE: usize = 64 * 1024;

/// Reserves space for some more elements. A vector that doubles may be half empty; this one is at
/// most a ninth.
pub(in crate::store) fn reserve_some<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        vector.reserve_exact(more.max(vector.len() / 8).max(64));
    }
}

impl Arena {
    /// The last number.
    pub(in crate::store) fn len(&self) -> u32 {
        u32::try_from(self.ends.low.len()).unwrap_or(u32::MAX)
    }

    /// The text of a number.
    pub(in crate::store) fn get(&self, number: u32) -> Option<&[u8]> {
        let index = (number as usize).checked_sub(1)?;
        let end = self.ends.get(index)?;
        Some(&self.bytes[self.ends.before(index)..end])
    }

    /// Adds a text, and returns its number.
    pub(in crate::store) fn push(&mut self, text: &[u8]) -> u32 {
        reserve_some(&mut self.bytes, text.len());
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.len()
    }

    /// Leaves the numbers before this one without texts.
    pub(in crate::store) fn skip_to(&mut self, number: u32) {
        while self.len() + 1 < number {
            self.push(&[]);
        }
    }

    /// Leaves only the texts for which this is true; the others are empty.
    pub(in crate::store) fn retain(&mut self, is_kept: impl Fn(u32) -> bool) {
        let carries = std::mem::take(&mut self.ends.carries);
        let (mut from, mut to) = (0, 0);
        for (index, number) in (0..self.ends.low.len()).zip(1..) {
            let end = end(self.ends.low[index], &carries, index);
            if is_kept(number) {
                self.bytes.copy_within(from..end, to);
                to += end - from;
            }
            from = end;
            self.ends.carry(index, to);
            self.ends.low[index] = to as u32;
        }
        self.bytes.truncate(to);
        self.bytes.shrink_to(to + to / 8);
    }

    /// Texts that follow each other: those after number `from`, at least one of them, and no more than have `most` bytes
    /// together. Returns the bytes of all texts up to there, where the first one begins, and the last number; `None` if no text
    /// follows.
    pub(in crate::store) fn stretch(&self, from: u32, most: usize) -> Option<(&[u8], usize, u32)> {
        let index = from as usize;
        let start = self.ends.before(index);
        let end_of_first = self.ends.get(index)?;
        let last = self.after(start + most).saturating_sub(1).max(from + 1);
        let end = self.ends.get(last as usize - 1).unwrap_or(end_of_first);
        Some((&self.bytes[..end], start, last))
    }

    /// The number of the text that has the byte at this place, and the end of the text.
    pub(in crate::store) fn at(&self, place: usize) -> Option<(u32, usize)> {
        let number = self.after(place);
        Some((number, self.ends.get(number as usize - 1)?))
    }

    /// The number of the first text that ends after this place.
    fn after(&self, place: usize) -> u32 {
        let (mut low, mut high) = (0, self.ends.low.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.ends.get(middle) {
                Some(end) if end > place => high = middle,
                _ => low = middle + 1,
            }
        }
        u32::try_from(low + 1).unwrap_or(u32::MAX)
    }

    /// Whether so many bytes of texts that nobody needs are worth a [`Self::retain`], which moves all the others.
    pub(in crate::store) const fn is_wasteful(&self, unused: usize) -> bool {
        unused > self.bytes.len() / 8 + WASTE
    }

    /// Makes space for so many more texts.
    pub(in crate::store) fn reserve(&mut self, texts: usize) {
        self.ends.low.reserve_exact(texts);
    }

    /// Gives back the memory that is not in use.
    pub(in crate::store) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.low.shrink_to_fit();
    }

    /// The memory that it has.
    pub(in crate::store) const fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + (self.ends.low.capacity() + self.ends.carries.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena(texts: &[&str]) -> Arena {
        let mut arena = Arena::default();
        for text in texts {
            arena.push(text.as_bytes());
        }
        arena
    }

    #[test]
    fn ends_beyond_four_gigabytes_are_what_they_were() {
        let mut ends = Ends::default();
        let all = [7, u32::MAX as usize, 1 << 32, (1 << 32) + 5, 3 << 32, (3 << 32) + 1];
        all.iter().for_each(|end| ends.push(*end));
        let found: Vec<usize> = (0..all.len()).filter_map(|index| ends.get(index)).collect();
        assert_eq!((found.as_slice(), ends.get(6), ends.before(0), ends.before(3)), (&all[..], None, 0, 1 << 32));
    }

    #[test]
    fn texts_that_are_forgotten_leave_their_numbers_and_give_back_their_bytes() {
        let mut arena = arena(&["one", "", "three", "four"]);
        arena.retain(|number| number != 1 && number != 3);
        let texts = [1, 2, 3, 4].map(|number| arena.get(number));
        assert_eq!(texts, [Some(&b""[..]), Some(b""), Some(b""), Some(b"four")]);
        assert_eq!((arena.bytes.len(), arena.get(0), arena.get(5)), (4, None, None));
        assert_eq!(arena.push(b"five"), 5);
        assert_eq!(arena.at(3), Some((4, 4)));
        assert_eq!(arena.at(4), Some((5, 8)));
        assert_eq!(arena.at(8), None);
    }

    #[test]
    fn a_stretch_has_at_least_one_text_and_no_more_bytes_than_wanted() {
        let arena = arena(&["one", "two", "a long one", "x"]);
        let stretch = |from, most| arena.stretch(from, most).map(|(bytes, start, last)| (bytes.len(), start, last));
        assert_eq!(stretch(0, 6), Some((6, 0, 2)));
        assert_eq!(stretch(0, 5), Some((3, 0, 1)));
        assert_eq!(stretch(2, 1), Some((16, 6, 3)), "however long it is");
        assert_eq!(stretch(0, 1_000), Some((17, 0, 4)));
        assert_eq!(stretch(4, 1_000), None);
    }
}
