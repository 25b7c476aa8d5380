//! Tests of the dpkg source on canned roots. A missing, empty, truncated or unreadable database never means "no packages".

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use muster_proto::model::{Outcome, Watchlist};

use super::*;
use crate::sources::root::Root;

const KESL: &str = "Package: kesl\nStatus: install ok installed\nPriority: optional\nSection: utils\nInstalled-Size: 9\n\
                    Maintainer: Kaspersky Lab <x@y.example>\nArchitecture: amd64\nVersion: 12.2.0-2517\n\n";
const BASE: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n\n";
const AGENT: &str = "Package: klnagent64\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 15.1\n\n";

fn root(os: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let write = |path: &str, text: &str| {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        fs::write(file, text).expect("written");
    };
    if !os.is_empty() {
        write("etc/os-release", os);
    }
    for (path, text) in files {
        write(path, text);
    }
    dir
}

fn read(dir: &Path) -> SourceReading {
    Dpkg.read(&ScanContext::new(Root::below(dir).expect("a root"), Watchlist::default()))
}

fn outcome(os: &str, files: &[(&str, &str)]) -> (Outcome, String) {
    let reading = read(root(os, files).path());
    (reading.outcome, reading.reason)
}

#[test]
fn packages_are_seen_with_vendor_id_and_state() {
    let reading = read(root("ID=debian\n", &[("var/lib/dpkg/status", &[KESL, AGENT, BASE].concat())]).path());
    assert_eq!(reading.outcome, Outcome::Found);
    let found: Vec<_> =
        reading.observations.iter().map(|o| (o.id.as_str(), o.vendor.as_str(), o.state.as_str())).collect();
    assert_eq!(found, [("kesl:amd64", "Kaspersky Lab", ""), ("klnagent64:amd64", "", "rc"), ("libc6:amd64", "", "")]);
}

#[test]
fn a_missing_or_empty_native_database_has_failed() {
    for os in ["ID=debian\n", "ID=x\nID_LIKE=ubuntu\n"] {
        assert_eq!(outcome(os, &[]).0, Outcome::Failed, "{os:?} missing");
        assert_eq!(outcome(os, &[("var/lib/dpkg/status", "")]).0, Outcome::Failed, "{os:?} empty");
        assert_eq!(outcome(os, &[("var/lib/dpkg/status", "\n\n")]).0, Outcome::Failed, "{os:?} blank");
    }
}

#[test]
fn a_database_without_the_base_of_the_system_is_not_that_of_the_system() {
    let (outcome, reason) = outcome("ID=ubuntu\n", &[("var/lib/dpkg/status", &[KESL, AGENT].concat())]);
    assert_eq!(outcome, Outcome::Partial);
    let expected = "dpkg database (/var/lib/dpkg/status) lists 2 packages and none of the base system (base-files, \
                    base-passwd, dpkg, …), so it is not the whole database";
    assert_eq!(reason, expected);
}

#[test]
fn on_a_system_of_another_family_no_database_is_not_applicable() {
    for os in ["ID=fedora\n", "ID=x\nID_LIKE=\"suse\"\n", "ID=alpine\n", "ID=arch\n"] {
        assert_eq!(outcome(os, &[]).0, Outcome::NotApplicable, "{os:?}");
    }
    assert_eq!(outcome("ID=fedora\n", &[("var/lib/dpkg/status", KESL)]).0, Outcome::Found);
    assert_eq!(outcome("ID=fedora\n", &[("var/lib/dpkg/info/kesl.list", "")]).0, Outcome::Failed);
}

#[test]
fn a_truncated_database_is_partial_and_the_reason_names_the_line() {
    for cut in 1..KESL.len() {
        let (outcome, reason) = outcome("ID=debian\n", &[("var/lib/dpkg/status", &[BASE, &KESL[..cut]].concat())]);
        let expected = if KESL[..cut].trim().is_empty() { Outcome::Found } else { Outcome::Partial };
        // In the first lines the stanza cannot be recognised as dpkg's; there the required fields are missing.
        assert_eq!(outcome, expected, "cut at {cut}: {reason}");
        assert!(reason.contains("(/var/lib/dpkg/status)"), "{reason}");
    }
}

#[test]
fn reasons_name_line_and_file() {
    let status = |text: &str| outcome("ID=debian\n", &[("var/lib/dpkg/status", text)]).1;
    assert_eq!(status(&[KESL, "Package: x"].concat()), "dpkg database is truncated at line 10 (/var/lib/dpkg/status)");
    let many = KESL.repeat(457);
    let expected = "dpkg database is truncated at line 4,114 (/var/lib/dpkg/status)";
    assert_eq!(status(&[&many, "P"].concat()), expected);
    let expected = "dpkg database is damaged at line 10 (/var/lib/dpkg/status): the line is not a field";
    assert_eq!(status(&[KESL, "garbage\n\n"].concat()), expected);
}

#[test]
fn a_truncation_between_stanzas_is_detected_by_the_file_lists() {
    let lists = [("var/lib/dpkg/info/kesl.list", ""), ("var/lib/dpkg/info/klnagent64:amd64.list", "")];
    let files = |status| [lists[0], lists[1], ("var/lib/dpkg/status", status)];
    let whole = [BASE, AGENT, KESL].concat();
    assert_eq!(outcome("ID=debian\n", &files(&whole)).0, Outcome::Found);
    assert_eq!(outcome("ID=debian\n", &files(whole.trim_end())).0, Outcome::Partial);
    let (outcome, reason) = outcome("ID=debian\n", &files(KESL));
    assert_eq!(outcome, Outcome::Partial);
    assert!(reason.contains("klnagent64"), "{reason}");
}

#[test]
fn a_hand_written_last_stanza_needs_no_empty_line() {
    let by_hand = format!("{KESL}{BASE}Package: mine\nStatus: install ok installed\nVersion: 1\n");
    assert_eq!(outcome("ID=debian\n", &[("var/lib/dpkg/status", &by_hand)]).0, Outcome::Found);
}

#[test]
fn garbage_has_failed_and_the_reason_names_the_line() {
    let (outcome, reason) = outcome("ID=debian\n", &[("var/lib/dpkg/status", "\0\0\0\0\n\0\0")]);
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.contains("line 1"), "{reason}");
}

#[test]
fn an_image_without_dpkg_is_read_from_its_control_files() {
    let files = [
        ("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"),
        ("var/lib/dpkg/status.d/base.md5sums", "x"),
    ];
    let reading = read(root("ID=debian\n", &files).path());
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 1), "{}", reading.reason);
}

#[test]
fn the_journal_of_a_killed_dpkg_overrides_the_database() {
    let unpacked = KESL.replace("install ok installed", "install reinstreq half-installed");
    let files = [("var/lib/dpkg/status", [KESL, AGENT].concat()), ("var/lib/dpkg/updates/0000", unpacked)];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let reading = read(root("ID=debian\n", &files).path());
    assert_eq!(reading.observations[0].state, "iHR");
    assert_eq!(reading.observations.len(), 2);
}

#[test]
fn an_unreadable_database_is_denied() {
    let dir = root("ID=debian\n", &[("var/lib/dpkg/status", KESL)]);
    let status = dir.path().join("var/lib/dpkg/status");
    fs::set_permissions(&status, fs::Permissions::from_mode(0o000)).expect("forbidden");
    if fs::read(&status).is_ok() {
        // Root may read everything; for it, test a directory in place of the file.
        fs::remove_file(&status).expect("removed");
        fs::create_dir(&status).expect("made");
        assert_eq!(read(dir.path()).outcome, Outcome::Failed);
        return;
    }
    assert_eq!(read(dir.path()).outcome, Outcome::Denied);
}

#[test]
fn a_control_file_that_is_a_dangling_link_has_failed() {
    let dir = root("ID=debian\n", &[("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\n")]);
    std::os::unix::fs::symlink("/srv/gone", dir.path().join("var/lib/dpkg/status.d/kesl")).expect("linked");
    let reading = read(dir.path());
    assert_eq!(reading.outcome, Outcome::Failed);
    assert!(reading.reason.contains("/var/lib/dpkg/status.d/kesl"), "{}", reading.reason);
}

#[test]
fn a_pipe_in_place_of_the_database_is_named_as_such() {
    let dir = root("ID=debian\n", &[("var/lib/dpkg/status/x", "")]);
    assert_eq!(read(dir.path()).reason, "cannot read /var/lib/dpkg/status: not a regular file");
}
