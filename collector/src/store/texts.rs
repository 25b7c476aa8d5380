//! Texts with numbers, in memory, each once: titles of editions, and the phrases of the embedded store.
//!
//! Numbers start at 1 and grow by one; 0 means "no number".

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::arena::Arena;
use super::number_set::NumberSet;

/// See the head of the file.
#[derive(Debug, Default)]
pub(in crate::store) struct Texts {
    arena: Arena,
    /// Only numbers: with the position of the text beside each of them, the table would be four times as large.
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The numbers whose texts were forgotten and are still in the arena, and the bytes of these texts.
    forgotten: NumberSet,
    unused: usize,
}

impl Texts {
    /// The last number.
    pub(in crate::store) fn len(&self) -> u32 {
        self.arena.len()
    }

    /// The text of a number.
    pub(in crate::store) fn get(&self, number: u32) -> Option<&[u8]> {
        self.arena.get(number)
    }

    /// The texts without their numbers.
    pub(in crate::store) const fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The hash for [`Self::find_hashed`] and [`Self::add`].
    pub(in crate::store) fn hash(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one(text)
    }

    /// The number of a text.
    pub(in crate::store) fn find(&self, text: &[u8]) -> Option<u32> {
        self.find_hashed(self.hash(text), text)
    }

    /// The number of a text with this hash.
    pub(in crate::store) fn find_hashed(&self, hash: u64, text: &[u8]) -> Option<u32> {
        self.numbers.find(hash, |number| self.get(*number) == Some(text)).copied()
    }

    /// The number of a text, which is added if it is new.
    pub(in crate::store) fn number(&mut self, text: &[u8]) -> u32 {
        let hash = self.hash(text);
        self.find_hashed(hash, text).unwrap_or_else(|| self.add(hash, text))
    }

    /// Adds a text that is not there, and returns its number.
    pub(in crate::store) fn add(&mut self, hash: u64, text: &[u8]) -> u32 {
        let number = self.arena.push(text);
        let Self { arena, numbers, hasher, .. } = self;
        numbers.insert_unique(hash, number, |other| hasher.hash_one(arena.get(*other).unwrap_or_default()));
        number
    }

    /// Leaves the numbers before this one without texts.
    pub(in crate::store) fn skip_to(&mut self, number: u32) {
        self.arena.skip_to(number);
    }

    /// Forgets the text of a number, which is not given again. Its bytes stay until enough of them are unused.
    pub(in crate::store) fn forget(&mut self, number: u32) {
        let Some(text) = self.get(number) else { return };
        let (hash, length) = (self.hash(text), text.len());
        let Ok(entry) = self.numbers.find_entry(hash, |known| *known == number) else { return };
        entry.remove();
        self.forgotten.insert(i64::from(number));
        self.unused += length;
        if self.arena.is_wasteful(self.unused) {
            let forgotten = std::mem::take(&mut self.forgotten);
            self.arena.retain(|number| !forgotten.contains(i64::from(number)));
            self.unused = 0;
        }
    }

    /// Whether a number has a text that was not forgotten.
    pub(in crate::store) fn has(&self, number: u32) -> bool {
        !self.forgotten.contains(i64::from(number)) && self.get(number).is_some_and(|text| !text.is_empty())
    }

    /// Makes space for so many more texts.
    pub(in crate::store) fn reserve(&mut self, texts: usize) {
        self.arena.reserve(texts);
        let Self { arena, numbers, hasher, .. } = self;
        numbers.reserve(texts, |other| hasher.hash_one(arena.get(*other).unwrap_or_default()));
    }

    /// Gives back the memory that is not in use.
    pub(in crate::store) fn shrink(&mut self) {
        self.arena.shrink();
    }

    /// The memory that it has.
    pub(in crate::store) fn heap_bytes(&self) -> usize {
        self.arena.heap_bytes() + self.numbers.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number_and_a_number_one_text() {
        let mut texts = Texts::default();
        let numbers: Vec<u32> = (0..1_000).map(|n| texts.number(format!("text {}", n % 700).as_bytes())).collect();
        assert_eq!(numbers[..700], (1..=700).collect::<Vec<u32>>());
        assert_eq!(numbers[700..], (1..=300).collect::<Vec<u32>>());
        assert_eq!((texts.get(42), texts.get(0), texts.get(701)), (Some(&b"text 41"[..]), None, None));
    }

    #[test]
    fn a_text_that_was_forgotten_is_new_again_and_gives_back_its_bytes() {
        let mut texts = Texts::default();
        let text = |n: u32| format!("{n} {}", "x".repeat(1_000));
        (1..=200).for_each(|n| assert_eq!(texts.number(text(n).as_bytes()), n));
        let before = texts.heap_bytes();
        (1..=200).filter(|n| n % 10 > 0).for_each(|n| texts.forget(n));
        texts.forget(5);
        texts.forget(500);
        assert!(texts.has(10) && !texts.has(5) && !texts.has(500));
        assert!(texts.heap_bytes() < before / 2, "{before} bytes were {}", texts.heap_bytes());
        for n in 1..=200 {
            let is_there = n % 10 == 0;
            assert_eq!(texts.find(text(n).as_bytes()), is_there.then_some(n));
            assert!(!is_there || texts.get(n) == Some(text(n).as_bytes()));
        }
        assert_eq!((texts.number(text(1).as_bytes()), texts.get(201)), (201, Some(text(1).as_bytes())));
    }
}
