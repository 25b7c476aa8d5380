//! Canonical sections without copies: an uploaded section is checked, hashed, stored and matched in its own bytes.

use std::cmp::Ordering;
use std::ops::Range;

use bytes::Bytes;

use super::reader::{Reader, limit};
use super::{NotCanonical, SECTION_MAGIC, section_bytes, write_head, write_observation, write_text};
use crate::limits;
use crate::model::{Digest, Kind, Observation, Platform, Section, SourceName};

/// An observation inside canonical bytes. It has the order of [`Observation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservationView<'a> {
    /// The kind of evidence.
    pub kind: Kind,
    /// The name in the source.
    pub name: &'a str,
    /// Publisher, maintainer or signer.
    pub vendor: &'a str,
    /// The version as the source writes it.
    pub version: &'a str,
    /// Package id, product code, bundle id, service key, unit file.
    pub id: &'a str,
    /// The path where it was found.
    pub path: &'a str,
    /// The condition that the source reports.
    pub state: &'a str,
    /// More facts by name, in the order of the names.
    pub attributes: Attributes<'a>,
    /// The bytes of kind, name, vendor, version and id, see [`Edition`].
    pub edition: &'a [u8],
}

/// A title in one version, with its id: the first five fields of an observation, which many hosts have in common. The
/// platform is that of the section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edition<'a> {
    /// The kind of evidence.
    pub kind: Kind,
    /// The name in the source.
    pub name: &'a str,
    /// Publisher, maintainer or signer.
    pub vendor: &'a str,
    /// The version as the source writes it.
    pub version: &'a str,
    /// Package id, product code, bundle id, service key, unit file.
    pub id: &'a str,
}

impl<'a> Edition<'a> {
    /// Its canonical bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.name.len() + self.vendor.len());
        bytes.push(self.kind.code());
        for text in [self.name, self.vendor, self.version, self.id] {
            write_text(&mut bytes, text);
        }
        bytes
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// The bytes are not canonical. The error names the field and its offset.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NotCanonical> {
        let mut reader = Reader::over(bytes);
        let edition = read_edition(&mut reader)?;
        reader.end()?;
        Ok(edition)
    }

    /// Reads canonical bytes at the start of longer bytes, and returns what follows them.
    ///
    /// # Errors
    /// The bytes do not begin with an edition. The error names the field and its offset.
    pub fn read_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), NotCanonical> {
        let mut reader = Reader::over(bytes);
        let edition = read_edition(&mut reader)?;
        Ok((edition, &bytes[reader.at()..]))
    }
}

/// The attributes of an observation inside canonical bytes.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// A section as it is uploaded: checked canonical bytes and their digest. There is no way to make one from unchecked
/// bytes, so code that gets one does not check it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalSection {
    digest: Digest,
    platform: Platform,
    source: SourceName,
    count: usize,
    bytes: Bytes,
}

impl CanonicalSection {
    /// Hashes and checks untrusted bytes: limits, order, duplicates and text in one pass.
    ///
    /// # Errors
    /// The bytes are not canonical. The error names the field and its offset.
    pub fn read(bytes: Bytes) -> Result<Self, NotCanonical> {
        limit("section", bytes.len(), "SECTION_BYTES", limits::SECTION_BYTES)?;
        let (platform, source, count) = walk(&bytes, limits::OBSERVATIONS_PER_SECTION, |_, _| ())?;
        Ok(Self { digest: Digest::of(&bytes), platform, source, count, bytes })
    }

    /// The digest of the bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The platform of the scanned machine.
    #[must_use]
    pub const fn platform(&self) -> Platform {
        self.platform
    }

    /// The source that was read.
    #[must_use]
    pub const fn source(&self) -> SourceName {
        self.source
    }

    /// The number of observations.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no observations.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The observations in canonical order.
    #[must_use]
    pub fn observations(&self) -> Vec<ObservationView<'_>> {
        let mut observations = Vec::with_capacity(self.count);
        self.each(|_, observation| observations.push(*observation));
        observations
    }

    /// Calls `show` for each observation in canonical order, with its range of bytes.
    pub fn each<'s>(&'s self, show: impl FnMut(Range<usize>, &ObservationView<'s>)) {
        // The bytes were checked when the section was made, so the walk cannot fail.
        let walked = Reader::trusted(&self.bytes, SECTION_MAGIC).and_then(|reader| walk_on(reader, self.count, show));
        debug_assert!(walked.is_ok(), "the bytes of a CanonicalSection are canonical");
    }
}

/// Writes a section one observation at a time. The caller gives them in canonical order.
#[derive(Debug)]
pub struct SectionWriter {
    bytes: Vec<u8>,
}

impl SectionWriter {
    /// Begins a section of `count` observations.
    #[must_use]
    pub fn new(platform: Platform, source: SourceName, count: usize) -> Self {
        let mut bytes = Vec::with_capacity(16 + count.min(limits::OBSERVATIONS_PER_SECTION) * 96);
        write_head(&mut bytes, platform, source, count);
        Self { bytes }
    }

    /// Writes the next observation. `texts` are name, vendor, version, id, path and state; the attributes are in the order
    /// of their names.
    pub fn observation(&mut self, kind: Kind, texts: [&str; 6], attributes: &[(String, String)]) {
        let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        write_observation(&mut self.bytes, kind, texts, attributes);
    }

    /// Checks what was written and returns the section.
    ///
    /// # Errors
    /// The observations are out of order, doubled or not clean, or there are more or fewer than `count`.
    pub fn finish(self) -> Result<CanonicalSection, NotCanonical> {
        CanonicalSection::read(self.bytes.into())
    }
}

impl From<&Section> for CanonicalSection {
    fn from(section: &Section) -> Self {
        let bytes = Bytes::from(section_bytes(section));
        Self {
            digest: Digest::of(&bytes),
            platform: section.platform(),
            source: section.source(),
            count: section.observations().len(),
            bytes,
        }
    }
}

impl ObservationView<'_> {
    /// An owned copy.
    #[must_use]
    pub fn to_observation(&self) -> Observation {
        Observation {
            kind: self.kind,
            name: self.name.to_owned(),
            vendor: self.vendor.to_owned(),
            version: self.version.to_owned(),
            id: self.id.to_owned(),
            path: self.path.to_owned(),
            state: self.state.to_owned(),
            attributes: self.attributes.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

impl<'a> Attributes<'a> {
    /// The number of attributes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no attributes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        // These bytes were checked when the observation was read, so `ok` drops nothing.
        let mut reader = Reader::over(self.bytes);
        (0..self.count).map_while(move |_| read_attribute(&mut reader).ok())
    }
}

impl PartialEq for Attributes<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Equal attributes have equal bytes, because the bytes are canonical.
        self.count == other.count && self.bytes == other.bytes
    }
}

impl Eq for Attributes<'_> {}

impl PartialOrd for Attributes<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Attributes<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The bytes have another order: the length of a text comes before the text.
        if self.count == 0 && other.count == 0 { Ordering::Equal } else { self.iter().cmp(other.iter()) }
    }
}

/// Calls `show` for each observation with its range of bytes. Checks everything that makes the bytes canonical except
/// their length. Returns platform, source and the number of observations.
pub(super) fn walk<'a>(
    bytes: &'a [u8],
    most: usize,
    mut show: impl FnMut(Range<usize>, &ObservationView<'a>),
) -> Result<(Platform, SourceName, usize), NotCanonical> {
    walk_on(Reader::new(bytes, SECTION_MAGIC, "section")?, most, &mut show)
}

fn walk_on<'a>(
    mut reader: Reader<'a>,
    most: usize,
    mut show: impl FnMut(Range<usize>, &ObservationView<'a>),
) -> Result<(Platform, SourceName, usize), NotCanonical> {
    let platform = reader.member("platform", Platform::from_code)?;
    let source = reader.member("source", SourceName::from_code)?;
    let count = reader.count("observations", "OBSERVATIONS_PER_SECTION", most)?;
    let mut last: Option<ObservationView<'a>> = None;
    for index in 0..count {
        let from = reader.at();
        let observation = read_observation(&mut reader)?;
        if reader.checks() {
            if last.is_some_and(|last| last >= observation) {
                return Err(NotCanonical::Order { field: "observation", index });
            }
            last = Some(observation);
        }
        show(from..reader.at(), &observation);
    }
    reader.end()?;
    Ok((platform, source, count))
}

#[inline]
fn read_observation<'a>(reader: &mut Reader<'a>) -> Result<ObservationView<'a>, NotCanonical> {
    let from = reader.at();
    let Edition { kind, name, vendor, version, id } = read_edition(reader)?;
    let edition = reader.since(from);
    Ok(ObservationView {
        kind,
        name,
        vendor,
        version,
        id,
        path: reader.text("path", "PATH_BYTES", limits::PATH_BYTES)?,
        state: reader.text("state", "TEXT_BYTES", limits::TEXT_BYTES)?,
        attributes: read_attributes(reader)?,
        edition,
    })
}

#[inline]
fn read_edition<'a>(reader: &mut Reader<'a>) -> Result<Edition<'a>, NotCanonical> {
    Ok(Edition {
        kind: reader.member("kind", Kind::from_code)?,
        name: reader.text("name", "TEXT_BYTES", limits::TEXT_BYTES)?,
        vendor: reader.text("vendor", "TEXT_BYTES", limits::TEXT_BYTES)?,
        version: reader.text("version", "TEXT_BYTES", limits::TEXT_BYTES)?,
        id: reader.text("id", "TEXT_BYTES", limits::TEXT_BYTES)?,
    })
}

#[inline]
fn read_attributes<'a>(reader: &mut Reader<'a>) -> Result<Attributes<'a>, NotCanonical> {
    let count = reader.count("attributes", "ATTRIBUTES_PER_OBSERVATION", limits::ATTRIBUTES_PER_OBSERVATION)?;
    let from = reader.at();
    let mut last = None;
    for index in 0..count {
        let (name, _) = read_attribute(reader)?;
        if reader.checks() && last.is_some_and(|last| last >= name) {
            return Err(NotCanonical::Order { field: "attribute", index });
        }
        last = Some(name);
    }
    Ok(Attributes { count, bytes: reader.since(from) })
}

fn read_attribute<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, &'a str), NotCanonical> {
    let name = reader.text("attribute name", "ATTRIBUTE_NAME_BYTES", limits::ATTRIBUTE_NAME_BYTES)?;
    Ok((name, reader.text("attribute value", "TEXT_BYTES", limits::TEXT_BYTES)?))
}
