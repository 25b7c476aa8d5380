//! The canonical bytes of sections and snapshots. These bytes are hashed for the digest, uploaded and stored.
//!
//! ```text
//! section := "MSEC" 0x01 platform:u8 source:u8 count:varint observation*
//! observation := kind:u8 name vendor version id path state attributes:varint (name value)*
//! snapshot := "MSNP" 0x01 platform:u8 count:varint entry*
//! entry := source:u8 outcome:u8 watchlist:varint reason has_section:u8 [digest:32]
//! name, vendor, …, reason, value := length:varint bytes(UTF-8)
//! varint := LEB128, shortest form only
//! ```
//!
//! Observations are in ascending order of their fields, without duplicates. Entries are in ascending order of the source
//! code, attributes in ascending order of their names. Text is clean: no control characters, no space at its ends.
//! Each content therefore has exactly one byte string, and [`read_section`] refuses every other one. The bytes do not
//! depend on the machine that writes them: no pointer width, byte order, locale or path form.

mod reader;
mod view;

pub use crate::model::clean_text;
pub use view::{Attributes, CanonicalSection, Edition, ObservationView, SectionWriter};

use crate::limits;
use crate::model::{Digest, Kind, Observation, Outcome, Platform, Section, Snapshot, SnapshotEntry, SourceName};
use reader::{Reader, limit};
use view::walk;

const SECTION_MAGIC: &[u8; 5] = b"MSEC\x01";
/// The most that a section has before its observations: magic bytes, platform, source and a count.
const HEAD_BYTES: usize = 5 + 1 + 1 + 10;
const SNAPSHOT_MAGIC: &[u8; 5] = b"MSNP\x01";

/// Why bytes are not the canonical form of a section or a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// The first bytes are not the magic bytes of this format and version.
    #[error("the bytes do not begin with the magic bytes of a canonical {0}")]
    Magic(&'static str),
    /// The bytes end inside a field.
    #[error("the bytes end inside {field}, which begins at byte {at}")]
    Truncated {
        /// The field.
        field: &'static str,
        /// Offset of its first byte.
        at: usize,
    },
    /// Bytes follow the last field.
    #[error("{0} bytes follow the last field")]
    Trailing(usize),
    /// A number that is not in its closed list, or not in its shortest form.
    #[error("{field} at byte {at} has the unknown value {value}")]
    Value {
        /// The field.
        field: &'static str,
        /// Offset of the number.
        at: usize,
        /// The number.
        value: u64,
    },
    /// Text that is not UTF-8, or has control characters or space at its ends.
    #[error("{field} at byte {at} is not UTF-8, or has control characters or space at its ends")]
    Text {
        /// The field.
        field: &'static str,
        /// Offset of its first byte.
        at: usize,
    },
    /// A source that found something and names no section, or found nothing and names one.
    #[error("{}", contradiction(*.source_name, *.outcome))]
    Outcome {
        /// The source.
        source_name: SourceName,
        /// Its outcome.
        outcome: Outcome,
    },
    /// Elements out of order, or an element twice.
    #[error("{field} {index} is out of order or a duplicate")]
    Order {
        /// The field.
        field: &'static str,
        /// Its index, from 0.
        index: usize,
    },
    /// A limit of the contract is exceeded.
    #[error("{field} has {value}; the limit {limit_name} is {limit}")]
    Limit {
        /// The field.
        field: &'static str,
        /// The number of bytes or elements.
        value: usize,
        /// The limit's name in `limits`.
        limit_name: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl NotCanonical {
    /// Whether a limit is exceeded; otherwise the bytes are malformed.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::Limit { .. })
    }
}

fn contradiction(source: SourceName, outcome: Outcome) -> String {
    let but = if outcome == Outcome::Found { "has no section" } else { "has a section" };
    format!("source {source} has the outcome {outcome}, but {but}")
}

/// The canonical bytes of a section. [`Section::new`] has already cut its texts to the limits.
#[must_use]
pub fn section_bytes(section: &Section) -> Vec<u8> {
    // A buffer that grows takes up to three times as much.
    let mut bytes = Vec::with_capacity(observations_within(section, usize::MAX).1);
    write_head(&mut bytes, section.platform(), section.source(), section.observations().len());
    for observation in section.observations() {
        let attributes = observation.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        write_observation(&mut bytes, observation.kind, texts(observation), attributes);
    }
    bytes
}

/// How many observations of a section, from the first on, fit in this many canonical bytes, and how many bytes they take.
#[must_use]
pub fn observations_within(section: &Section, most: usize) -> (usize, usize) {
    let mut length = HEAD_BYTES;
    for (count, observation) in section.observations().iter().enumerate() {
        let with = length + length_of(observation);
        if with > most {
            return (count, length);
        }
        length = with;
    }
    (section.observations().len(), length)
}

fn length_of(observation: &Observation) -> usize {
    let text = |text: &str| varint_length(text.len() as u64) + text.len();
    let texts: usize = texts(observation).into_iter().map(text).sum();
    let attributes: usize = observation.attributes.iter().map(|(name, value)| text(name) + text(value)).sum();
    1 + texts + varint_length(observation.attributes.len() as u64) + attributes
}

const fn varint_length(value: u64) -> usize {
    let bits = if value == 0 { 1 } else { 64 - value.leading_zeros() };
    bits.div_ceil(7) as usize
}

/// Reads the canonical bytes of a section. Checks limits, order, duplicates and text in the same pass.
///
/// # Errors
/// The bytes are not canonical. The error names the field and its offset.
pub fn read_section(bytes: &[u8]) -> Result<Section, NotCanonical> {
    let mut observations = Vec::new();
    limit("section", bytes.len(), "SECTION_BYTES", limits::SECTION_BYTES)?;
    let copy = |_, observation: &ObservationView<'_>| observations.push(observation.to_observation());
    let (platform, source, _) = walk(bytes, limits::OBSERVATIONS_PER_SECTION, copy)?;
    Ok(Section::from_canonical(platform, source, observations))
}

/// The canonical bytes of a snapshot.
#[must_use]
pub fn snapshot_bytes(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + snapshot.entries().len() * 40);
    bytes.extend_from_slice(SNAPSHOT_MAGIC);
    bytes.push(snapshot.platform().code());
    write_varint(&mut bytes, snapshot.entries().len() as u64);
    for entry in snapshot.entries() {
        bytes.push(entry.source.code());
        bytes.push(entry.outcome.code());
        write_varint(&mut bytes, entry.watchlist);
        write_text(&mut bytes, &entry.reason);
        bytes.push(u8::from(entry.section.is_some()));
        if let Some(digest) = &entry.section {
            bytes.extend_from_slice(digest.as_bytes());
        }
    }
    bytes
}

/// Reads the canonical bytes of a snapshot.
///
/// # Errors
/// The bytes are not canonical. The error names the field and its offset.
pub fn read_snapshot(bytes: &[u8]) -> Result<Snapshot, NotCanonical> {
    limit("snapshot", bytes.len(), "SNAPSHOT_BYTES", limits::SNAPSHOT_BYTES)?;
    let mut reader = Reader::new(bytes, SNAPSHOT_MAGIC, "snapshot")?;
    let platform = reader.member("platform", Platform::from_code)?;
    let count = reader.count("sources", "SOURCES_PER_SNAPSHOT", limits::SOURCES_PER_SNAPSHOT)?;
    // An entry has more than four bytes, so a false count cannot reserve much more memory than the input has.
    let mut entries: Vec<SnapshotEntry> = Vec::with_capacity(count.min(reader.rest() / 4));
    for index in 0..count {
        let entry = read_entry(&mut reader)?;
        if entries.last().is_some_and(|last| last.source >= entry.source) {
            return Err(NotCanonical::Order { field: "source", index });
        }
        entries.push(entry);
    }
    reader.end()?;
    Ok(Snapshot::from_canonical(platform, entries))
}

/// The digest that names a section.
#[must_use]
pub fn section_digest(section: &Section) -> Digest {
    Digest::of(&section_bytes(section))
}

/// The digest that names a snapshot.
#[must_use]
pub fn snapshot_digest(snapshot: &Snapshot) -> Digest {
    Digest::of(&snapshot_bytes(snapshot))
}

fn texts(observation: &Observation) -> [&str; 6] {
    [
        &observation.name,
        &observation.vendor,
        &observation.version,
        &observation.id,
        &observation.path,
        &observation.state,
    ]
}

fn read_entry(reader: &mut Reader<'_>) -> Result<SnapshotEntry, NotCanonical> {
    let source = reader.member("source", SourceName::from_code)?;
    let outcome = reader.member("outcome", Outcome::from_code)?;
    let watchlist = reader.varint("watchlist")?;
    let reason = reader.text("reason", "REASON_BYTES", limits::REASON_BYTES)?.to_owned();
    let at = reader.at();
    let section = match reader.byte("has_section")? {
        0 => None,
        1 => Some(reader.digest()?),
        other => return Err(NotCanonical::Value { field: "has_section", at, value: u64::from(other) }),
    };
    let contradicts = match outcome {
        Outcome::Found => section.is_none(),
        Outcome::Empty => section.is_some(),
        // Whatever was read of such a source counts, and there may be nothing.
        Outcome::Partial | Outcome::NotApplicable | Outcome::Denied | Outcome::Failed | Outcome::TimedOut => false,
    };
    if contradicts {
        return Err(NotCanonical::Outcome { source_name: source, outcome });
    }
    Ok(SnapshotEntry { source, outcome, reason, watchlist, section })
}

fn write_head(bytes: &mut Vec<u8>, platform: Platform, source: SourceName, count: usize) {
    bytes.extend_from_slice(SECTION_MAGIC);
    bytes.push(platform.code());
    bytes.push(source.code());
    write_varint(bytes, count as u64);
}

fn write_observation<'a>(
    bytes: &mut Vec<u8>,
    kind: Kind,
    texts: [&str; 6],
    attributes: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) {
    bytes.push(kind.code());
    for text in texts {
        write_text(bytes, text);
    }
    write_varint(bytes, attributes.len() as u64);
    for (name, value) in attributes {
        write_text(bytes, name);
        write_text(bytes, value);
    }
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}
