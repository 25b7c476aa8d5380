//! Writing and reading the numbers and texts of an interned section.

use hashbrown::HashMap;

use crate::store::fault::{Step, StoreFault};

pub(super) fn broken(reason: &str) -> StoreFault {
    StoreFault::damaged("the body of a section", reason)
}

/// Writes a body; a text that occurred before is written as a number.
pub(super) struct Writer<'a> {
    bytes: Vec<u8>,
    table: HashMap<&'a str, u64>,
    newest: &'a str,
}

impl<'a> Writer<'a> {
    pub(super) fn new(capacity: usize) -> Self {
        // The empty text is number 1 here, because 0 announces a new text.
        Self { bytes: Vec::with_capacity(capacity), table: HashMap::from_iter([("", 1)]), newest: "" }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(super) fn text(&mut self, text: &'a str) {
        if let Some(known) = self.table.get(text) {
            return self.varint(*known);
        }
        // The shared part may end within a letter, so the reader joins bytes before it checks for UTF-8.
        let shared = self.newest.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        self.varint(0);
        self.varint(shared as u64);
        self.varint((text.len() - shared) as u64);
        self.bytes.extend_from_slice(&text.as_bytes()[shared..]);
        self.table.insert(text, self.table.len() as u64 + 1);
        self.newest = text;
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads a body.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    table: Vec<Vec<u8>>,
    newest: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, table: vec![Vec::new()], newest: 0 }
    }

    pub(super) const fn is_at_the_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| broken("it ends within a text"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Step<u8> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| broken("it ends within an observation"))?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn varint(&mut self) -> Step<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken("a number has no end"))
    }

    /// A count of the items that follow. Each takes at least one byte, so a count larger than the rest is damage.
    pub(super) fn length(&mut self) -> Step<usize> {
        let length = usize::try_from(self.varint()?).ok().filter(|length| *length <= self.bytes.len());
        length.ok_or_else(|| broken("a length is too large"))
    }

    /// The next edition after this one.
    pub(super) fn after(&mut self, edition: u32) -> Step<u32> {
        let more = u32::try_from(self.varint()?).ok();
        more.and_then(|more| edition.checked_add(more)).ok_or_else(|| broken("the number of an edition is too large"))
    }

    pub(super) fn text(&mut self) -> Step<String> {
        let index = match self.varint()? {
            0 => {
                let shared = usize::try_from(self.varint()?).map_err(|_| broken("a text shares too much"))?;
                let rest = self.length()?;
                let bytes = self.take(rest)?;
                let start = self.table[self.newest].get(..shared).ok_or_else(|| broken("a text shares too much"))?;
                let text = [start, bytes].concat();
                self.table.push(text);
                self.newest = self.table.len() - 1;
                self.newest
            }
            known => usize::try_from(known - 1).unwrap_or(usize::MAX),
        };
        let bytes = self.table.get(index).ok_or_else(|| broken("a text is not in its table"))?;
        String::from_utf8(bytes.clone()).map_err(|_| broken("a text is not UTF-8"))
    }
}
