//! Tests of the rpm source on canned roots: which database is read, and what a missing or damaged one means.

use std::fs;
use std::path::Path;

use muster_proto::model::{Outcome, Watchlist};

use super::*;
use crate::sources::root::Root;

const ROCKY: &str = "ID=rocky\nID_LIKE=\"rhel centos fedora\"\n";

fn fixture(name: &str) -> Vec<u8> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/linux/rpm").join(name);
    fs::read(place).expect("the fixture is there")
}

fn root(os: &str, files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (path, bytes) in files.iter().chain([&("etc/os-release", os.as_bytes().to_vec())]) {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        fs::write(file, bytes).expect("written");
    }
    dir
}

fn read(os: &str, files: &[(&str, Vec<u8>)]) -> SourceReading {
    let dir = root(os, files);
    let before = listing(dir.path());
    let reading = Rpm.read(&ScanContext::new(Root::below(dir.path()).expect("a root"), Watchlist::default()));
    assert_eq!(listing(dir.path()), before, "the scan created or changed a file");
    reading
}

/// Every file with its size.
fn listing(dir: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("listed") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            found.extend(listing(&entry.path()));
        } else {
            found.push((entry.path(), entry.metadata().expect("known").len()));
        }
    }
    found.sort();
    found
}

#[test]
fn each_format_is_found_in_each_place() {
    for dir in ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"] {
        for name in ["rpmdb.sqlite", "Packages", "Packages.db"] {
            let reading = read(ROCKY, &[(&format!("{dir}/{name}"), fixture(name))]);
            assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 8), "{dir}/{name}");
            let kesl = reading.observations.iter().find(|o| o.name == "kesl").expect("kesl");
            assert_eq!((kesl.id.as_str(), kesl.version.as_str()), ("kesl.x86_64", "12.2.0-2517"));
            assert_eq!(kesl.vendor, "AO Kaspersky Lab");
        }
    }
}

#[test]
fn the_write_ahead_log_is_part_of_the_database() {
    let files = [
        ("var/lib/rpm/rpmdb.sqlite", fixture("rpmdb.sqlite")),
        ("var/lib/rpm/rpmdb.sqlite-wal", fixture("rpmdb.sqlite-wal")),
    ];
    let reading = read(ROCKY, &files);
    assert_eq!(reading.outcome, Outcome::Found);
    assert!(!reading.observations.iter().any(|o| o.name == "shadow-utils"));
}

#[test]
fn a_missing_or_empty_native_database_has_failed() {
    for os in [ROCKY, "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n", "ID=x\nID_LIKE=fedora\n"] {
        let reading = read(os, &[]);
        assert_eq!(reading.outcome, Outcome::Failed, "{os}");
        for name in ["rpmdb.sqlite", "Packages", "Packages.db"] {
            let place = format!("var/lib/rpm/{name}");
            for bytes in [Vec::new(), vec![0; 8192], fixture(name)[..4096].to_vec()] {
                let reading = read(os, &[(&place, bytes)]);
                assert!(matches!(reading.outcome, Outcome::Failed | Outcome::Partial), "{os} {name}");
                assert!(reading.reason.contains(&place), "{}", reading.reason);
            }
        }
    }
    assert_eq!(read("ID=debian\n", &[]).outcome, Outcome::NotApplicable);
    assert_eq!(read("ID=debian\n", &[("var/lib/rpm/Packages", fixture("Packages"))]).outcome, Outcome::Found);
    assert_eq!(read("ID=debian\n", &[("var/lib/rpm/Packages", vec![1; 512])]).outcome, Outcome::Failed);
}

#[test]
fn a_database_left_by_a_format_conversion_is_ignored() {
    let mut small = fixture("Packages");
    small.truncate(100);
    let files = [("var/lib/rpm/rpmdb.sqlite", fixture("rpmdb.sqlite")), ("var/lib/rpm/Packages", small)];
    assert_eq!(read(ROCKY, &files).outcome, Outcome::Found);
    let files = [("var/lib/rpm/rpmdb.sqlite", vec![0; 100]), ("var/lib/rpm/Packages", fixture("Packages"))];
    let reading = read(ROCKY, &files);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 8));
    assert!(reading.reason.contains("rpmdb.sqlite"), "{}", reading.reason);
}

#[test]
fn an_interrupted_transaction_is_partial() {
    let mut journal = JOURNAL_MAGIC.to_vec();
    journal.extend([0, 0, 0, 1]);
    let files = [("var/lib/rpm/rpmdb.sqlite", fixture("rpmdb.sqlite")), ("var/lib/rpm/rpmdb.sqlite-journal", journal)];
    assert_eq!(read(ROCKY, &files).outcome, Outcome::Partial);
}

#[test]
fn a_database_that_is_a_directory_has_failed() {
    let dir = root(ROCKY, &[("var/lib/rpm/rpmdb.sqlite/x", Vec::new())]);
    let reading = Rpm.read(&ScanContext::new(Root::below(dir.path()).expect("a root"), Watchlist::default()));
    assert_eq!(reading.outcome, Outcome::Failed);
}

#[test]
fn an_old_database_in_one_directory_does_not_hide_the_packages_of_another() {
    // The tests of the parser know that the log removes this package.
    let old = [
        ("var/lib/rpm/rpmdb.sqlite", fixture("rpmdb.sqlite")),
        ("var/lib/rpm/rpmdb.sqlite-wal", fixture("rpmdb.sqlite-wal")),
    ];
    let in_use = ("usr/lib/sysimage/rpm/rpmdb.sqlite", fixture("rpmdb.sqlite"));
    assert!(!read(ROCKY, &old).observations.iter().any(|one| one.name == "shadow-utils"));
    let both = read(ROCKY, &[old[0].clone(), old[1].clone(), in_use.clone()]);
    assert_eq!(both.outcome, Outcome::Found, "{}", both.reason);
    assert!(both.observations.iter().any(|one| one.name == "shadow-utils"));
    let copies = read(ROCKY, &[("var/lib/rpm/rpmdb.sqlite", fixture("rpmdb.sqlite")), in_use.clone()]);
    assert_eq!((copies.outcome, copies.observations.len()), (Outcome::Found, 8), "each package once");
    let empty = read(ROCKY, &[("var/lib/rpm/rpmdb.sqlite", Vec::new()), in_use]);
    assert_eq!(empty.observations.len(), 8);
}
