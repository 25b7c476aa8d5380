//! Databases that are too large for memory: bytes are read at offsets, and values only as far as needed.
//!
//! The package database of a workstation has several hundred MiB, of which an inventory needs a few KiB per package. The
//! parsers read pages from a [`Storage`] and return each value as a [`Lazy`], which fetches what is asked of it.

use std::io;

/// Bytes that can be read at any offset: an open file, or a slice.
pub trait Storage {
    /// The size in bytes.
    fn size(&self) -> u64;

    /// Fills the buffer with the bytes at an offset.
    ///
    /// # Errors
    /// As the system says; `UnexpectedEof` when the bytes end before the buffer is full.
    fn read_at(&self, place: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl Storage for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, place: u64, buffer: &mut [u8]) -> io::Result<()> {
        // Offsets come from damaged files too, so every sum is checked.
        let start = usize::try_from(place).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Storage for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at(&self, place: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(place, buffer)
    }
}

/// Damage in a database: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct PagedFault {
    /// The page, slot or row.
    pub place: String,
    /// What is wrong there.
    pub what: &'static str,
}

impl PagedFault {
    /// A fault at this place.
    #[must_use]
    pub fn at(place: impl Into<String>, what: &'static str) -> Self {
        Self { place: place.into(), what }
    }
}

/// Reads `length` bytes at an offset; `name` says in a fault what they are.
///
/// # Errors
/// The file is too short, or cannot be read.
pub fn read(
    storage: &dyn Storage,
    place: u64,
    length: usize,
    name: impl FnOnce() -> String,
) -> Result<Vec<u8>, PagedFault> {
    let end = place.saturating_add(length as u64);
    // Before the buffer is allocated: a damaged length could ask for gigabytes.
    if end > storage.size() {
        return Err(PagedFault::at(name(), "beyond the end of the file"));
    }
    let mut bytes = vec![0; length];
    match storage.read_at(place, &mut bytes) {
        Ok(()) => Ok(bytes),
        // The file may be shorter than when its size was read.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(PagedFault::at(name(), "beyond the end of the file"))
        }
        Err(_) => Err(PagedFault::at(name(), "cannot be read")),
    }
}

/// Fetches the next part of a value and appends it.
pub type Fetch<'a> = Box<dyn FnMut(&mut Vec<u8>) -> Result<(), PagedFault> + 'a>;

/// A value of known length that is fetched only as far as needed.
pub struct Lazy<'a> {
    name: String,
    have: Vec<u8>,
    start: usize,
    end: usize,
    fetch: Fetch<'a>,
}

impl<'a> Lazy<'a> {
    /// A value of `length` bytes, of which `have` are already fetched.
    #[must_use]
    pub fn new(name: String, length: usize, have: Vec<u8>, fetch: Fetch<'a>) -> Self {
        Self { name, have, start: 0, end: length, fetch }
    }

    /// The length of the value.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.end - self.start
    }

    /// The name of the value in faults.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A fault of this value.
    #[must_use]
    pub fn fault(&self, what: &'static str) -> PagedFault {
        PagedFault::at(self.name.as_str(), what)
    }

    /// Bytes of the value.
    ///
    /// # Errors
    /// The value is shorter, or a page of it is damaged.
    pub fn get(&mut self, place: usize, length: usize) -> Result<&[u8], PagedFault> {
        let end = place.checked_add(length).filter(|end| *end <= self.length());
        let end = self.start + end.ok_or_else(|| self.fault("the value is too short"))?;
        while self.have.len() < end {
            let before = self.have.len();
            (self.fetch)(&mut self.have)?;
            // A ring of empty pages would otherwise never end.
            if self.have.len() <= before {
                return Err(self.fault("a page of the value is empty"));
            }
        }
        Ok(&self.have[self.start + place..end])
    }

    /// The part of the value at this offset and of this length.
    ///
    /// # Errors
    /// The value is shorter.
    pub fn narrow(mut self, place: usize, length: usize) -> Result<Self, PagedFault> {
        let end = place.checked_add(length).filter(|end| *end <= self.length());
        let end = end.ok_or_else(|| self.fault("the value is too short"))?;
        self.end = self.start + end;
        self.start += place;
        Ok(self)
    }
}

/// The big-endian number at an offset; 0 beyond the end.
#[must_use]
pub fn be32(bytes: &[u8], place: usize) -> u32 {
    word(bytes, place).map_or(0, u32::from_be_bytes)
}

/// The little-endian number at an offset; 0 beyond the end.
#[must_use]
pub fn le32(bytes: &[u8], place: usize) -> u32 {
    word(bytes, place).map_or(0, u32::from_le_bytes)
}

/// The little-endian number of two bytes at an offset; 0 beyond the end.
#[must_use]
pub fn le16(bytes: &[u8], place: usize) -> u16 {
    bytes.get(place..).and_then(<[u8]>::first_chunk).map_or(0, |two| u16::from_le_bytes(*two))
}

fn word(bytes: &[u8], place: usize) -> Option<[u8; 4]> {
    bytes.get(place..place.checked_add(4)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_fetched_only_as_far_as_needed() {
        let mut fetched = 0;
        {
            let fetch = |have: &mut Vec<u8>| {
                fetched += 1;
                have.extend([b'x'; 10]);
                Ok(())
            };
            let mut lazy = Lazy::new("row 1".to_owned(), 100, b"abc".to_vec(), Box::new(fetch));
            assert_eq!(lazy.get(0, 3), Ok(&b"abc"[..]));
            assert_eq!(lazy.get(2, 5), Ok(&b"cxxxx"[..]));
            assert!(lazy.get(90, 11).is_err());
            let mut part = lazy.narrow(1, 4).expect("within");
            assert_eq!((part.length(), part.get(0, 4)), (4, Ok(&b"bcxx"[..])));
            assert!(part.get(0, 5).is_err());
        }
        assert_eq!(fetched, 1);
    }

    #[test]
    fn an_empty_page_ends_the_reading() {
        let mut lazy = Lazy::new("row 1".to_owned(), 100, Vec::new(), Box::new(|_| Ok(())));
        assert_eq!(lazy.get(0, 1), Err(PagedFault::at("row 1", "a page of the value is empty")));
    }

    #[test]
    fn reading_beyond_the_end_is_a_fault_with_a_name() {
        let bytes = vec![1, 2, 3];
        assert_eq!(read(&bytes, 1, 2, String::new), Ok(vec![2, 3]));
        let fault = read(&bytes, 2, 2, || "page 7".to_owned()).expect_err("too short");
        assert_eq!(fault.to_string(), "page 7: beyond the end of the file");
        assert!(read(&bytes, u64::MAX, 2, String::new).is_err());
    }
}
