//! Tests of the dpkg parser: real databases, damaged ones, and that no input makes it panic.

use proptest::prelude::*;

use super::*;

const GOOD: &str = "\
Package: kesl
Status: install ok installed
Priority: optional
Section: utils
Installed-Size: 951212
Maintainer: Kaspersky Lab <support@kaspersky.example>
Architecture: amd64
Version: 12.2.0-2517
Depends: perl (>= 5.10),
 libc6
Description: Endpoint Security
 A long text: with a colon.
 .
 Status: deinstall ok config-files

Package: klnagent64
Status: deinstall ok config-files
Priority: extra
Section: admin
Installed-Size: 100
Maintainer: Kaspersky Lab
Architecture: amd64
Version: 15.1.0-20748
Config-Version: 15.1.0-20748
Conffiles:
 /etc/opt/x d41d8cd98f00b204e9800998ecf8427e

";

fn status(text: &str) -> Status {
    parse(text.as_bytes(), Form::Status)
}

fn stanza(state: &str) -> String {
    format!("Package: p\nStatus: {state}\nArchitecture: all\nVersion: 1\n\n")
}

#[test]
fn an_intact_database_has_no_fault() {
    let read = status(GOOD);
    assert_eq!((read.fault.as_ref(), read.open_end.as_ref()), (None, None));
    let found: Vec<_> = read.packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.state.as_str())).collect();
    assert_eq!(found, [("kesl", "12.2.0-2517", "ii"), ("klnagent64", "15.1.0-20748", "rc")]);
    assert!(read.packages.iter().all(|package| package.maintainer == "Kaspersky Lab"), "{read:?}");
}

#[test]
fn every_state_has_the_letters_of_dpkg() {
    for (words, letters) in [
        ("install ok installed", "ii"),
        ("hold ok installed", "hi"),
        ("deinstall ok config-files", "rc"),
        ("install ok unpacked", "iU"),
        ("install reinstreq half-installed", "iHR"),
        ("install ok half-configured", "iF"),
        ("install ok triggers-awaited", "iW"),
        ("install ok triggers-pending", "it"),
        ("purge ok not-installed", "pn"),
    ] {
        let read = status(&stanza(words));
        assert_eq!(read.fault, None, "{words}");
        assert_eq!(read.packages[0].state, letters);
    }
    assert_eq!(status(&stanza("install ok instaled")).fault.expect("a fault").line, 5);
}

#[test]
fn a_package_that_is_not_installed_needs_no_version() {
    let read = status("Package: gone\nStatus: purge ok not-installed\nArchitecture: amd64\n\n");
    assert_eq!(read.fault, None);
    assert!(!read.packages[0].is_there());
}

#[test]
fn carriage_returns_are_not_a_fault() {
    let read = status(&GOOD.replace('\n', "\r\n"));
    assert_eq!(read.fault, None);
    assert_eq!(read.packages, status(GOOD).packages);
}

#[test]
fn a_missing_field_is_a_fault_and_other_stanzas_are_kept() {
    for (field, what) in [
        ("Package: klnagent64\n", "the stanza has no valid Package field"),
        ("Status: deinstall ok config-files\nPriority", "the stanza has no Status field"),
    ] {
        let replaced = if field.starts_with('S') { "Priority" } else { "" };
        let read = status(&GOOD.replacen(field, replaced, 1));
        assert_eq!(read.fault.expect("a fault").what, what);
        assert_eq!(read.packages.len(), 1);
    }
    let read =
        status("Package: p\nStatus: install ok installed\n\nPackage: q\nStatus: install ok installed\nVersion: 2\n\n");
    assert_eq!(read.fault, Some(DpkgFault { line: 3, truncated: false, what: "the stanza has no Version field" }));
    assert_eq!(read.packages[0].name, "q");
}

#[test]
fn garbage_between_stanzas_is_a_fault_and_other_stanzas_are_kept() {
    let read = status(&GOOD.replace("\n\nPackage: klnagent64", "\n\n\0\0\u{1}garbage\n\nPackage: klnagent64"));
    assert_eq!(read.fault, Some(DpkgFault { line: 16, truncated: false, what: "the line contains NUL bytes" }));
    assert_eq!(read.packages.len(), 2);
}

#[test]
fn two_merged_stanzas_are_a_fault() {
    let read = status(&GOOD.replace("\n\nPackage: klnagent64", "\nPackage: klnagent64"));
    assert_eq!(read.fault.expect("a fault").what, "the stanza has a duplicate field");
}

#[test]
fn a_control_file_of_an_image_without_dpkg_needs_no_status() {
    let read =
        parse(b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\nMaintainer: S <s@d.example>\n", Form::Control);
    assert_eq!(read.fault, None);
    assert_eq!((read.packages[0].state.as_str(), read.packages[0].maintainer.as_str()), ("ii", "S"));
}

#[test]
fn a_bare_mail_address_is_not_a_maintainer_name() {
    assert_eq!(person(b"jane@example.org"), "");
    assert_eq!(person(b"\"Doe, Jane\" <jane@example.org>"), "Doe, Jane");
    assert_eq!(person(b"J\xf6rg <j@example.org>"), "J\u{fffd}rg");
}

#[test]
fn a_large_database_is_parsed() {
    let text: String = (0..20_000)
        .map(|n| {
            format!("Package: p{n}\nStatus: install ok installed\nVersion: {n}\nDescription: {}\n\n", "x".repeat(200))
        })
        .collect();
    let read = status(&text);
    assert_eq!((read.packages.len(), read.fault), (20_000, None));
}

#[test]
fn a_truncated_database_is_noticed_unless_the_cut_is_between_stanzas() {
    for cut in 1..GOOD.len() {
        let read = status(&GOOD[..cut]);
        let between = GOOD[..cut].ends_with("\n\n");
        let noticed = read.fault.is_some() || read.open_end.as_ref().is_some_and(|end| end.by_dpkg);
        assert_eq!(noticed, !between, "cut at byte {cut}: {read:?}");
        assert!(read.packages.len() <= 2);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = parse(&bytes, Form::Status);
        let _ = parse(&bytes, Form::Control);
    }

    #[test]
    fn no_damage_to_a_good_database_makes_it_panic_or_invent_packages(
        at in 0..GOOD.len(), byte in any::<u8>(), cut in 0..GOOD.len(),
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = byte;
        prop_assert!(parse(&bytes, Form::Status).packages.len() <= 3);
        bytes.truncate(cut);
        prop_assert!(parse(&bytes, Form::Status).packages.len() <= 3);
    }
}
