//! The parts of an edition's text. Many editions have the same title, so a dictionary has each title once, and of an edition
//! only what it has beside its title.
//!
//! ```text
//! text  := title version id state     the text of an edition: canonical bytes after the platform; the state is the rest
//! title := platform:u8 kind:u8 name vendor
//! ```

use muster_proto::canonical::ObservationView;

use super::{product_code, varint};

/// What an edition has beside its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) struct Detail<'a> {
    pub(in crate::store) id: Id<'a>,
    pub(in crate::store) state: &'a [u8],
    pub(in crate::store) version: &'a [u8],
}

/// The id of an edition. Each id has one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum Id<'a> {
    None,
    Text(&'a [u8]),
    /// The name of the title, and this after it.
    AfterName(&'a [u8]),
    /// A product code of Windows.
    Code([u8; 16]),
}

impl<'a> Id<'a> {
    pub(in crate::store) fn of(name: &[u8], id: &'a [u8]) -> Self {
        if let Some(code) = product_code::code(id) {
            return Self::Code(code);
        }
        match id.strip_prefix(name) {
            // An empty id is tested first, because `strip_prefix` matches it if the name is empty too.
            _ if id.is_empty() => Self::None,
            Some(rest) if !name.is_empty() => Self::AfterName(rest),
            _ => Self::Text(id),
        }
    }

    /// The bytes of its text.
    const fn len(&self, name: &[u8]) -> usize {
        match self {
            Self::None => 0,
            Self::Text(text) => text.len(),
            Self::AfterName(rest) => name.len() + rest.len(),
            Self::Code(_) => product_code::LENGTH,
        }
    }

    /// Appends its text.
    pub(in crate::store) fn spell(&self, name: &[u8], text: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Text(id) => text.extend_from_slice(id),
            Self::AfterName(rest) => {
                text.extend_from_slice(name);
                text.extend_from_slice(rest);
            }
            Self::Code(code) => text.extend_from_slice(product_code::spelled(code).as_bytes()),
        }
    }
}

impl<'a> Detail<'a> {
    /// Of an observation.
    pub(in crate::store) fn of(seen: &ObservationView<'a>) -> Self {
        Self {
            id: Id::of(seen.name.as_bytes(), seen.id.as_bytes()),
            state: seen.state.as_bytes(),
            version: seen.version.as_bytes(),
        }
    }

    /// Appends the text after the title that has this name.
    pub(in crate::store) fn spell(&self, name: &[u8], text: &mut Vec<u8>) {
        varint::put_text(text, self.version);
        varint::put(text, self.id.len(name));
        self.id.spell(name, text);
        text.extend_from_slice(self.state);
    }

    /// The bytes of the text after the title that has this name.
    pub(in crate::store) const fn text_bytes(&self, name: &[u8]) -> usize {
        varint::text_bytes(self.version.len()) + varint::text_bytes(self.id.len(name)) + self.state.len()
    }
}

/// Title and detail of the text of an edition; `None` if it is no such text.
pub(in crate::store) fn split(text: &[u8]) -> Option<(&[u8], Detail<'_>)> {
    let mut rest = text.get(2..)?;
    let name = varint::read_text(&mut rest)?;
    varint::read_text(&mut rest)?;
    let title = &text[..text.len() - rest.len()];
    let version = varint::read_text(&mut rest)?;
    let id = Id::of(name, varint::read_text(&mut rest)?);
    Some((title, Detail { id, state: rest, version }))
}

/// Writes the title of an observation on this platform.
pub(in crate::store) fn write_title(platform: u8, seen: &ObservationView<'_>, title: &mut Vec<u8>) {
    let after = varint::text_bytes(seen.version.len()) + varint::text_bytes(seen.id.len());
    title.clear();
    title.push(platform);
    title.extend_from_slice(&seen.edition[..seen.edition.len() - after]);
}

/// Writes a title.
pub(in crate::store) fn write_title_of(platform: u8, kind: u8, name: &[u8], vendor: &[u8], title: &mut Vec<u8>) {
    title.clear();
    title.extend_from_slice(&[platform, kind]);
    varint::put_text(title, name);
    varint::put_text(title, vendor);
}

/// A title that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Title<'a> {
    pub(in crate::store) platform: u8,
    pub(in crate::store) kind: u8,
    pub(in crate::store) name: &'a str,
    pub(in crate::store) vendor: &'a str,
}

impl<'a> Title<'a> {
    /// Reads the bytes of a title.
    pub(in crate::store) fn read(title: &'a [u8]) -> Option<Self> {
        let [platform, kind, rest @ ..] = title else { return None };
        let mut rest = rest;
        let name = std::str::from_utf8(varint::read_text(&mut rest)?).ok()?;
        let vendor = std::str::from_utf8(varint::read_text(&mut rest)?).ok()?;
        Some(Self { platform: *platform, kind: *kind, name, vendor })
    }
}

/// The name in the bytes of a title.
pub(in crate::store) fn name_in(title: &[u8]) -> &[u8] {
    title.get(2..).and_then(|mut rest| varint::read_text(&mut rest)).unwrap_or_default()
}

/// The text of the edition of an observation on this platform. The state is part of it, so that a search knows from the
/// dictionary alone what is installed.
pub(in crate::store) fn text_of(platform: u8, seen: &ObservationView<'_>) -> Vec<u8> {
    [&[platform], seen.edition, seen.state.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use muster_proto::canonical::CanonicalSection;
    use muster_proto::model::{Kind, Observation, Platform, Section, SourceName};

    use super::*;

    #[test]
    fn a_text_is_split_and_spelled_again_with_ids_of_every_form() {
        let ids = ["", "curl", "curl:amd64", "{0123ABCD-4567-89EF-0011-223344556677}", "another"];
        for (name, vendor, id) in ids.map(|id| ("curl", "Debian", id)).into_iter().chain([("", "", "x"), ("", "", "")])
        {
            let observation = Observation {
                vendor: vendor.to_owned(),
                id: id.to_owned(),
                version: "8.5.0-2".to_owned(),
                state: "install ok installed".to_owned(),
                ..Observation::new(Kind::Deb, name)
            };
            let section = Section::new(Platform::Linux, SourceName::Dpkg, vec![observation]);
            let section = CanonicalSection::from(&section);
            let seen = section.observations()[0];
            let text = text_of(1, &seen);
            let (title, detail) = split(&text).expect("a text");
            assert_eq!(detail, Detail::of(&seen), "{id}");
            let (mut again, mut parts) = (Vec::new(), Vec::new());
            write_title(1, &seen, &mut again);
            assert_eq!(title, again);
            let read = Title::read(title).expect("a title");
            assert_eq!((read.platform, read.kind, read.name, read.vendor), (1, Kind::Deb.code(), name, vendor));
            write_title_of(1, read.kind, name.as_bytes(), vendor.as_bytes(), &mut parts);
            assert_eq!((title, name_in(title)), (parts.as_slice(), name.as_bytes()));
            assert_eq!(title.len() + detail.text_bytes(name.as_bytes()), text.len());
            detail.spell(name.as_bytes(), &mut again);
            assert_eq!(again, text);
        }
        for broken in [&b""[..], b"\x01\x01", b"\x01\x01\x05abc", b"\x01\x01\x01a\x00\x00\x02x"] {
            assert_eq!(split(broken), None, "{broken:?}");
        }
    }
}
