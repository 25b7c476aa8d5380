//! Writes hives and logs for tests: every form that the reader supports, with hashes and orders that nobody should trust.

use std::ops::Range;

use super::header::{FileKind, HEADER_BYTES, Header, checksum};
use super::marvin;
use super::pages::PAGE_BYTES;
use crate::sources::parse::registry_value::{Value, is_same_name};

const NOTHING: u32 = u32::MAX;
const SEGMENT: usize = 16_344;

/// A key with everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) flags: u16,
    pub(crate) values: Vec<Value>,
    pub(crate) keys: Vec<Tree>,
}

/// The lists of keys that a hive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    Fast,
    Hashed,
    Plain,
    /// A list of lists with this many keys each.
    Split(usize),
}

/// The form of a hive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    pub(crate) minor: u32,
    pub(crate) list: ListKind,
}

impl Default for Form {
    fn default() -> Self {
        Self { minor: 5, list: ListKind::Hashed }
    }
}

impl Tree {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The key at a path, which is added if it is missing.
    pub(crate) fn at(&mut self, path: &str) -> &mut Self {
        path.split('\\').filter(|name| !name.is_empty()).fold(self, |key, name| {
            let at = key.keys.iter().position(|child| is_same_name(&child.name, name)).unwrap_or_else(|| {
                key.keys.push(Self::new(name));
                key.keys.len() - 1
            });
            &mut key.keys[at]
        })
    }

    /// Adds a key with a text.
    pub(crate) fn with_text(mut self, path: &str, name: &str, text: &str) -> Self {
        self.at(path).values.push(Value::of_text(name, text));
        self
    }

    /// Adds a key with a number.
    pub(crate) fn with_number(mut self, path: &str, name: &str, number: u32) -> Self {
        self.at(path).values.push(Value::of_number(name, number));
        self
    }

    /// Adds a key.
    pub(crate) fn with_key(mut self, path: &str) -> Self {
        self.at(path);
        self
    }

    pub(crate) fn hive(&self) -> Vec<u8> {
        self.hive_in(Form::default())
    }

    /// The bytes of the hive.
    pub(crate) fn hive_in(&self, form: Form) -> Vec<u8> {
        let mut writer = Writer { bins: b"hbin".to_vec(), form, security: 0 };
        writer.bins.resize(32, 0);
        writer.security = writer.security();
        let root = writer.key(self, 0);
        writer.finish(root)
    }
}

struct Writer {
    bins: Vec<u8>,
    form: Form,
    security: u32,
}

impl Writer {
    fn cell(&mut self, data: &[u8]) -> u32 {
        let place = self.bins.len();
        let size = (4 + data.len()).next_multiple_of(8).max(8);
        self.bins.extend((-i32::try_from(size).unwrap()).to_le_bytes());
        self.bins.extend(data);
        self.bins.resize(place + size, 0);
        u32::try_from(place).unwrap()
    }

    /// One descriptor for all keys: the ring of one that other writers expect.
    fn security(&mut self) -> u32 {
        let mut bytes = vec![0; 40];
        bytes[..2].copy_from_slice(b"sk");
        put32(&mut bytes, 12, 1);
        put32(&mut bytes, 16, 20);
        bytes[20..22].copy_from_slice(&[1, 0]);
        let cell = self.cell(&bytes);
        put32(&mut self.bins, cell as usize + 8, cell);
        put32(&mut self.bins, cell as usize + 12, cell);
        cell
    }

    fn key(&mut self, key: &Tree, parent: u32) -> u32 {
        let (name, is_narrow) = name_bytes(&key.name);
        let mut head = vec![0; 76];
        head[..2].copy_from_slice(b"nk");
        put16(&mut head, 2, key.flags | if is_narrow { 0x20 } else { 0 });
        put32(&mut head, 16, parent);
        put32(&mut head, 20, u32::try_from(key.keys.len()).unwrap());
        put32(&mut head, 28, NOTHING);
        put32(&mut head, 32, NOTHING);
        put32(&mut head, 36, u32::try_from(key.values.len()).unwrap());
        put32(&mut head, 40, NOTHING);
        put32(&mut head, 44, self.security);
        put32(&mut head, 48, NOTHING);
        put16(&mut head, 72, u16::try_from(name.len()).unwrap());
        head.extend(name);
        let cell = self.cell(&head);
        let at = cell as usize + 4;
        if !key.values.is_empty() {
            let values: Vec<u32> = key.values.iter().map(|value| self.value(value)).collect();
            let list: Vec<u8> = values.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            let list = self.cell(&list);
            put32(&mut self.bins, at + 40, list);
        }
        if !key.keys.is_empty() {
            let children: Vec<u32> = key.keys.iter().map(|child| self.key(child, cell)).collect();
            let list = self.list(&children);
            put32(&mut self.bins, at + 28, list);
        }
        cell
    }

    fn list(&mut self, cells: &[u32]) -> u32 {
        let (signature, width) = match self.form.list {
            ListKind::Fast => (b"lf", 8),
            ListKind::Hashed => (b"lh", 8),
            ListKind::Plain => (b"li", 4),
            ListKind::Split(each) => {
                let lists: Vec<u32> = cells.chunks(each).map(|part| self.cell(&list_bytes(b"lh", part, 8))).collect();
                return self.cell(&list_bytes(b"ri", &lists, 4));
            }
        };
        self.cell(&list_bytes(signature, cells, width))
    }

    fn value(&mut self, value: &Value) -> u32 {
        let (name, is_narrow) = name_bytes(&value.name);
        let (mut size, data) = (u32::try_from(value.data.len()).unwrap(), &value.data);
        let place = match data.len() {
            0..=4 => {
                size |= 1 << 31;
                let mut bytes = [0; 4];
                bytes[..data.len()].copy_from_slice(data);
                u32::from_le_bytes(bytes)
            }
            length if length > SEGMENT && self.form.minor > 3 => {
                let parts: Vec<u32> = data.chunks(SEGMENT).map(|part| self.cell(part)).collect();
                let list: Vec<u8> = parts.iter().flat_map(|cell| cell.to_le_bytes()).collect();
                let mut head = b"db".to_vec();
                head.extend(u16::try_from(parts.len()).unwrap().to_le_bytes());
                head.extend(self.cell(&list).to_le_bytes());
                self.cell(&head)
            }
            _ => self.cell(data),
        };
        let mut head = vec![0; 20];
        head[..2].copy_from_slice(b"vk");
        put16(&mut head, 2, u16::try_from(name.len()).unwrap());
        put32(&mut head, 4, size);
        put32(&mut head, 8, place);
        put32(&mut head, 12, value.kind);
        put16(&mut head, 16, u16::from(is_narrow));
        head.extend(name);
        self.cell(&head)
    }

    fn finish(mut self, root: u32) -> Vec<u8> {
        let used = self.bins.len();
        let size = (used + 8).next_multiple_of(4096);
        self.bins.extend(i32::try_from(size - used).unwrap().to_le_bytes());
        self.bins.resize(size, 0);
        let size = u32::try_from(size).unwrap();
        put32(&mut self.bins, 8, size);
        let mut bytes = vec![0; 4096];
        bytes[..4].copy_from_slice(b"regf");
        put32(&mut bytes, 4, 7);
        put32(&mut bytes, 8, 7);
        put32(&mut bytes, 12, 0x0bad_cafe);
        put32(&mut self.bins, 20, 0x0bad_cafe);
        put32(&mut bytes, 20, 1);
        put32(&mut bytes, 24, self.form.minor);
        put32(&mut bytes, 32, 1);
        put32(&mut bytes, 36, root);
        put32(&mut bytes, 40, size);
        bytes.append(&mut self.bins);
        seal(&mut bytes);
        bytes
    }
}

fn list_bytes(signature: &[u8; 2], cells: &[u32], width: usize) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.extend(u16::try_from(cells.len()).unwrap().to_le_bytes());
    for cell in cells {
        bytes.extend(cell.to_le_bytes());
        // No writer would give this hash to any name.
        bytes.resize(bytes.len() + width - 4, 0xee);
    }
    bytes
}

fn name_bytes(name: &str) -> (Vec<u8>, bool) {
    let narrow: Option<Vec<u8>> = name.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    match narrow {
        Some(bytes) => (bytes, true),
        None => (name.encode_utf16().flat_map(u16::to_le_bytes).collect(), false),
    }
}

pub(crate) fn put16(bytes: &mut [u8], place: usize, number: u16) {
    bytes[place..place + 2].copy_from_slice(&number.to_le_bytes());
}

pub(crate) fn put32(bytes: &mut [u8], place: usize, number: u32) {
    bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
}

/// Writes the checksum of a header.
pub(crate) fn seal(bytes: &mut [u8]) {
    let sum = checksum(bytes.first_chunk().unwrap());
    put32(bytes, 508, sum);
}

fn header(bytes: &[u8]) -> Header {
    Header::parse(bytes.first_chunk().unwrap()).unwrap()
}

/// The hive as a crash leaves it: a write was begun and not finished.
pub(crate) fn dirty(hive: &[u8]) -> Vec<u8> {
    let mut bytes = hive.to_vec();
    put32(&mut bytes, 4, header(hive).begun + 1);
    seal(&mut bytes);
    bytes
}

/// The pages of `after` that differ from `before`.
fn changes(before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let pages = (4096..after.len()).step_by(PAGE_BYTES).map(|place| place..place + PAGE_BYTES);
    pages.filter(|page| before.get(page.clone()) != Some(&after[page.clone()])).collect()
}

fn log_header(of: &[u8], kind: FileKind, sequence: u32) -> Vec<u8> {
    let mut bytes = of[..HEADER_BYTES].to_vec();
    put32(&mut bytes, 28, if kind == FileKind::NewLog { 6 } else { 1 });
    put32(&mut bytes, 4, sequence);
    put32(&mut bytes, 8, sequence);
    seal(&mut bytes);
    bytes
}

/// A log in the format until Windows 8 that leads from one hive to the other.
pub(crate) fn old_log(before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut log = log_header(after, FileKind::OldLog, header(before).begun);
    log.extend(b"DIRT");
    let mut bitmap = vec![0_u8; ((after.len() - 4096) / PAGE_BYTES).div_ceil(8)];
    let changes = changes(before, after);
    for page in &changes {
        let bit = (page.start - 4096) / PAGE_BYTES;
        bitmap[bit / 8] |= 1 << (bit % 8);
    }
    log.extend(bitmap);
    log.resize(log.len().next_multiple_of(PAGE_BYTES), 0);
    changes.into_iter().for_each(|page| log.extend(&after[page]));
    log
}

/// A log in the format since Windows 8.1 that leads from each hive to the next. The first entry has the number `first`.
pub(crate) fn new_log(first: u32, steps: &[&[u8]]) -> Vec<u8> {
    let mut log = log_header(steps[0], FileKind::NewLog, first);
    for (at, pair) in steps.windows(2).enumerate() {
        let (before, after) = (pair[0], pair[1]);
        let changes = changes(before, after);
        let mut body = Vec::new();
        for page in &changes {
            body.extend(u32::try_from(page.start - 4096).unwrap().to_le_bytes());
            body.extend(u32::try_from(page.len()).unwrap().to_le_bytes());
        }
        changes.iter().for_each(|page| body.extend(&after[page.clone()]));
        body.resize((40 + body.len()).next_multiple_of(PAGE_BYTES) - 40, 0);
        let mut head = vec![0; 40];
        head[..4].copy_from_slice(b"HvLE");
        put32(&mut head, 4, u32::try_from(40 + body.len()).unwrap());
        put32(&mut head, 12, first + u32::try_from(at).unwrap());
        put32(&mut head, 16, u32::try_from(after.len() - 4096).unwrap());
        put32(&mut head, 20, u32::try_from(changes.len()).unwrap());
        head[24..32].copy_from_slice(&marvin::of(&body).to_le_bytes());
        let hash = marvin::of(&head[..32]);
        head[32..40].copy_from_slice(&hash.to_le_bytes());
        log.extend(head);
        log.extend(body);
    }
    log
}
