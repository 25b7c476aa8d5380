//! Tests of the apk source on canned roots.

use muster_proto::model::Outcome;

use super::super::canned::{Canned, rows};
use super::*;

const INSTALLED: &str = "P:musl\nV:1.2.5-r0\nA:x86_64\n\nP:kesl\nV:12.2-r1\nA:x86_64\n\n";

#[test]
fn packages_are_found_in_either_place() {
    for place in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        let reading = Canned::new("alpine").file(place, INSTALLED).file("etc/apk/world", "kesl\n").read(&Apk);
        assert_eq!(
            (reading.outcome, rows(&reading)),
            (Outcome::Found, vec!["kesl 12.2-r1".into(), "musl 1.2.5-r0".into()])
        );
        assert!(reading.observations.iter().any(|o| o.id == "kesl.x86_64"));
    }
}

#[test]
fn a_missing_empty_or_truncated_native_database_is_not_complete() {
    assert_eq!(Canned::new("alpine").read(&Apk).outcome, Outcome::Failed);
    assert_eq!(Canned::new("debian").read(&Apk).outcome, Outcome::NotApplicable);
    let read = |text: &str| {
        Canned::new("alpine").file("lib/apk/db/installed", text).file("etc/apk/world", "kesl musl").read(&Apk)
    };
    assert_eq!(read("").outcome, Outcome::Failed);
    assert_eq!(read(&"\0".repeat(4096)).outcome, Outcome::Failed);
    for cut in 1..INSTALLED.len() {
        let reading = read(&INSTALLED[..cut]);
        assert!(matches!(reading.outcome, Outcome::Failed | Outcome::Partial), "cut at {cut}");
        assert!(reading.reason.contains("/lib/apk/db/installed"), "{}", reading.reason);
    }
    assert_eq!(Canned::new("alpine").directory("lib/apk/db/installed").read(&Apk).outcome, Outcome::Failed);
}

#[test]
fn an_old_database_in_one_place_does_not_hide_the_packages_of_the_other() {
    let old = INSTALLED.replace("kesl", "busybox");
    for (one, other) in [(old.as_str(), INSTALLED), (INSTALLED, &old)] {
        let reading =
            Canned::new("alpine").file("lib/apk/db/installed", one).file("usr/lib/apk/db/installed", other).read(&Apk);
        let expected = ["busybox 12.2-r1", "kesl 12.2-r1", "musl 1.2.5-r0"].map(str::to_owned).to_vec();
        assert_eq!((reading.outcome, rows(&reading)), (Outcome::Found, expected));
    }
    let linked = Canned::new("alpine").file("usr/lib/apk/db/installed", INSTALLED).link("lib", "usr/lib").read(&Apk);
    assert_eq!((linked.outcome, linked.observations.len()), (Outcome::Found, 2));
    let damaged = Canned::new("alpine")
        .file("lib/apk/db/installed", INSTALLED)
        .file("usr/lib/apk/db/installed", &INSTALLED[..9])
        .read(&Apk);
    assert_eq!(damaged.outcome, Outcome::Partial);
    assert!(damaged.reason.contains("(/usr/lib/apk/db/installed)"), "{}", damaged.reason);
}
