//! The header blob of a package: an index of tags, followed by their values.
//!
//! It starts with two counts. Each index entry has tag, type, offset and count, all big-endian. Unlike a package file, the
//! blob in a database has neither magic bytes nor a signature.

use crate::sources::parse::dpkg::person;
use crate::sources::parse::paged::{Lazy, PagedFault, be32};

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const VENDOR: u32 = 1011;
const PACKAGER: u32 = 1015;
const ARCH: u32 = 1022;
const INT32: u32 = 4;
const STRING: u32 = 6;
const I18N_STRING: u32 = 9;
/// rpm's own limits for a header.
const TAGS: usize = 0xffff;
const DATA: usize = 0x0fff_ffff;
/// Limit for a text; no name or version is longer.
const TEXT: usize = 4096;

/// A package in the database. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Package {
    /// The name.
    pub name: String,
    /// `[epoch:]version-release`.
    pub version: String,
    /// The architecture; empty for public keys, which rpm stores as packages.
    pub architecture: String,
    /// The vendor, or the packager's name without the mail address.
    pub vendor: String,
}

struct Entry {
    kind: u32,
    place: usize,
    /// Offset and alignment of the next value.
    next: (usize, usize),
}

/// The index of a header: entries of 16 bytes, and where the values start and end.
struct Index {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Index {
    fn entry(&self, wanted: u32) -> Option<Entry> {
        let entry = self.bytes.chunks_exact(16).find(|entry| be32(entry, 0) == wanted)?;
        let place = be32(entry, 8);
        let after = self.bytes.chunks_exact(16).filter(|entry| be32(entry, 8) > place);
        let next = after.min_by_key(|entry| be32(entry, 8));
        let next = next.map_or((self.end, 16), |next| (self.start + be32(next, 8) as usize, alignment(be32(next, 4))));
        Some(Entry { kind: be32(entry, 4), place: self.start + place as usize, next })
    }
}

/// The alignment of values of a type.
const fn alignment(kind: u32) -> usize {
    match kind {
        3 => 2,
        INT32 => 4,
        5 => 8,
        _ => 1,
    }
}

pub(super) fn read(blob: &mut Lazy<'_>) -> Result<Package, PagedFault> {
    let head = blob.get(0, 8)?;
    let (tags, data) = (be32(head, 0) as usize, be32(head, 4) as usize);
    if tags == 0 || tags > TAGS || data > DATA || 8 + tags * 16 + data != blob.length() {
        return Err(blob.fault("not an rpm header"));
    }
    let index = Index { bytes: blob.get(8, tags * 16)?.to_vec(), start: 8 + tags * 16, end: blob.length() };
    let mut text = |tag: u32| match index.entry(tag) {
        Some(entry) if matches!(entry.kind, STRING | I18N_STRING) => string(blob, &entry),
        Some(_) => Err(blob.fault("a tag has an unexpected type")),
        None => Ok(String::new()),
    };
    let (name, version, release) = (text(NAME)?, text(VERSION)?, text(RELEASE)?);
    let (vendor, packager, architecture) = (text(VENDOR)?, text(PACKAGER)?, text(ARCH)?);
    if name.is_empty() || version.is_empty() || release.is_empty() {
        return Err(blob.fault("the package has no name, version or release"));
    }
    let epoch = match index.entry(EPOCH) {
        Some(entry) if entry.kind == INT32 => format!("{}:", be32(blob.get(entry.place, 4)?, 0)),
        Some(_) => return Err(blob.fault("a tag has an unexpected type")),
        None => String::new(),
    };
    let vendor = if is_none(&vendor) { person(packager.as_bytes()) } else { vendor };
    let architecture = if is_none(&architecture) { String::new() } else { architecture };
    Ok(Package { name, version: format!("{epoch}{version}-{release}"), architecture, vendor })
}

/// Whether a text means "none", as some packagers spell it.
fn is_none(text: &str) -> bool {
    matches!(text, "" | "(none)")
}

/// A NUL-terminated text. Values have no gaps, so a text that ends before the next value begins was overwritten.
fn string(blob: &mut Lazy<'_>, entry: &Entry) -> Result<String, PagedFault> {
    let most = blob.length().saturating_sub(entry.place).min(TEXT);
    // Most texts are short. Growing steps fetch no page that is not needed.
    let mut length = 64.min(most);
    loop {
        let bytes = blob.get(entry.place, length)?;
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let (next, alignment) = entry.next;
            // Padding may lie in between, as far as the next value's alignment needs it.
            let fits = (entry.place + end + 1..).take(alignment).any(|place| place == next);
            // Such a value is an array: translations may follow the first text.
            let fits = fits || entry.kind == I18N_STRING;
            return if fits { Ok(text) } else { Err(blob.fault("a text does not end where the next value begins")) };
        }
        if length >= most {
            return Err(blob.fault("a text is not terminated"));
        }
        length = (length * 4).min(most);
    }
}
