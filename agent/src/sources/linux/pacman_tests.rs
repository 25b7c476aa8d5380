//! Tests of the pacman source on canned roots.

use muster_proto::model::Outcome;

use super::super::canned::{Canned, rows};
use super::*;

const DESC: &str = "%NAME%\nkesl\n\n%VERSION%\n12.2-1\n\n%ARCH%\nx86_64\n\n";

fn canned() -> Canned {
    Canned::new("arch").file("var/lib/pacman/local/ALPM_DB_VERSION", "9\n")
}

#[test]
fn each_directory_is_a_package() {
    let sighting = canned().file("var/lib/pacman/local/kesl-12.2-1/desc", DESC).look(&Pacman);
    assert_eq!((sighting.outcome, rows(&sighting)), (Outcome::Found, vec!["kesl 12.2-1".to_owned()]));
    assert_eq!(sighting.observations[0].id, "kesl.x86_64");
}

#[test]
fn an_entry_that_is_broken_is_still_a_package_and_is_named() {
    for bytes in ["", "\0\0\0", &DESC[..DESC.len() - 3], &DESC.replace("kesl", "other")] {
        let sighting = canned().file("var/lib/pacman/local/kesl-12.2-1/desc", bytes).look(&Pacman);
        assert_eq!((sighting.outcome, sighting.observations.len()), (Outcome::Partial, 1), "{bytes:?}");
        assert!(sighting.reason.contains("kesl-12.2-1"), "{}", sighting.reason);
    }
    let sighting = canned().directory("var/lib/pacman/local/kesl-12.2-1").look(&Pacman);
    assert_eq!((sighting.outcome, rows(&sighting)), (Outcome::Partial, vec!["kesl 12.2-1".to_owned()]));
}

#[test]
fn a_native_database_that_is_missing_or_empty_has_failed() {
    assert_eq!(Canned::new("arch").look(&Pacman).outcome, Outcome::Failed);
    assert_eq!(canned().look(&Pacman).outcome, Outcome::Failed);
    assert_eq!(Canned::new("debian").look(&Pacman).outcome, Outcome::NotApplicable);
    assert_eq!(Canned::new("debian").directory("var/lib/pacman/local").look(&Pacman).outcome, Outcome::Empty);
    assert_eq!(Canned::new("arch").file("var/lib/pacman/local", "x").look(&Pacman).outcome, Outcome::Failed);
}
