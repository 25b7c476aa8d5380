//! The residue of an observation: what is not in its edition (path, attributes). The path is stored relative to
//! the name if that is shorter.

use std::collections::BTreeMap;

use muster_proto::canonical::{Attributes, Edition, ObservationView};
use muster_proto::model::Observation;

use super::text::{Reader, Writer};
use crate::store::fault::Step;

const HAS_PATH: u8 = 1;
/// The path contains the name.
const PATH_FROM_NAME: u8 = 2;
const HAS_ATTRIBUTES: u8 = 4;

/// See the head of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residue<'a> {
    path: Path<'a>,
    attributes: Attributes<'a>,
}

/// How a path is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Path<'a> {
    None,
    Text(&'a str),
    AroundName(&'a str, &'a str),
}

impl PartialEq for Residue<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.path, self.attributes) == (other.path, other.attributes)
    }
}

impl Eq for Residue<'_> {}

impl std::hash::Hash for Residue<'_> {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        // Attributes are left out, because only residues without any are keys of a map.
        self.path.hash(hasher);
    }
}

impl<'a> Residue<'a> {
    pub(super) fn of(observation: &ObservationView<'a>) -> Self {
        let ObservationView { name, path, attributes, .. } = *observation;
        Self { path: Path::of(name, path), attributes }
    }

    /// Whether several observations can have the same residue.
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.path, Path::None) && self.attributes.is_empty()
    }

    pub(super) fn write(&self, writer: &mut Writer<'a>) {
        let mut flags = match self.path {
            Path::None => 0,
            Path::Text(_) => HAS_PATH,
            Path::AroundName(..) => HAS_PATH | PATH_FROM_NAME,
        };
        flags |= if self.attributes.is_empty() { 0 } else { HAS_ATTRIBUTES };
        writer.byte(flags);
        match self.path {
            Path::None => {}
            Path::Text(path) => writer.text(path),
            Path::AroundName(before, after) => {
                writer.text(before);
                writer.text(after);
            }
        }
        if !self.attributes.is_empty() {
            writer.varint(self.attributes.len() as u64);
            for (name, value) in self.attributes.iter() {
                writer.text(name);
                writer.text(value);
            }
        }
    }
}

impl<'a> Path<'a> {
    fn of(name: &str, path: &'a str) -> Self {
        if path.is_empty() {
            return Self::None;
        }
        match around(path, name) {
            Some((before, after)) => Self::AroundName(before, after),
            None => Self::Text(path),
        }
    }
}

/// The parts of a path before and after the name, at the last component that begins with the name.
fn around<'a>(path: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    if name.is_empty() {
        return None;
    }
    let bytes = path.as_bytes();
    let separators = bytes.iter().enumerate().rev().filter(|(_, byte)| matches!(byte, b'/' | b'\\'));
    let mut parts = separators.map(|(at, _)| at + 1).chain([0]);
    let at = parts.find(|at| bytes[*at..].starts_with(name.as_bytes()))?;
    Some((&path[..at], &path[at + name.len()..]))
}

/// A residue that was read.
#[derive(Debug)]
pub(super) struct Owned {
    flags: u8,
    path: (String, String),
    attributes: BTreeMap<String, String>,
}

impl Owned {
    pub(super) fn read(reader: &mut Reader<'_>) -> Step<Self> {
        let flags = reader.byte()?;
        let path = match flags & (HAS_PATH | PATH_FROM_NAME) {
            0 => (String::new(), String::new()),
            HAS_PATH => (reader.text()?, String::new()),
            _ => (reader.text()?, reader.text()?),
        };
        let mut attributes = BTreeMap::new();
        if flags & HAS_ATTRIBUTES != 0 {
            for _ in 0..reader.length()? {
                let name = reader.text()?;
                attributes.insert(name, reader.text()?);
            }
        }
        Ok(Self { flags, path, attributes })
    }

    /// The observation with this edition, state and residue.
    pub(super) fn of_edition(&self, edition: Edition<'_>, state: &str) -> Observation {
        let Edition { kind, name, vendor, version, id } = edition;
        let (before, after) = &self.path;
        let path = if self.flags & PATH_FROM_NAME == 0 { before.clone() } else { format!("{before}{name}{after}") };
        Observation {
            kind,
            name: name.to_owned(),
            vendor: vendor.to_owned(),
            version: version.to_owned(),
            id: id.to_owned(),
            path,
            state: state.to_owned(),
            attributes: self.attributes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_at_the_last_part_that_begins_with_the_name() {
        assert_eq!(around("/opt/kesl/bin/kesl-control", "kesl"), Some(("/opt/kesl/bin/", "-control")));
        assert_eq!(around("C:\\Program Files\\avp\\x.exe", "avp"), Some(("C:\\Program Files\\", "\\x.exe")));
        assert_eq!(around("kesl", "kesl"), Some(("", "")));
        assert_eq!((around("/opt/akesl", "kesl"), around("/opt", "")), (None, None));
    }
}
