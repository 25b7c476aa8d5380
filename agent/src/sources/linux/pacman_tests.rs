//! Tests of the pacman source on canned roots.

use std::os::unix::ffi::OsStrExt;

use muster_proto::model::Outcome;

use super::super::canned::{Canned, rows};
use super::*;

const DESC: &str = "%NAME%\nkesl\n\n%VERSION%\n12.2-1\n\n%ARCH%\nx86_64\n\n";

fn canned() -> Canned {
    Canned::new("arch").file("var/lib/pacman/local/ALPM_DB_VERSION", "9\n")
}

#[test]
fn each_directory_is_a_package() {
    let base = DESC.replace("kesl", "glibc");
    for local in ["var/lib/pacman/local", "usr/lib/holo/pacmandb/local"] {
        let reading = canned()
            .file(&format!("{local}/kesl-12.2-1/desc"), DESC)
            .file(&format!("{local}/glibc-12.2-1/desc"), &base)
            .read(&Pacman);
        let expected = vec!["glibc 12.2-1".to_owned(), "kesl 12.2-1".to_owned()];
        assert_eq!((reading.outcome, rows(&reading)), (Outcome::Found, expected), "{}", reading.reason);
        assert!(reading.observations.iter().any(|one| one.id == "kesl.x86_64"));
    }
    let alone = canned().file("var/lib/pacman/local/kesl-12.2-1/desc", DESC).read(&Pacman);
    assert_eq!(alone.outcome, Outcome::Partial, "a database without the base is not the whole one");
}

#[test]
fn a_damaged_entry_is_still_a_package_and_the_reason_names_it() {
    for bytes in ["", "\0\0\0", &DESC[..DESC.len() - 3], &DESC.replace("kesl", "other")] {
        let reading = canned().file("var/lib/pacman/local/kesl-12.2-1/desc", bytes).read(&Pacman);
        assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1), "{bytes:?}");
        assert!(reading.reason.contains("kesl-12.2-1"), "{}", reading.reason);
    }
    let reading = canned().directory("var/lib/pacman/local/kesl-12.2-1").read(&Pacman);
    assert_eq!((reading.outcome, rows(&reading)), (Outcome::Partial, vec!["kesl 12.2-1".to_owned()]));
}

#[test]
fn a_missing_or_empty_native_database_has_failed() {
    assert_eq!(Canned::new("arch").read(&Pacman).outcome, Outcome::Failed);
    assert_eq!(canned().read(&Pacman).outcome, Outcome::Failed);
    assert_eq!(Canned::new("debian").read(&Pacman).outcome, Outcome::NotApplicable);
    assert_eq!(Canned::new("debian").directory("var/lib/pacman/local").read(&Pacman).outcome, Outcome::Empty);
    assert_eq!(Canned::new("arch").file("var/lib/pacman/local", "x").read(&Pacman).outcome, Outcome::Failed);
}

#[test]
fn an_entry_that_is_a_link_or_has_a_name_in_another_encoding_is_not_left_out() {
    let base = DESC.replace("kesl", "glibc");
    let root = || canned().file("var/lib/pacman/local/glibc-12.2-1/desc", &base);
    let linked = root().file("srv/kesl/desc", DESC).link("var/lib/pacman/local/kesl-12.2-1", "/srv/kesl").read(&Pacman);
    let expected = vec!["glibc 12.2-1".to_owned(), "kesl 12.2-1".to_owned()];
    assert_eq!((linked.outcome, rows(&linked)), (Outcome::Found, expected));
    let dangling = root().link("var/lib/pacman/local/kesl-12.2-1", "/srv/gone").read(&Pacman);
    assert_eq!((dangling.outcome, dangling.observations.len()), (Outcome::Partial, 2));
    let latin = root();
    let name = std::ffi::OsStr::from_bytes(b"var/lib/pacman/local/k\xff-12.2-1");
    std::fs::create_dir(latin.path().join(name)).expect("made");
    assert_eq!(latin.read(&Pacman).outcome, Outcome::Partial);
}
