//! Properties of the canonical form: each content has one byte string, and no other byte string is accepted.

use std::collections::BTreeMap;

use muster_proto::canonical::{
    CanonicalSection, NotCanonical, ObservationView, read_section, read_snapshot, section_bytes, section_digest,
    snapshot_bytes, snapshot_digest,
};
use muster_proto::limits;
use muster_proto::model::{Digest, Kind, Observation, Outcome, Platform, Section, Snapshot, SnapshotEntry, SourceName};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9.:+-]{1,12}",
        "\\PC{0,16}",
        Just("Лаборатория Касперского".to_owned()),
        Just("  kesl\u{0}\t ".to_owned()),
    ]
}

fn member<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
    (0..all.len()).prop_map(move |index| all[index])
}

fn observation() -> impl Strategy<Value = Observation> {
    let attributes = prop::collection::btree_map("[a-z]{1,6}", text(), 0..3);
    (member(Kind::ALL), text(), text(), text(), text(), text(), text(), attributes).prop_map(
        |(kind, name, vendor, version, id, path, state, attributes)| Observation {
            kind,
            name,
            vendor,
            version,
            id,
            path,
            state,
            attributes,
        },
    )
}

fn section() -> impl Strategy<Value = Section> {
    (member(Platform::ALL), member(SourceName::ALL), prop::collection::vec(observation(), 0..20))
        .prop_map(|(platform, source, observations)| Section::new(platform, source, observations))
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let entry = (member(SourceName::ALL), member(Outcome::ALL), text(), any::<u64>(), any::<Option<[u8; 32]>>());
    (member(Platform::ALL), prop::collection::vec(entry, 0..12)).prop_map(|(platform, entries)| {
        let entry = |(source, outcome, reason, watchlist, digest): (_, _, _, _, Option<[u8; 32]>)| SnapshotEntry {
            source,
            // Something was found if and only if there is a section; the other outcomes may have one.
            outcome: match (outcome, digest) {
                (Outcome::Found | Outcome::Empty, Some(_)) => Outcome::Found,
                (Outcome::Found | Outcome::Empty, None) => Outcome::Empty,
                (other, _) => other,
            },
            reason,
            watchlist,
            section: digest.map(Digest::from_bytes),
        };
        Snapshot::new(platform, entries.into_iter().map(entry).collect())
    })
}

proptest! {
    #[test]
    fn a_section_read_back_is_the_same_section(section in section()) {
        let bytes = section_bytes(&section);
        prop_assert_eq!(read_section(&bytes).expect("canonical"), section);
    }

    #[test]
    fn a_snapshot_read_back_is_the_same_snapshot(snapshot in snapshot()) {
        let bytes = snapshot_bytes(&snapshot);
        prop_assert_eq!(read_snapshot(&bytes).expect("canonical"), snapshot);
    }

    #[test]
    fn order_and_duplicates_of_observations_do_not_change_the_digest(
        observations in prop::collection::vec(observation(), 1..12),
        shuffle in prop::collection::vec(any::<u32>(), 24),
    ) {
        let plain = Section::new(Platform::Linux, SourceName::Dpkg, observations.clone());
        let mut doubled: Vec<_> = observations.iter().chain(&observations).cloned().zip(shuffle).collect();
        doubled.sort_by_key(|(_, key)| *key);
        let other = Section::new(Platform::Linux, SourceName::Dpkg, doubled.into_iter().map(|(o, _)| o).collect());
        prop_assert_eq!(section_digest(&plain), section_digest(&other));
    }

    #[test]
    fn order_of_entries_does_not_change_the_digest_of_a_snapshot(snapshot in snapshot()) {
        let mut entries = snapshot.entries().to_vec();
        entries.reverse();
        prop_assert_eq!(snapshot_digest(&Snapshot::new(snapshot.platform(), entries)), snapshot_digest(&snapshot));
    }

    #[test]
    fn every_accepted_byte_string_is_the_only_spelling_of_its_content(
        section in section(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = section_bytes(&section);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = read_section(&bytes) {
            prop_assert_eq!(section_bytes(&read), bytes);
        }
    }

    #[test]
    fn a_truncated_section_is_refused(section in section(), at in any::<prop::sample::Index>()) {
        let bytes = section_bytes(&section);
        prop_assert!(read_section(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn random_bytes_never_crash_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut section = b"MSEC\x01\x01\x02".to_vec();
        section.extend_from_slice(&bytes);
        if let Ok(read) = read_section(&section) { prop_assert_eq!(section_bytes(&read), section); }
        let mut snapshot = b"MSNP\x01\x01".to_vec();
        snapshot.extend_from_slice(&bytes);
        if let Ok(read) = read_snapshot(&snapshot) { prop_assert_eq!(snapshot_bytes(&read), snapshot); }
    }
}

/// These bytes are in databases and on disks: a change here is a change of the format.
#[test]
fn the_bytes_of_version_one_do_not_change() {
    let mut kesl = Observation::new(Kind::Deb, "kesl");
    kesl.version = "12.2.0-2517".to_owned();
    kesl.attributes = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let section = Section::new(Platform::Linux, SourceName::Dpkg, vec![kesl]);
    let expected = b"MSEC\x01\x01\x02\x01\x11\x04kesl\x00\x0b12.2.0-2517\x00\x00\x00\x01\x01a\x01b";
    assert_eq!(section_bytes(&section), expected);

    let entry = SnapshotEntry {
        source: SourceName::Rpm,
        outcome: Outcome::NotApplicable,
        reason: "no".to_owned(),
        watchlist: 300,
        section: None,
    };
    assert_eq!(
        snapshot_bytes(&Snapshot::new(Platform::Linux, vec![entry])),
        b"MSNP\x01\x01\x01\x03\x04\xac\x02\x02no\x00"
    );
}

#[test]
fn a_source_that_found_something_names_a_section_and_one_that_found_nothing_names_none() {
    let digest = Some(Digest::of(b"section"));
    let read = |outcome, section| {
        let entry = SnapshotEntry { source: SourceName::Rpm, outcome, reason: String::new(), watchlist: 0, section };
        read_snapshot(&snapshot_bytes(&Snapshot::new(Platform::Linux, vec![entry])))
    };
    for (outcome, section, but) in
        [(Outcome::Found, None, "found, but has no section"), (Outcome::Empty, digest, "empty, but has a section")]
    {
        let error = read(outcome, section).expect_err("contradicts itself");
        assert_eq!(error.to_string(), format!("source rpm has the outcome {but}"));
    }
    for outcome in Outcome::ALL {
        let honest = if *outcome == Outcome::Found { digest } else { None };
        assert!(read(*outcome, honest).is_ok(), "{outcome}");
    }
}

#[test]
fn observations_out_of_order_or_twice_are_refused() {
    let one = section_bytes(&Section::new(Platform::Linux, SourceName::Dpkg, vec![Observation::new(Kind::Deb, "b")]));
    let observation = &one[8..];
    let mut twice = one[..7].to_vec();
    twice.push(2);
    twice.extend_from_slice(observation);
    twice.extend_from_slice(observation);
    assert_eq!(read_section(&twice), Err(NotCanonical::Order { field: "observation", index: 1 }));
}

#[test]
fn an_error_about_a_limit_names_the_limit() {
    let mut count = b"MSEC\x01\x01\x02".to_vec();
    count.extend_from_slice(&[0xff, 0xff, 0x7f]);
    let error = read_section(&count).expect_err("too many");
    assert!(error.is_limit() && error.to_string().contains("OBSERVATIONS_PER_SECTION"), "{error}");

    let big = vec![0; limits::SECTION_BYTES + 1];
    let error = read_section(&big).expect_err("too long");
    assert!(error.to_string().contains("SECTION_BYTES"), "{error}");
}

#[test]
fn text_beyond_the_limit_is_cut_at_a_character_boundary() {
    let long = Observation::new(Kind::Deb, "é".repeat(limits::TEXT_BYTES));
    let section = Section::new(Platform::Linux, SourceName::Dpkg, vec![long]);
    assert_eq!(section.observations()[0].name.len(), limits::TEXT_BYTES);
    assert!(read_section(&section_bytes(&section)).is_ok());
}

#[test]
fn a_canonical_section_shows_its_observations_even_beyond_the_limits() {
    let observations =
        (0..limits::OBSERVATIONS_PER_SECTION + 5).map(|n| Observation::new(Kind::Deb, format!("{n:0>300}")));
    let section = Section::new(Platform::Linux, SourceName::Dpkg, observations.collect());
    let canonical = CanonicalSection::from(&section);
    assert!(canonical.bytes().len() > limits::SECTION_BYTES && canonical.digest() == section_digest(&section));
    let seen: Vec<Observation> = canonical.observations().iter().map(ObservationView::to_observation).collect();
    assert_eq!(seen, section.observations());
    CanonicalSection::read(canonical.bytes().clone()).expect_err("more than may travel");
}
