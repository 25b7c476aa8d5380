//! The interned form of a section: numbers of editions in the dictionary, and what only this section has. The state is
//! stored with the edition.
//!
//! ```text
//! body    := 0x03 groups:varint group* singles:varint single*
//! group   := flags:u8 members:varint edition*              they differ only in their edition
//! single  := edition flags:u8 [path] [attributes:varint (name:text value:text)*]
//! edition := its difference from the edition before in this group or in the singles:varint
//! path    := text | the part before the name:text, the part after it:text
//! text    := n:varint            n > 0: text n - 1 of this body; text 0 is empty
//!          | 0 shared:varint rest:varint bytes    a new text: `shared` bytes of the text before it, then `bytes`
//! ```
//!
//! It is lossless: [`decode`] returns the bytes of the section that [`encode`] was given. The order of observations is
//! not stored, because the canonical form defines it. 300 packages take about 500 bytes.

mod residue;
mod text;

use hashbrown::HashMap;
use muster_proto::canonical::{CanonicalSection, Edition, ObservationView, SectionWriter};
use muster_proto::model::{Observation, Platform, SourceName};

use self::residue::Residue;
use self::text::{Reader, Writer, broken};
use super::fault::Step;

const FORM: u8 = 3;

/// Finds editions by their numbers.
pub(in crate::store) trait Lookup {
    /// The canonical bytes of the edition with this number, see [`Edition`], followed by the state; `None` if there is
    /// none.
    fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>>;
}

/// The interned form of a section, from its observations and the number of each one's edition.
pub(in crate::store) fn encode(observations: &[ObservationView<'_>], editions: &[u32]) -> Vec<u8> {
    debug_assert_eq!(observations.len(), editions.len(), "each observation is of an edition");
    let mut groups: Vec<(Residue<'_>, Vec<u32>)> = Vec::new();
    let mut known: HashMap<Residue<'_>, usize> = HashMap::new();
    let mut singles = Vec::new();
    let mut newest = usize::MAX;
    for (observation, edition) in observations.iter().zip(editions.iter().copied()) {
        let residue = Residue::of(observation);
        if !residue.is_plain() {
            singles.push((edition, residue));
            continue;
        }
        // Consecutive observations mostly have the same residue.
        if groups.get(newest).is_none_or(|(of, _)| *of != residue) {
            newest = *known.entry(residue).or_insert_with(|| {
                groups.push((residue, Vec::new()));
                groups.len() - 1
            });
        }
        groups[newest].1.push(edition);
    }
    let mut writer = Writer::new(32 + observations.len() * 3);
    writer.byte(FORM);
    writer.varint(groups.len() as u64);
    for (residue, mut members) in groups {
        // Only differences are stored, and they must not be negative.
        members.sort_unstable();
        residue.write(&mut writer);
        writer.varint(members.len() as u64);
        let mut last = 0;
        for member in members {
            writer.varint(u64::from(member - last));
            last = member;
        }
    }
    singles.sort_by_key(|(edition, _)| *edition);
    writer.varint(singles.len() as u64);
    let mut last = 0;
    for (edition, residue) in singles {
        writer.varint(u64::from(edition - last));
        residue.write(&mut writer);
        last = edition;
    }
    writer.finish()
}

/// The section of an interned form.
///
/// # Errors
/// The bytes are damaged, or refer to an edition that is not there.
pub(in crate::store) fn decode(
    platform: Platform,
    source: SourceName,
    body: &[u8],
    lookup: &mut impl Lookup,
) -> Step<CanonicalSection> {
    let mut observations: Vec<Observation> = Vec::new();
    walk(body, |edition, residue| {
        let bytes = lookup.edition(i64::from(edition))?;
        let bytes = bytes.ok_or_else(|| broken(&format!("edition {edition} is not in the dictionary")))?;
        let (edition, state) = Edition::read_first(&bytes).map_err(|error| broken(&error.to_string()))?;
        let state = std::str::from_utf8(state).map_err(|_| broken("a state is not UTF-8"))?;
        observations.push(residue.of_edition(edition, state));
        Ok(())
    })?;
    // The body does not store the order, because the canonical form has only one.
    observations.sort_unstable();
    let mut section = SectionWriter::new(platform, source, observations.len());
    for Observation { kind, name, vendor, version, id, path, state, attributes } in observations {
        let attributes: Vec<(String, String)> = attributes.into_iter().collect();
        section.observation(kind, [&name, &vendor, &version, &id, &path, &state], &attributes);
    }
    section.finish().map_err(|error| broken(&error.to_string()))
}

/// The numbers of the editions in an interned form, ascending and without duplicates.
pub(in crate::store) fn editions(body: &[u8]) -> Step<Vec<u32>> {
    let mut editions = Vec::new();
    walk(body, |edition, _| {
        editions.push(edition);
        Ok(())
    })?;
    editions.sort_unstable();
    editions.dedup();
    Ok(editions)
}

fn walk(body: &[u8], mut show: impl FnMut(u32, &residue::Owned) -> Step<()>) -> Step<()> {
    let mut reader = Reader::new(body);
    if reader.byte()? != FORM {
        return Err(broken("its form is not known"));
    }
    for _ in 0..reader.length()? {
        let residue = residue::Owned::read(&mut reader)?;
        let mut last = 0;
        for _ in 0..reader.length()? {
            last = reader.after(last)?;
            show(last, &residue)?;
        }
    }
    let mut last = 0;
    for _ in 0..reader.length()? {
        last = reader.after(last)?;
        let residue = residue::Owned::read(&mut reader)?;
        show(last, &residue)?;
    }
    if reader.is_at_the_end() { Ok(()) } else { Err(broken("bytes follow the last observation")) }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Kind, Section};
    use proptest::prelude::*;

    use super::*;

    /// A dictionary in memory whose numbers are not in the order of the texts.
    #[derive(Default)]
    struct Book(Vec<Vec<u8>>);

    impl Book {
        fn number(&mut self, edition: &[u8]) -> u32 {
            let at = self.0.iter().position(|known| known == edition).unwrap_or_else(|| {
                self.0.push(edition.to_vec());
                self.0.len() - 1
            });
            u32::try_from(at * 7919 % 10_007 + 1).expect("small")
        }

        fn encode(&mut self, section: &CanonicalSection) -> Vec<u8> {
            let observations = section.observations();
            let editions: Vec<u32> = observations.iter().map(|seen| self.number(&key(seen))).collect();
            encode(&observations, &editions)
        }
    }

    fn key(seen: &ObservationView<'_>) -> Vec<u8> {
        [seen.edition, seen.state.as_bytes()].concat()
    }

    impl Lookup for Book {
        fn edition(&mut self, number: i64) -> Step<Option<Vec<u8>>> {
            let found = self.0.iter().enumerate().find(|(at, _)| (at * 7919 % 10_007 + 1) as i64 == number);
            Ok(found.map(|(_, bytes)| bytes.clone()))
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
        (kind, [text(), text(), text(), text(), text(), text()], attributes, any::<bool>(), any::<bool>()).prop_map(
            |(kind, [name, vendor, version, id, path, state], attributes, named, plain)| {
                let id = if named { format!("{name}{id}") } else { id };
                let path = if named && !path.is_empty() { format!("/{path}/{name}.exe") } else { path };
                if plain {
                    return Observation { vendor, version, id, state, ..Observation::new(kind, name) };
                }
                Observation { kind, name, vendor, version, id, path, state, attributes }
            },
        )
    }

    proptest! {
        #[test]
        fn a_section_is_rebuilt_to_the_byte(observations in proptest::collection::vec(observation(), 0..60)) {
            let section = Section::new(Platform::Linux, SourceName::Dpkg, observations);
            let section = CanonicalSection::from(&section);
            let mut book = Book::default();
            let body = book.encode(&section);
            let mut wanted: Vec<u32> = section.observations().iter().map(|seen| book.number(&key(seen))).collect();
            wanted.sort_unstable();
            wanted.dedup();
            prop_assert_eq!(editions(&body).expect("reads"), wanted);
            let rebuilt = decode(Platform::Linux, SourceName::Dpkg, &body, &mut book).expect("decodes");
            prop_assert_eq!(rebuilt, section);
        }

        #[test]
        fn damaged_bodies_are_refused_or_read_and_never_more(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut body = vec![FORM];
            body.extend(bytes);
            let _ = decode(Platform::Linux, SourceName::Dpkg, &body, &mut Book::default());
        }
    }

    #[test]
    fn three_hundred_packages_take_half_a_kilobyte() {
        let package = |n: usize| Observation {
            vendor: "Debian Developers <team@example.org>".to_owned(),
            version: format!("1.{}.{}-{}", n % 9, n % 31, n % 4),
            id: format!("package-number-{n}:{}", if n.is_multiple_of(3) { "all" } else { "amd64" }),
            state: "install ok installed".to_owned(),
            ..Observation::new(Kind::Deb, format!("package-number-{n}"))
        };
        let section = Section::new(Platform::Linux, SourceName::Dpkg, (0..300).map(package).collect());
        let section = CanonicalSection::from(&section);
        let body = Book::default().encode(&section).len();
        let canonical = section.bytes().len();
        assert!(body < 700 && body * 30 < canonical, "{body} of {canonical} bytes");
    }
}
