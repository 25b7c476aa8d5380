//! Tests of the rpm parsers on files written by rpm, SQLite and Berkeley DB: intact, truncated, and damaged in every page.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/linux/rpm").join(name);
    std::fs::read(place).expect("the fixture is there")
}

type Read = fn(&dyn Storage) -> Packages;

fn sqlite(bytes: &dyn Storage) -> Packages {
    of_sqlite(bytes, None)
}

/// Every fixture with its parser and its page size.
fn databases() -> [(&'static str, Read, usize); 4] {
    [
        ("rpmdb.sqlite", sqlite, 1024),
        ("Packages", of_berkeley, 4096),
        ("Packages-big-endian", of_berkeley, 512),
        ("Packages.db", of_ndb, 4096),
    ]
}

fn rows(packages: &Packages) -> Vec<String> {
    let row = |p: &Package| format!("{} {} {} {}", p.name, p.version, p.architecture, p.vendor);
    let mut rows: Vec<String> = packages.packages.iter().map(row).collect();
    rows.sort();
    rows
}

/// What `rpm -qa` prints for the fixtures, with the packager if there is no vendor.
const ROWS: [&str; 8] = [
    "bash 5.1.8-6.el9 x86_64 Rocky Enterprise Software Foundation",
    "big 1-1 noarch Nobody",
    "filler1 1.1-1 noarch ",
    "filler2 1.2-1 noarch ",
    "gpg-pubkey 7eb1fda9-6b0493b8  Example Packager",
    "kesl 12.2.0-2517 x86_64 AO Kaspersky Lab",
    "klnagent64 15.1.0-20748 x86_64 Kaspersky Lab",
    "shadow-utils 2:4.9-8.el9 x86_64 Rocky Enterprise Software Foundation",
];

#[test]
fn every_format_gives_the_packages_that_rpm_lists() {
    for (name, read, _) in databases() {
        let packages = read(&fixture(name));
        assert_eq!(packages.fault, None, "{name}");
        assert_eq!(rows(&packages), ROWS, "{name}");
    }
}

/// Written by rpm 4.18: three packages installed, one upgraded, one removed. The other fixtures are written by tools of the
/// database formats, because Debian's rpm cannot write these.
#[test]
fn an_ndb_database_with_overwritten_and_freed_slots_is_parsed() {
    let packages = of_ndb(&fixture("Packages-written-by-rpm.db"));
    assert_eq!(packages.fault, None);
    assert_eq!(rows(&packages), ["bash 12.0.0-6672 x86_64 Vendor", "kesl 12.1.0-6672 x86_64 AO Kaspersky Lab"]);
}

#[test]
fn the_write_ahead_log_is_replayed_up_to_its_last_commit() {
    let (main, wal) = (fixture("rpmdb.sqlite"), fixture("rpmdb.sqlite-wal"));
    let packages = of_sqlite(&main, Some(&wal));
    assert_eq!(packages.fault, None);
    let mut expected: Vec<&str> = ROWS.iter().copied().filter(|row| !row.starts_with("shadow")).collect();
    expected.insert(1, ROWS[1]);
    assert_eq!(rows(&packages), expected);
}

#[test]
fn a_truncated_log_gives_the_state_of_one_commit() {
    let (main, wal) = (fixture("rpmdb.sqlite"), fixture("rpmdb.sqlite-wal"));
    let mut counts = std::collections::BTreeSet::new();
    for cut in (0..wal.len()).step_by(1009) {
        let packages = of_sqlite(&main, Some(&wal[..cut].to_vec()));
        assert_eq!(packages.fault, None, "cut at {cut}");
        counts.insert((packages.packages.len(), rows(&packages).iter().any(|row| row.starts_with("shadow"))));
    }
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(7, false), (8, false), (8, true)]);
}

#[test]
fn a_damaged_log_ends_at_the_damage() {
    let (main, mut wal) = (fixture("rpmdb.sqlite"), fixture("rpmdb.sqlite-wal"));
    wal[32 + 24 + 100] ^= 1;
    assert_eq!(rows(&of_sqlite(&main, Some(&wal))), ROWS);
}

#[test]
fn a_truncated_database_always_has_a_fault() {
    for (name, read, _) in databases() {
        let bytes = fixture(name);
        for cut in (0..bytes.len()).step_by(257).chain([bytes.len() - 1]) {
            let packages = read(&bytes[..cut].to_vec());
            // The last blocks of the ndb file are free, so losing them loses nothing.
            let needed = name != "Packages.db" || rows(&packages) != ROWS;
            assert!(packages.fault.is_some() || !needed, "{name} cut at {cut} of {}", bytes.len());
        }
    }
}

#[test]
fn a_lost_page_is_a_fault_unless_it_is_unused() {
    for (name, read, page) in databases() {
        let bytes = fixture(name);
        let mut faults = 0;
        for (filler, start) in
            [0_u8, 0xff].into_iter().flat_map(|f| (0..bytes.len()).step_by(page).map(move |s| (f, s)))
        {
            let mut broken = bytes.clone();
            let end = (start + page).min(bytes.len());
            broken[start..end].fill(filler);
            let packages = read(&broken);
            let whole = rows(&packages) == ROWS;
            assert!(packages.fault.is_some() || whole, "{name} without the page at {start}: {:?}", rows(&packages));
            faults += usize::from(packages.fault.is_some());
        }
        assert!(faults > 2, "{name}: {faults}");
    }
}

#[test]
fn other_files_are_refused_with_a_fault() {
    for (name, read, _) in databases() {
        for bytes in [&b""[..], b"\0", b"SQLite format 3\0", b"RpmP\0\0\0\0", &[0; 8192], b"#!/bin/sh\n"] {
            let packages = read(&bytes.to_vec());
            assert!(packages.fault.is_some() && packages.packages.is_empty(), "{name} of {bytes:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_make_it_panic(
        which in 0..4_usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
        head in proptest::collection::vec((0..120_usize, any::<u8>()), 0..3),
    ) {
        let (name, read, _) = databases()[which];
        let mut bytes = fixture(name);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        for (place, value) in head {
            bytes[place] = value;
        }
        let _ = read(&bytes);
        let mut wal = fixture("rpmdb.sqlite-wal");
        wal.truncate(bytes[0] as usize * 500);
        let _ = of_sqlite(&bytes, Some(&wal));
    }

    #[test]
    fn no_header_makes_it_panic(blob in proptest::collection::vec(any::<u8>(), 0..200), tags in 0..4_u32) {
        let mut bytes = tags.to_be_bytes().to_vec();
        bytes.extend((blob.len() as u32).wrapping_sub(tags * 16).to_be_bytes());
        bytes.extend(&blob);
        let length = bytes.len();
        let _ = header::read(&mut Lazy::new(String::new(), length, bytes, Box::new(|_| Ok(()))));
    }
}
