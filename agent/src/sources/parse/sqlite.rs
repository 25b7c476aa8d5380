//! Reads SQLite databases without the SQLite library: the rows of a table, as far as an inventory needs them.
//!
//! The library would add a megabyte to the agent, and it writes: it creates `-shm` and `-wal` files beside a database and
//! recovers what it finds there. This reader cannot write. It supports ordinary tables in files of every page size, overflow
//! pages, and the write-ahead log, which it replays by salts and checksums up to the last commit, as the library does. Every
//! page is visited at most once and keys must ascend, so a loop or a shared page is a fault. The format is documented in
//! <https://www.sqlite.org/fileformat2.html>.

mod wal;

use std::collections::HashMap;

use super::paged::{Lazy, PagedFault, Storage, be32, read};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
/// Limit for the depth of a tree: even with two children per page, no file needs more.
const DEPTH: usize = 40;

/// An open database.
pub struct Database<'a> {
    main: &'a dyn Storage,
    wal: Option<&'a dyn Storage>,
    /// Page number to the offset of its newest committed content in the log.
    frames: HashMap<u32, u64>,
    page_bytes: usize,
    usable: usize,
    pages: u32,
}

/// A value in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// An integer.
    Integer(i64),
    /// Text or a blob, at a position in the record.
    Bytes {
        /// The offset in the record.
        place: usize,
        /// The length in bytes.
        length: usize,
    },
    /// NULL or a floating-point number.
    Other,
}

/// A row of a table.
pub struct Row<'a> {
    /// The rowid, which is also the value of an `INTEGER PRIMARY KEY` column.
    pub key: i64,
    /// The record: header and values.
    pub record: Lazy<'a>,
}

/// The state of a walk over the pages of a table.
struct Walk<'w> {
    visited: Vec<bool>,
    last_key: Option<i64>,
    faults: Vec<PagedFault>,
    visit: &'w mut dyn FnMut(Row<'_>) -> Result<(), PagedFault>,
}

impl<'a> Database<'a> {
    /// Opens a database with its write-ahead log, if there is one.
    ///
    /// # Errors
    /// The file is not a database, or is truncated.
    pub fn open(main: &'a dyn Storage, wal: Option<&'a dyn Storage>) -> Result<Self, PagedFault> {
        let log = wal.map(wal::replay).unwrap_or_default();
        let mut database =
            Self { main, wal, frames: log.frames, page_bytes: log.page_bytes, usable: 0, pages: log.pages };
        let head = match database.frames.get(&1) {
            Some(place) => read(wal.unwrap_or(main), *place, HEADER_BYTES, || "page 1 in the log".to_owned())?,
            None => read(main, 0, HEADER_BYTES, || "database header".to_owned())?,
        };
        let fault = |what| Err(PagedFault::at("database header", what));
        if !head.starts_with(MAGIC) {
            return fault("not an SQLite database");
        }
        let page_bytes = match u16::from_be_bytes([head[16], head[17]]) {
            // The field has 16 bits, so the format writes 1 for the largest page size.
            1 => 65_536,
            other => usize::from(other),
        };
        if !page_bytes.is_power_of_two() || page_bytes < 512 {
            return fault("invalid page size");
        }
        if !database.frames.is_empty() && database.page_bytes != page_bytes {
            return fault("the write-ahead log has a different page size");
        }
        if head[18] > 2 || head[19] > 2 {
            return fault("unsupported format version");
        }
        database.page_bytes = page_bytes;
        database.usable = page_bytes - usize::from(head[20]);
        // The format requires both: at least 480 usable bytes, and these three fractions.
        if database.usable < 480 || head[21..24] != [64, 32, 32] {
            return fault("invalid page layout");
        }
        // 1 is UTF-8. An empty database has no encoding yet.
        if head[56..60] != [0, 0, 0, 1] && head[56..60] != [0, 0, 0, 0] {
            return fault("unsupported text encoding");
        }
        let whole = u32::try_from(main.size() / page_bytes as u64).unwrap_or(u32::MAX);
        if database.frames.is_empty() {
            // Very old versions of SQLite do not keep the page count in the header; then the file size counts.
            let has_page_count = head[24..28] == head[92..96] && be32(&head, 28) > 0;
            database.pages = if has_page_count { be32(&head, 28) } else { whole };
            if database.pages > whole {
                return fault("the file is shorter than its page count");
            }
        }
        Ok(database)
    }

    /// Calls `visit` for every row of a table, in key order. Damaged rows are skipped and returned as faults.
    ///
    /// # Errors
    /// The table cannot be found.
    pub fn table(
        &self,
        name: &str,
        visit: &mut dyn FnMut(Row<'_>) -> Result<(), PagedFault>,
    ) -> Result<Vec<PagedFault>, PagedFault> {
        let mut root = None;
        let faults = self.walk(1, &mut |mut row| {
            let columns = row.columns()?;
            let kind = row.text(columns.first())?;
            if kind == "table" && row.text(columns.get(1))?.eq_ignore_ascii_case(name) {
                root = columns.get(3).copied();
            }
            Ok(())
        });
        match (root, faults.into_iter().next()) {
            // Page 1 is the schema, and views and virtual tables have the root page 0.
            (Some(Column::Integer(page)), _) if page > 1 => match u32::try_from(page) {
                Ok(page) => Ok(self.walk(page, visit)),
                Err(_) => Err(PagedFault::at(format!("table {name}"), "has no root page")),
            },
            (_, Some(fault)) => Err(fault),
            (Some(_), None) => Err(PagedFault::at(format!("table {name}"), "has no root page")),
            (None, None) => Err(PagedFault::at(format!("table {name}"), "is missing")),
        }
    }

    fn walk(&self, root: u32, visit: &mut dyn FnMut(Row<'_>) -> Result<(), PagedFault>) -> Vec<PagedFault> {
        let mut walk = Walk { visited: Vec::new(), last_key: None, faults: Vec::new(), visit };
        if let Err(fault) = self.tree(root, 0, &mut walk) {
            walk.faults.push(fault);
        }
        walk.faults
    }

    /// Visits a page of a tree and all pages below it. A fault below does not stop the other branches.
    fn tree(&self, number: u32, depth: usize, walk: &mut Walk<'_>) -> Result<(), PagedFault> {
        let place = number as usize;
        let fault = |what| PagedFault::at(format!("page {number}"), what);
        let page = self.page(number)?;
        if walk.visited.len() <= place {
            walk.visited.resize(place + 1, false);
        }
        if std::mem::replace(&mut walk.visited[place], true) || depth > DEPTH {
            return Err(fault("referenced twice, or nested too deeply"));
        }
        // The header of the file is in the first page, and counts as a part of it.
        let start = if number == 1 { HEADER_BYTES } else { 0 };
        let cells = usize::from(be16(&page, start + 3));
        // An inner page has a further pointer, to its last child, before the cell pointers.
        let pointers = match page[start] {
            0x05 => start + 12,
            0x0d => start + 8,
            _ => return Err(fault("not a table page")),
        };
        if pointers + cells * 2 > self.usable {
            return Err(fault("more cells than fit"));
        }
        for cell in 0..cells {
            let offset = usize::from(be16(&page, pointers + cell * 2));
            let read = if offset < pointers + cells * 2 || offset >= self.usable {
                Err(fault("a cell is outside of the page"))
            } else if page[start] == 0x05 {
                self.tree(be32(&page[..self.usable], offset), depth + 1, walk)
            } else {
                self.row(number, &page[..self.usable], offset, walk)
            };
            walk.faults.extend(read.err());
        }
        if page[start] == 0x05 {
            self.tree(be32(&page, start + 8), depth + 1, walk)?;
        }
        Ok(())
    }

    fn row(&self, number: u32, page: &[u8], offset: usize, walk: &mut Walk<'_>) -> Result<(), PagedFault> {
        let cut = || PagedFault::at(format!("page {number}"), "a cell is truncated");
        let (length, used) = varint(&page[offset..]).ok_or_else(cut)?;
        let (key, more) = varint(&page[offset + used..]).ok_or_else(cut)?;
        if walk.last_key.is_some_and(|last| last >= key) {
            return Err(PagedFault::at(format!("page {number}"), "keys are not ascending"));
        }
        walk.last_key = Some(key);
        let name = format!("row {key}");
        let length = usize::try_from(length).ok().filter(|length| *length as u64 <= self.bytes());
        let length = length.ok_or_else(|| PagedFault::at(name.as_str(), "longer than the database"))?;
        let start = offset + used + more;
        let local = self.local(length);
        let have = page.get(start..start + local).ok_or_else(cut)?.to_vec();
        let mut next =
            if local < length { be32(page.get(start + local..start + local + 4).ok_or_else(cut)?, 0) } else { 0 };
        let fetch = move |have: &mut Vec<u8>| {
            let page = self.page(next)?;
            next = be32(&page, 0);
            let wanted = (length - have.len()).min(self.usable - 4);
            have.extend_from_slice(&page[4..4 + wanted]);
            Ok(())
        };
        (walk.visit)(Row { key, record: Lazy::new(name, length, have, Box::new(fetch)) })
    }

    /// How many bytes of a record are stored in the cell itself; the rest is in overflow pages.
    const fn local(&self, length: usize) -> usize {
        // In the terms of the format, `most` is X, `least` is M and `fit` is K.
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fit = least + (length - least) % (self.usable - 4);
        if fit <= most { fit } else { least }
    }

    const fn bytes(&self) -> u64 {
        self.pages as u64 * self.page_bytes as u64
    }

    fn page(&self, number: u32) -> Result<Vec<u8>, PagedFault> {
        let name = || format!("page {number}");
        if number == 0 || number > self.pages {
            return Err(PagedFault::at(name(), "not in the database"));
        }
        match (self.frames.get(&number), self.wal) {
            (Some(place), Some(wal)) => read(wal, *place, self.page_bytes, name),
            _ => read(self.main, u64::from(number - 1) * self.page_bytes as u64, self.page_bytes, name),
        }
    }
}

impl<'a> Row<'a> {
    /// The values of the row, in the order of the table's columns.
    ///
    /// # Errors
    /// The record is damaged.
    pub fn columns(&mut self) -> Result<Vec<Column>, PagedFault> {
        let broken = |lazy: &Lazy<'_>| lazy.fault("the record header is damaged");
        let head = self.record.length().min(9);
        let (header, mut used) = varint(self.record.get(0, head)?).ok_or_else(|| broken(&self.record))?;
        let header = usize::try_from(header).ok().filter(|header| (used..=4096).contains(header));
        let header = header.ok_or_else(|| broken(&self.record))?;
        let bytes = self.record.get(0, header)?.to_vec();
        let mut columns = Vec::new();
        let mut place = header;
        while used < header {
            let (kind, more) = varint(&bytes[used..]).ok_or_else(|| broken(&self.record))?;
            used += more;
            let (length, integer) = width(kind).ok_or_else(|| broken(&self.record))?;
            if length > self.record.length().saturating_sub(place) {
                return Err(self.record.fault("the record is shorter than its values"));
            }
            columns.push(match kind {
                // The constants 0 and 1 have types of their own and take no space.
                8 => Column::Integer(0),
                9 => Column::Integer(1),
                _ if integer => {
                    let bytes = self.record.get(place, length)?;
                    // Integers are in two's complement and of up to eight bytes, so the sign is in the first one.
                    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                    Column::Integer(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
                }
                12.. => Column::Bytes { place, length },
                _ => Column::Other,
            });
            place += length;
        }
        Ok(columns)
    }

    /// The text of a value; empty if it is not text.
    ///
    /// # Errors
    /// A page of the value is damaged.
    pub fn text(&mut self, column: Option<&Column>) -> Result<String, PagedFault> {
        match column {
            Some(Column::Bytes { place, length }) => {
                Ok(String::from_utf8_lossy(self.record.get(*place, *length)?).into_owned())
            }
            _ => Ok(String::new()),
        }
    }

    /// The bytes of a value, which are fetched as far as needed.
    ///
    /// # Errors
    /// The value is neither text nor a blob.
    pub fn bytes(self, column: Option<&Column>) -> Result<Lazy<'a>, PagedFault> {
        match column {
            Some(Column::Bytes { place, length }) => self.record.narrow(*place, *length),
            _ => Err(self.record.fault("the value is not a blob")),
        }
    }
}

/// The size of a value of this serial type, and whether it is an integer.
fn width(kind: i64) -> Option<(usize, bool)> {
    Some(match kind {
        0 | 8 | 9 => (0, false),
        1..=4 => (usize::try_from(kind).ok()?, true),
        5 => (6, true),
        6 => (8, true),
        7 => (8, false),
        12.. => (usize::try_from((kind - 12) / 2).ok()?, false),
        _ => return None,
    })
}

/// Decodes a variable-length integer of one to nine bytes. Returns it and its length.
fn varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0_i64;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        // The ninth byte has no continuation bit and contributes all its bits.
        if at == 8 {
            return Some((value << 8 | i64::from(*byte), 9));
        }
        value = value << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

fn be16(bytes: &[u8], place: usize) -> u16 {
    match bytes.get(place..place + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
