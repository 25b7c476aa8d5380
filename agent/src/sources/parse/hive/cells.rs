//! Cells: keys, values, and the lists that lead to them.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bounds;
use super::pages::Pages;
use crate::sources::parse::paged::{PagedFault, le16, le32};
use crate::sources::parse::registry_value::{Value, wide_text};

/// The reference to no cell.
const NOTHING: u32 = u32::MAX;
/// Bytes of a key before its name, and of a value before its name.
const KEY_HEAD: usize = 76;
const VALUE_HEAD: usize = 20;
/// The bytes of one segment of a long value.
const SEGMENT: usize = 16_344;

/// A key, and where its children and values are listed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Whether it is a link to another key.
    pub is_link: bool,
    pub(super) cell: u32,
    pub(super) parent: u32,
    pub(super) children: u32,
    pub(super) child_list: u32,
    pub(super) values: u32,
    pub(super) value_list: u32,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in cell {:#x}", self.name, self.cell)
    }
}

/// A value without its data.
#[derive(Debug, Clone)]
pub(super) struct ValueHead {
    pub(super) name: String,
    kind: u32,
    cell: u32,
    size: u32,
    data: u32,
}

/// A fault of a cell.
pub(super) fn fault(cell: u32, what: &'static str) -> PagedFault {
    PagedFault::at(format!("cell {cell:#x}"), what)
}

/// The cells of a hive.
pub(super) struct Cells {
    pages: Pages,
    /// The entries of lists that may still be read.
    pub(super) left: AtomicU64,
}

impl Cells {
    pub(super) const fn new(pages: Pages) -> Self {
        Self { pages, left: AtomicU64::new(bounds::LISTED) }
    }

    /// Counts the entries of a list.
    fn count(&self, cell: u32, entries: usize) -> Result<(), PagedFault> {
        let less = |left: u64| Some(left.saturating_sub(entries as u64 + 1));
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(left) if left > entries as u64 => Ok(()),
            Ok(_) | Err(_) => Err(fault(cell, "longer lists than this reader reads of one hive")),
        }
    }

    /// The length of the contents of a cell that is in use.
    fn length(&self, cell: u32) -> Result<usize, PagedFault> {
        let mut size = [0; 4];
        if !cell.is_multiple_of(8) {
            return Err(fault(cell, "not at the boundary of a cell"));
        }
        self.pages.read(cell, &mut size).map_err(|what| fault(cell, what))?;
        let size = i32::from_le_bytes(size);
        if size >= 0 {
            return Err(fault(cell, "not in use"));
        }
        let size = size.unsigned_abs();
        if size < 8 || u64::from(cell) + u64::from(size) > u64::from(self.pages.size()) {
            return Err(fault(cell, "invalid size"));
        }
        Ok(size as usize - 4)
    }

    /// The first bytes of a cell. The length has a bound wherever this is called, so nothing large is allocated.
    fn head(&self, cell: u32, length: usize) -> Result<Vec<u8>, PagedFault> {
        if length > self.length(cell)? {
            return Err(fault(cell, "too short for its contents"));
        }
        let mut bytes = vec![0; length];
        // The length of the cell was checked, so this cannot overflow.
        self.pages.read(cell.saturating_add(4), &mut bytes).map_err(|what| fault(cell, what))?;
        Ok(bytes)
    }

    /// Reads a key.
    pub(super) fn key(&self, cell: u32) -> Result<Key, PagedFault> {
        let head = self.head(cell, KEY_HEAD)?;
        if !head.starts_with(b"nk") {
            return Err(fault(cell, "not a key"));
        }
        let flags = le16(&head, 2);
        let name = self.name(cell, KEY_HEAD, le16(&head, 72), flags & 0x20 != 0)?;
        // The number of values of a predefined handle is the handle.
        let values = if flags & 0x40 == 0 { le32(&head, 36) } else { 0 };
        Ok(Key {
            name,
            is_link: flags & 0x10 != 0,
            cell,
            parent: le32(&head, 16),
            children: le32(&head, 20),
            child_list: le32(&head, 28),
            values,
            value_list: le32(&head, 40),
        })
    }

    fn name(&self, cell: u32, place: usize, length: u16, is_narrow: bool) -> Result<String, PagedFault> {
        let most = if place == KEY_HEAD { bounds::KEY_NAME_CHARS } else { bounds::VALUE_NAME_CHARS };
        if usize::from(length) > if is_narrow { most } else { most * 2 } {
            return Err(fault(cell, "a name longer than Windows allows"));
        }
        let bytes = self.head(cell, place + usize::from(length))?;
        // A narrow name has the low bytes of characters below 256, which is Latin-1.
        Ok(if is_narrow {
            bytes[place..].iter().map(|byte| char::from(*byte)).collect()
        } else {
            wide_text(&bytes[place..])
        })
    }

    /// The cells of the keys below a key, in stored order. What is wrong with the lists goes to `faults`.
    pub(super) fn children(&self, key: &Key, faults: &mut Vec<PagedFault>) -> Vec<u32> {
        let mut cells = Vec::new();
        if key.children == 0 {
            if key.child_list != NOTHING {
                faults.push(fault(key.cell, "has a list of keys and says that it is empty"));
            }
            return cells;
        }
        if let Err(fault) = self.child_list(key.child_list, true, &mut cells, faults) {
            faults.push(fault);
        }
        if cells.len() > bounds::KEYS {
            cells.truncate(bounds::KEYS);
            faults.push(fault(key.cell, "more keys below one key than this reader lists"));
        } else if faults.is_empty() && cells.len() != key.children as usize {
            faults.push(fault(key.cell, "its list of keys has another length than it says"));
        }
        let mut sorted = cells.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() < cells.len() {
            faults.push(fault(key.cell, "a key is listed twice"));
            cells = sorted;
        }
        cells
    }

    /// Adds the keys of a list. A list of lists contains no further ones of its kind.
    fn child_list(
        &self,
        cell: u32,
        is_first: bool,
        cells: &mut Vec<u32>,
        faults: &mut Vec<PagedFault>,
    ) -> Result<(), PagedFault> {
        let head = self.head(cell, 4)?;
        let width = match &head[..2] {
            b"lf" | b"lh" => 8,
            b"li" => 4,
            b"ri" if is_first => 4,
            _ => return Err(fault(cell, "not a list of keys")),
        };
        let count = usize::from(le16(&head, 2));
        self.count(cell, count)?;
        let list = self.head(cell, 4 + count * width)?;
        let mut inner: Vec<u32> = (0..count).map(|at| le32(&list, 4 + at * width)).collect();
        if !head.starts_with(b"ri") {
            cells.append(&mut inner);
            return Ok(());
        }
        let mut seen = HashSet::new();
        for list in &inner {
            // Every list once: with a list that lists itself a thousand times, a few bytes would be millions of keys.
            if !seen.insert(*list) {
                return Err(fault(cell, "a list of keys is listed twice"));
            }
            if cells.len() > bounds::KEYS {
                break;
            }
            if let Err(fault) = self.child_list(*list, false, cells, faults)
                && faults.len() < bounds::FAULTS
            {
                faults.push(fault);
            }
        }
        Ok(())
    }

    /// The cells of the values of a key, in stored order.
    pub(super) fn values(&self, key: &Key) -> Result<Vec<u32>, PagedFault> {
        if key.values == 0 {
            let is_empty = key.value_list == NOTHING;
            return if is_empty {
                Ok(Vec::new())
            } else {
                Err(fault(key.cell, "has a list of values and says that it is empty"))
            };
        }
        let count = key.values as usize;
        if count > bounds::VALUES {
            return Err(fault(key.cell, "more values than this reader lists"));
        }
        self.count(key.value_list, count)?;
        let list = self.head(key.value_list, count * 4)?;
        Ok((0..count).map(|at| le32(&list, at * 4)).collect())
    }

    /// Reads a value without its data.
    pub(super) fn value(&self, cell: u32) -> Result<ValueHead, PagedFault> {
        let head = self.head(cell, VALUE_HEAD)?;
        if !head.starts_with(b"vk") {
            return Err(fault(cell, "not a value"));
        }
        let name = self.name(cell, VALUE_HEAD, le16(&head, 2), le16(&head, 16) & 1 != 0)?;
        Ok(ValueHead { name, kind: le32(&head, 12), cell, size: le32(&head, 4), data: le32(&head, 8) })
    }

    /// Reads the data of a value.
    pub(super) fn data(&self, head: ValueHead) -> Result<Value, PagedFault> {
        let ValueHead { name, kind, cell, size, data } = head;
        let length = (size & 0x7fff_ffff) as usize;
        let data = if size >> 31 == 1 {
            // Up to four bytes are in the place of the reference to them.
            let bytes = data.to_le_bytes();
            bytes.get(..length).ok_or_else(|| fault(cell, "invalid size"))?.to_vec()
        } else if length == 0 {
            Vec::new()
        } else if length > bounds::VALUE_BYTES {
            return Err(fault(cell, "a value longer than this reader reads"));
        } else if length > SEGMENT && length > self.length(data)? {
            self.segments(data, length)?
        } else {
            self.head(data, length)?
        };
        Ok(Value { name, kind, data })
    }

    /// Reads a value that is in several cells.
    fn segments(&self, cell: u32, length: usize) -> Result<Vec<u8>, PagedFault> {
        let head = self.head(cell, 8)?;
        if !head.starts_with(b"db") {
            return Err(fault(cell, "too short for its contents"));
        }
        let count = usize::from(le16(&head, 2));
        if count != length.div_ceil(SEGMENT) {
            return Err(fault(cell, "its segments have another length than the value"));
        }
        let list = self.head(le32(&head, 4), count * 4)?;
        let mut bytes = Vec::with_capacity(length);
        for at in 0..count {
            let wanted = (length - bytes.len()).min(SEGMENT);
            bytes.append(&mut self.head(le32(&list, at * 4), wanted)?);
        }
        Ok(bytes)
    }
}
