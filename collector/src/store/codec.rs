//! The interned form of a section: numbers into the dictionaries of titles and versions, and what is not shared.
//!
//! ```text
//! body := 0x01 count:varint item*
//! item := flags:u8 title:zigzag(difference to the item before) version:varint id [path] [state:text]
//!         [attributes:varint (name:text value:text)*]
//! id   := text | what follows the name:text | the 16 bytes of a product code {8-4-4-4-12}, in capitals
//! path := text | what stands before the name:text, what follows it:text
//! text := n:varint            n > 0: the (n-1)th text of this body's table, which begins with the empty text
//!       | 0 shared:varint rest:varint bytes    a new text: so many bytes of the one before it, then these
//! ```
//!
//! Lossless: [`decode`] gives back the section that [`encode`] was given, to the byte.
//! 300 packages take some 1.5 KB, because most of what a package says is in a dictionary.

use hashbrown::HashMap;
use muster_proto::canonical::{CanonicalSection, SectionWriter};
use muster_proto::model::{Kind, Platform, SourceName};

use super::fault::{Fault, Step};

const FORM: u8 = 1;

/// The id is the name, with the text after it.
const ID_FROM_NAME: u8 = 1;
/// The id is a product code.
const ID_IS_CODE: u8 = 2;
const HAS_PATH: u8 = 4;
/// The name stands in the path.
const PATH_FROM_NAME: u8 = 8;
const HAS_STATE: u8 = 16;
const HAS_ATTRIBUTES: u8 = 32;

/// What the dictionary of titles keeps of an observation; the platform is that of the section.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) struct Title {
    pub(in crate::store) kind: Kind,
    pub(in crate::store) name: String,
    pub(in crate::store) vendor: String,
}

/// Gives numbers to titles and versions; makes new entries where there are none.
pub(in crate::store) trait Dictionary {
    fn title(&mut self, platform: Platform, kind: Kind, name: &str, vendor: &str) -> Step<i64>;
    /// Never asked for the empty version, which is 0.
    fn version(&mut self, text: &str) -> Step<i64>;
}

/// Finds titles and versions by their numbers.
pub(in crate::store) trait Lookup {
    fn title(&mut self, id: i64) -> Step<Option<Title>>;
    fn version(&mut self, id: i64) -> Step<Option<String>>;
}

/// The interned form of a section.
pub(in crate::store) fn encode(section: &CanonicalSection, dictionary: &mut impl Dictionary) -> Step<Vec<u8>> {
    let observations = section.observations();
    let mut writer = Writer::new(16 + observations.len() * 12);
    writer.bytes.push(FORM);
    writer.varint(observations.len() as u64);
    let mut last = 0;
    for observation in &observations {
        let title = dictionary.title(section.platform(), observation.kind, observation.name, observation.vendor)?;
        let version = if observation.version.is_empty() { 0 } else { dictionary.version(observation.version)? };
        let id = Id::of(observation.name, observation.id);
        let path = around(observation.path, observation.name);
        let mut flags = id.flag();
        for (bit, set) in [
            (HAS_PATH, !observation.path.is_empty()),
            (PATH_FROM_NAME, path.is_some()),
            (HAS_STATE, !observation.state.is_empty()),
            (HAS_ATTRIBUTES, !observation.attributes.is_empty()),
        ] {
            flags |= if set { bit } else { 0 };
        }
        writer.bytes.push(flags);
        writer.varint(zigzag(title.wrapping_sub(last)));
        last = title;
        writer.varint(version.cast_unsigned());
        match id {
            Id::Text(text) | Id::AfterName(text) => writer.text(text),
            Id::Code(code) => writer.bytes.extend_from_slice(&code),
        }
        match path {
            Some((before, after)) => {
                writer.text(before);
                writer.text(after);
            }
            None if !observation.path.is_empty() => writer.text(observation.path),
            None => {}
        }
        if !observation.state.is_empty() {
            writer.text(observation.state);
        }
        if !observation.attributes.is_empty() {
            writer.varint(observation.attributes.len() as u64);
            for (name, value) in observation.attributes.iter() {
                writer.text(name);
                writer.text(value);
            }
        }
    }
    Ok(writer.bytes)
}

/// The section of an interned form.
pub(in crate::store) fn decode(
    platform: Platform,
    source: SourceName,
    body: &[u8],
    lookup: &mut impl Lookup,
) -> Step<CanonicalSection> {
    let mut reader = Reader::new(body)?;
    let count = reader.length()?;
    let mut section = SectionWriter::new(platform, source, count);
    let mut last: i64 = 0;
    for _ in 0..count {
        let flags = reader.byte()?;
        last = last.wrapping_add(unzigzag(reader.varint()?));
        let Title { kind, name, vendor } =
            lookup.title(last)?.ok_or_else(|| broken(&format!("title {last} is not in the dictionary")))?;
        let version = match reader.varint()?.cast_signed() {
            0 => String::new(),
            id => lookup.version(id)?.ok_or_else(|| broken(&format!("version {id} is not in the dictionary")))?,
        };
        let id = match flags & (ID_FROM_NAME | ID_IS_CODE) {
            0 => reader.text()?,
            ID_FROM_NAME => format!("{name}{}", reader.text()?),
            _ => reader.code()?,
        };
        let path = match flags & (HAS_PATH | PATH_FROM_NAME) {
            0 => String::new(),
            HAS_PATH => reader.text()?,
            _ => {
                let before = reader.text()?;
                format!("{before}{name}{}", reader.text()?)
            }
        };
        let state = if flags & HAS_STATE == 0 { String::new() } else { reader.text()? };
        let attributes = if flags & HAS_ATTRIBUTES == 0 { Vec::new() } else { reader.attributes()? };
        section.observation(kind, [&name, &vendor, &version, &id, &path, &state], &attributes);
    }
    if reader.at != body.len() {
        return Err(broken("bytes follow the last observation"));
    }
    section.finish().map_err(|error| broken(&error.to_string()))
}

/// How an id is written.
enum Id<'a> {
    Text(&'a str),
    AfterName(&'a str),
    Code([u8; 16]),
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

    const fn flag(&self) -> u8 {
        match self {
            Self::Text(_) => 0,
            Self::AfterName(_) => ID_FROM_NAME,
            Self::Code(_) => ID_IS_CODE,
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

/// What stands before and after the name in a path, when it is there.
fn around<'a>(path: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    if path.is_empty() || name.is_empty() {
        return None;
    }
    let at = path.rfind(name)?;
    Some((&path[..at], &path[at + name.len()..]))
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn broken(reason: &str) -> Fault {
    Fault::damaged("the body of a section", reason)
}

struct Writer<'a> {
    bytes: Vec<u8>,
    table: HashMap<&'a str, u64>,
    newest: &'a str,
}

impl<'a> Writer<'a> {
    fn new(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), table: HashMap::from_iter([("", 1)]), newest: "" }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn text(&mut self, text: &'a str) {
        if let Some(known) = self.table.get(text) {
            return self.varint(*known);
        }
        let shared = self.newest.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        self.varint(0);
        self.varint(shared as u64);
        self.varint((text.len() - shared) as u64);
        self.bytes.extend_from_slice(&text.as_bytes()[shared..]);
        self.table.insert(text, self.table.len() as u64 + 1);
        self.newest = text;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    table: Vec<Vec<u8>>,
    newest: usize,
}

impl<'a> Reader<'a> {
    fn new(body: &'a [u8]) -> Step<Self> {
        let mut reader = Self { bytes: body, at: 0, table: vec![Vec::new()], newest: 0 };
        if reader.byte()? == FORM { Ok(reader) } else { Err(broken("its form is not known")) }
    }

    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| broken("it ends within a text"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn code(&mut self) -> Step<String> {
        Ok(spelled(self.take(16)?))
    }

    fn byte(&mut self) -> Step<u8> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| broken("it ends within an observation"))?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Step<u64> {
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

    fn length(&mut self) -> Step<usize> {
        usize::try_from(self.varint()?).map_err(|_| broken("a length is too large"))
    }

    fn text(&mut self) -> Step<String> {
        let index = match self.length()? {
            0 => {
                let (shared, rest) = (self.length()?, self.length()?);
                let bytes = self.take(rest)?;
                let start = self.table[self.newest].get(..shared).ok_or_else(|| broken("a text shares too much"))?;
                let text = [start, bytes].concat();
                self.table.push(text);
                self.newest = self.table.len() - 1;
                self.newest
            }
            known => known - 1,
        };
        let bytes = self.table.get(index).ok_or_else(|| broken("a text is not in its table"))?;
        String::from_utf8(bytes.clone()).map_err(|_| broken("a text is not UTF-8"))
    }

    fn attributes(&mut self) -> Step<Vec<(String, String)>> {
        let count = self.length()?;
        let mut attributes = Vec::new();
        for _ in 0..count {
            let name = self.text()?;
            attributes.push((name, self.text()?));
        }
        Ok(attributes)
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Observation, Section};
    use proptest::prelude::*;

    use super::*;

    /// Dictionaries in memory; numbers are given in an order of their own.
    #[derive(Default)]
    struct Books {
        titles: Vec<Title>,
        versions: Vec<String>,
    }

    impl Dictionary for Books {
        fn title(&mut self, _: Platform, kind: Kind, name: &str, vendor: &str) -> Step<i64> {
            let title = Title { kind, name: name.to_owned(), vendor: vendor.to_owned() };
            let at = self.titles.iter().position(|known| *known == title).unwrap_or_else(|| {
                self.titles.push(title);
                self.titles.len() - 1
            });
            Ok(i64::try_from(at * 7919 % 10_007 + 1).expect("small"))
        }

        fn version(&mut self, text: &str) -> Step<i64> {
            let at = self.versions.iter().position(|known| known == text).unwrap_or_else(|| {
                self.versions.push(text.to_owned());
                self.versions.len() - 1
            });
            Ok(i64::try_from(at + 1).expect("small"))
        }
    }

    impl Lookup for Books {
        fn title(&mut self, id: i64) -> Step<Option<Title>> {
            let at = self.titles.iter().enumerate().find(|(at, _)| (at * 7919 % 10_007 + 1) as i64 == id);
            Ok(at.map(|(_, title)| title.clone()))
        }

        fn version(&mut self, id: i64) -> Step<Option<String>> {
            Ok(usize::try_from(id - 1).ok().and_then(|at| self.versions.get(at).cloned()))
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            2 => Just(String::new()),
            4 => "[a-c]{1,3}",
            2 => "[a-z0-9./:+~é-]{1,24}",
            1 => "\\PC{0,40}",
        ]
    }

    fn observation() -> impl Strategy<Value = Observation> {
        let kind = proptest::sample::select(Kind::ALL);
        let attributes = proptest::collection::btree_map("[a-z]{1,6}", text(), 0..4);
        (kind, [text(), text(), text(), text(), text(), text()], attributes, any::<bool>()).prop_map(
            |(kind, [name, vendor, version, id, path, state], attributes, named)| {
                let id = if named { format!("{name}{id}") } else { id };
                let path = if named && !path.is_empty() { format!("/{path}/{name}.exe") } else { path };
                Observation { kind, name, vendor, version, id, path, state, attributes }
            },
        )
    }

    proptest! {
        #[test]
        fn a_section_is_rebuilt_to_the_byte(observations in proptest::collection::vec(observation(), 0..60)) {
            let section = Section::new(Platform::Linux, SourceName::Dpkg, observations);
            let section = CanonicalSection::from(&section);
            let mut books = Books::default();
            let body = encode(&section, &mut books).expect("encodes");
            let rebuilt = decode(Platform::Linux, SourceName::Dpkg, &body, &mut books).expect("decodes");
            prop_assert_eq!(rebuilt, section);
        }

        #[test]
        fn damaged_bodies_are_refused_or_read_and_never_more(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut body = vec![FORM];
            body.extend(bytes);
            let _ = decode(Platform::Linux, SourceName::Dpkg, &body, &mut Books::default());
        }
    }

    #[test]
    fn three_hundred_packages_take_little_more_than_a_kilobyte() {
        let package = |n: usize| Observation {
            vendor: "Debian Developers <team@example.org>".to_owned(),
            version: format!("1.{}.{}-{}", n % 9, n % 31, n % 4),
            id: format!("package-number-{n}:amd64"),
            state: "install ok installed".to_owned(),
            ..Observation::new(Kind::Deb, format!("package-number-{n}"))
        };
        let section = Section::new(Platform::Linux, SourceName::Dpkg, (0..300).map(package).collect());
        let section = CanonicalSection::from(&section);
        let body = encode(&section, &mut Books::default()).expect("encodes").len();
        let canonical = section.bytes().len();
        assert!(body < 2_400 && body * 10 < canonical, "{body} of {canonical} bytes");
    }

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
}
