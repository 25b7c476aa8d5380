//! What of an observation is not in its edition: id, path, state, attributes; written relative to the name where that
//! is shorter.

use std::collections::BTreeMap;

use muster_proto::canonical::{Attributes, Edition, ObservationView};
use muster_proto::model::Observation;

use super::text::{Reader, Writer, broken};
use crate::store::fault::Step;

/// The id is the name, with the text after it.
const ID_FROM_NAME: u8 = 1;
/// The id is a product code.
const ID_IS_CODE: u8 = 2;
const HAS_PATH: u8 = 4;
/// The name stands in the path.
const PATH_FROM_NAME: u8 = 8;
const HAS_STATE: u8 = 16;
const HAS_ATTRIBUTES: u8 = 32;

/// See the head of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residue<'a> {
    id: Id<'a>,
    path: Path<'a>,
    state: &'a str,
    attributes: Attributes<'a>,
}

/// How an id is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Id<'a> {
    Text(&'a str),
    AfterName(&'a str),
    Code([u8; 16]),
}

/// How a path is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Path<'a> {
    None,
    Text(&'a str),
    AroundName(&'a str, &'a str),
}

impl PartialEq for Residue<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.path, self.state, self.attributes) == (other.id, other.path, other.state, other.attributes)
    }
}

impl Eq for Residue<'_> {}

impl std::hash::Hash for Residue<'_> {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        (self.id, self.path, self.state).hash(hasher);
    }
}

impl<'a> Residue<'a> {
    pub(super) fn of(observation: &ObservationView<'a>) -> Self {
        let ObservationView { name, id, path, state, attributes, .. } = *observation;
        Self { id: Id::of(name, id), path: Path::of(name, path), state, attributes }
    }

    /// Whether many observations may have the same.
    pub(super) const fn is_plain(&self) -> bool {
        matches!((self.id, self.path), (Id::Text(_) | Id::AfterName(_), Path::None)) && self.attributes.is_empty()
    }

    pub(super) fn write(&self, writer: &mut Writer<'a>) {
        let mut flags = match self.id {
            Id::Text(_) => 0,
            Id::AfterName(_) => ID_FROM_NAME,
            Id::Code(_) => ID_IS_CODE,
        };
        flags |= match self.path {
            Path::None => 0,
            Path::Text(_) => HAS_PATH,
            Path::AroundName(..) => HAS_PATH | PATH_FROM_NAME,
        };
        flags |= if self.state.is_empty() { 0 } else { HAS_STATE };
        flags |= if self.attributes.is_empty() { 0 } else { HAS_ATTRIBUTES };
        writer.byte(flags);
        match self.id {
            Id::Text(text) | Id::AfterName(text) => writer.text(text),
            Id::Code(code) => writer.bytes(&code),
        }
        match self.path {
            Path::None => {}
            Path::Text(path) => writer.text(path),
            Path::AroundName(before, after) => {
                writer.text(before);
                writer.text(after);
            }
        }
        if !self.state.is_empty() {
            writer.text(self.state);
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

impl<'a> Id<'a> {
    fn of(name: &str, id: &'a str) -> Self {
        if let Some(code) = code(id) {
            return Self::Code(code);
        }
        match id.strip_prefix(name) {
            Some(rest) if !name.is_empty() => Self::AfterName(rest),
            _ => Self::Text(id),
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

/// What stands before and after the name in a path, where one of its parts begins with the name: the last such part.
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
    id: String,
    path: (String, String),
    state: String,
    attributes: BTreeMap<String, String>,
}

impl Owned {
    pub(super) fn read(reader: &mut Reader<'_>) -> Step<Self> {
        let flags = reader.byte()?;
        let id = match flags & (ID_FROM_NAME | ID_IS_CODE) {
            0 | ID_FROM_NAME => reader.text()?,
            ID_IS_CODE => spelled(reader.take(16)?),
            _ => return Err(broken("its flags have no meaning")),
        };
        let path = match flags & (HAS_PATH | PATH_FROM_NAME) {
            0 => (String::new(), String::new()),
            HAS_PATH => (reader.text()?, String::new()),
            _ => (reader.text()?, reader.text()?),
        };
        let state = if flags & HAS_STATE == 0 { String::new() } else { reader.text()? };
        let mut attributes = BTreeMap::new();
        if flags & HAS_ATTRIBUTES != 0 {
            for _ in 0..reader.length()? {
                let name = reader.text()?;
                attributes.insert(name, reader.text()?);
            }
        }
        Ok(Self { flags, id, path, state, attributes })
    }

    /// The observation of this edition that has it.
    pub(super) fn of_edition(&self, edition: Edition<'_>) -> Observation {
        let Edition { kind, name, vendor, version } = edition;
        let id = if self.flags & ID_FROM_NAME == 0 { self.id.clone() } else { format!("{name}{}", self.id) };
        let (before, after) = &self.path;
        let path = if self.flags & PATH_FROM_NAME == 0 { before.clone() } else { format!("{before}{name}{after}") };
        Observation {
            kind,
            name: name.to_owned(),
            vendor: vendor.to_owned(),
            version: version.to_owned(),
            id,
            path,
            state: self.state.clone(),
            attributes: self.attributes.clone(),
        }
    }
}

/// Where the dashes of a product code stand.
const DASHES: [usize; 4] = [9, 14, 19, 24];

/// The bytes of `{8-4-4-4-12}` in capitals; every other spelling stays text.
fn code(text: &str) -> Option<[u8; 16]> {
    let inner = text.as_bytes();
    if inner.len() != 38 || inner[0] != b'{' || inner[37] != b'}' || DASHES.iter().any(|at| inner[*at] != b'-') {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let mut code = [0; 16];
    let mut digits = (1..37).filter(|at| !DASHES.contains(at)).map(|at| digit(inner[at]));
    for byte in &mut code {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(code)
}

fn spelled(code: &[u8]) -> String {
    let mut text = String::with_capacity(38);
    text.push('{');
    for (at, byte) in code.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
        }
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_code_takes_its_sixteen_bytes_and_other_spellings_stay_what_they_are() {
        let known = "{0123ABCD-4567-89EF-0011-223344556677}";
        assert_eq!(spelled(&code(known).expect("a code")), known);
        for other in
            ["{0123abcd-4567-89EF-0011-223344556677}", &known[1..], "{0123ABCD-4567-89EF-0011-22334455667-}", ""]
        {
            assert_eq!(code(other), None, "{other}");
        }
    }

    #[test]
    fn a_path_is_cut_at_the_last_part_that_begins_with_the_name() {
        assert_eq!(around("/opt/kesl/bin/kesl-control", "kesl"), Some(("/opt/kesl/bin/", "-control")));
        assert_eq!(around("C:\\Program Files\\avp\\x.exe", "avp"), Some(("C:\\Program Files\\", "\\x.exe")));
        assert_eq!(around("kesl", "kesl"), Some(("", "")));
        assert_eq!((around("/opt/akesl", "kesl"), around("/opt", "")), (None, None));
    }
}
