//! Numbers of texts that only the writer needs, when it stores new editions: of titles and versions. Their texts are in the
//! file and not in memory. A hash says which rows may have a text; the row is read to be sure.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashTable};

use super::super::fault::Step;

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct RowNumbers(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// Rows of the file.
    stored: HashTable<HashedRow>,
    /// Texts that no committed transaction has stored yet.
    new: HashMap<Vec<u8>, u32>,
    /// The last number that was given.
    last: u32,
    /// Texts up to this number are stored.
    saved: u32,
}

/// A number, and a part of the hash of its text.
#[derive(Debug, Clone, Copy)]
struct HashedRow {
    number: u32,
    hash: u32,
}

/// A hash that is the same in every process is enough: texts with equal hashes only cost a read.
fn short_hash(text: &[u8]) -> u32 {
    let digest = blake3::hash(text);
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

const fn spread(hash: u32) -> u64 {
    // The table takes the upper bits as well, so they must depend on the hash too.
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl RowNumbers {
    /// The number of a text, which gets one if it is new. `read` gives the text of a row.
    pub(super) fn number(&self, text: &[u8], read: impl Fn(u32) -> Step<Option<Vec<u8>>>) -> Step<u32> {
        let mut numbers = self.lock();
        if let Some(number) = numbers.new.get(text) {
            return Ok(*number);
        }
        let hash = short_hash(text);
        for row in numbers.stored.iter_hash(spread(hash)).filter(|row| row.hash == hash) {
            if read(row.number)?.as_deref() == Some(text) {
                return Ok(row.number);
            }
        }
        numbers.last += 1;
        let number = numbers.last;
        numbers.new.insert(text.to_vec(), number);
        Ok(number)
    }

    /// The new texts after this number, in the order of their numbers, and the last number.
    pub(super) fn after(&self, number: u32) -> (Vec<(u32, Vec<u8>)>, u32) {
        let numbers = self.lock();
        let later = numbers.new.iter().filter(|(_, given)| **given > number);
        let mut later: Vec<(u32, Vec<u8>)> = later.map(|(text, given)| (*given, text.clone())).collect();
        later.sort_unstable();
        (later, numbers.last)
    }

    /// The number up to which texts are stored.
    pub(super) fn saved_up_to(&self) -> u32 {
        self.lock().saved
    }

    /// Notes that texts up to this number are stored. They leave the memory.
    pub(super) fn set_saved(&self, up_to: u32) {
        let numbers = &mut *self.lock();
        numbers.saved = up_to;
        let stored = &mut numbers.stored;
        numbers.new.retain(|text, number| {
            if *number <= up_to {
                insert(stored, *number, short_hash(text));
            }
            *number > up_to
        });
    }

    /// Notes a row of the file. Rows come in the order of their numbers.
    pub(super) fn load(&self, number: u32, text: &[u8]) {
        let numbers = &mut *self.lock();
        insert(&mut numbers.stored, number, short_hash(text));
        (numbers.last, numbers.saved) = (number, number);
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert(stored: &mut HashTable<HashedRow>, number: u32, hash: u32) {
    stored.insert_unique(spread(hash), HashedRow { number, hash }, |row| spread(row.hash));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number_before_and_after_it_is_stored() {
        let numbers = RowNumbers::default();
        let nothing = |_| Ok(None);
        assert_eq!(numbers.number(b"one", nothing).expect("a number"), 1);
        assert_eq!(numbers.number(b"two", nothing).expect("a number"), 2);
        assert_eq!(numbers.number(b"one", nothing).expect("a number"), 1);
        let (new, last) = numbers.after(numbers.saved_up_to());
        assert_eq!((new, last), (vec![(1, b"one".to_vec()), (2, b"two".to_vec())], 2));
        // What a lost transaction would have stored is in the next one.
        assert_eq!(numbers.after(0).0.len(), 2);
        numbers.set_saved(2);
        assert_eq!(numbers.after(numbers.saved_up_to()), (Vec::new(), 2));
        let rows = |number| Ok(Some(if number == 1 { b"one".to_vec() } else { b"two".to_vec() }));
        assert_eq!(numbers.number(b"two", rows).expect("a number"), 2);
        assert_eq!(numbers.number(b"three", rows).expect("a number"), 3);
    }

    #[test]
    fn a_row_with_the_same_hash_and_another_text_is_not_taken_for_it() {
        let numbers = RowNumbers::default();
        numbers.load(1, b"one");
        assert_eq!(numbers.number(b"one", |_| Ok(Some(b"other".to_vec()))).expect("a number"), 2);
        assert_eq!(numbers.number(b"one", |_| Ok(None)).expect("a number"), 2, "it is new until it is stored");
    }
}
