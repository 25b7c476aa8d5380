//! Tests of the watch-paths source: what a watched folder contains.

use std::collections::BTreeMap;

use muster_proto::model::{Outcome, Watchlist};

use super::canned::Canned;
use super::portable::watch_paths::WatchPaths;
use crate::sources::SourceReading;

const ELF: &[u8] = b"\x7fELF\x02\x01\x01";

fn read(root: &Canned, paths: &[&str]) -> SourceReading {
    let watchlist = Watchlist { paths: paths.iter().map(|path| (*path).to_owned()).collect(), ..Watchlist::default() };
    root.read_with(&WatchPaths, watchlist)
}

/// The states of these watched paths, by path.
fn states(root: &Canned, paths: &[&str]) -> BTreeMap<String, String> {
    let reading = read(root, paths);
    assert_eq!(reading.reason, "");
    reading.observations.into_iter().map(|seen| (seen.name, seen.state)).collect()
}

fn state(root: &Canned) -> String {
    states(root, &["/opt/k"]).remove("/opt/k").expect("the folder")
}

#[test]
fn a_folder_is_a_program_only_if_it_contains_one() {
    let root = Canned::new("debian").directory("opt/k/bin").directory("opt/k/lib/deep");
    assert_eq!(state(&root), "no-files");
    let root = root.file("opt/k/doc/uninstall.log", "removed\n").link("opt/k/bin/k", "/nowhere");
    assert_eq!(state(&root), "no-program");
    let root = root.executable("opt/k/bin/k.conf", "[General]\n").file("opt/k/lib/deep/x.so", "gone");
    assert_eq!(state(&root), "no-program", "a permission alone makes no program, and neither does a name");
    let root = root.executable("opt/k/lib/deep/k", ELF);
    assert_eq!(state(&root), "");
}

#[test]
fn scripts_and_libraries_are_programs() {
    assert_eq!(state(&Canned::new("debian").executable("opt/k/lynis", "#!/bin/sh\n")), "");
    assert_eq!(state(&Canned::new("debian").file("opt/k/libk.so.2", ELF)), "");
}

#[test]
fn uninstallers_and_scripts_in_the_documentation_are_no_programs() {
    let root = Canned::new("debian")
        .executable("opt/k/uninstall.sh", "#!/bin/sh\n")
        .executable("opt/k/doc/samples/example.sh", "#!/bin/sh\n");
    assert_eq!(state(&root), "no-program");
}

#[test]
fn what_another_program_runs_is_not_said_to_be_gone() {
    for (name, head) in [("server.jar", "PK\u{3}\u{4}"), ("agent.py", "import os\n"), ("run", "#!/bin/sh\n")] {
        assert_eq!(state(&Canned::new("debian").file(&format!("opt/k/{name}"), head)), "unclear", "{name}");
    }
}

#[test]
fn a_program_without_permission_to_run_is_not_said_to_be_gone() {
    // A copy of the tree, or an administrator who switched it off.
    assert_eq!(state(&Canned::new("debian").file("opt/k/bin/k", ELF)), "");
}

#[test]
fn a_data_folder_that_is_reached_through_a_link_is_no_program() {
    let root = Canned::new("fedora").link("opt", "var/opt").file("var/opt/k/common/k.ini", "[General]\n");
    assert_eq!(state(&root), "no-program");
}

#[test]
fn a_product_that_was_moved_behind_a_link_is_found() {
    let root = Canned::new("ubuntu").link("opt/k", "/srv/opt/k").executable("srv/opt/k/libexec/k", ELF);
    assert_eq!(state(&root), "");
    let root = Canned::new("ubuntu").link("opt/k/app", "/srv/k").executable("srv/k/bin/k", ELF);
    assert_eq!(state(&root), "", "a link inside the folder");
}

#[test]
fn nothing_is_claimed_where_a_limit_is_reached() {
    let many = |files: usize| {
        (0..files).fold(Canned::new("debian"), |root, at| root.file(&format!("opt/k/logs/{at}.log"), "x"))
    };
    assert_eq!(state(&many(3000)), "no-program");
    assert_eq!(state(&many(4100)), "unclear", "too many entries");
    let deep = format!("opt/k/{}", "d/".repeat(20));
    assert_eq!(state(&Canned::new("debian").file(&format!("{deep}x.log"), "x")), "unclear", "too deep");
    assert_eq!(state(&Canned::new("debian").file("opt/k/x.log", "x").link("opt/k/ring", ".")), "no-program", "a ring");
}

#[test]
fn files_are_not_examined_and_a_broken_link_is_named() {
    let root = Canned::new("debian").file("opt/k/k.conf", "x").link("opt/gone", "/nowhere");
    let found = states(&root, &["/opt/k/k.conf", "/opt/gone", "/opt/none"]);
    let expected = [("/opt/gone", "broken-link"), ("/opt/k/k.conf", "")];
    assert_eq!(found, expected.map(|(path, state)| (path.to_owned(), state.to_owned())).into());
}

#[test]
fn nothing_counts_as_absent_below_a_link_that_leads_nowhere() {
    let root = Canned::new("debian").link("opt", "/mnt/data/opt").file("etc/k.conf", "x");
    for paths in [["/etc/k.conf", "/opt/k"], ["/etc/k.conf", "/opt/k*"], ["/etc/k.conf", "/opt/vendor/k"]] {
        let reading = read(&root, &paths);
        assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1), "{paths:?}");
        let expected =
            "/opt leads to /mnt/data/opt, which does not exist; mount what belongs there, or remove the link";
        assert_eq!(reading.reason, expected, "{paths:?}");
    }
    let deployment = Canned::new("fedora").link("opt", "var/opt").directory("var");
    assert_eq!(read(&deployment, &["/opt/k"]).outcome, Outcome::Failed);
    let deployment = deployment.directory("var/opt");
    assert_eq!(read(&deployment, &["/opt/k"]).outcome, Outcome::Empty);
}

#[test]
fn a_watched_link_that_leads_nowhere_is_a_remnant_and_hides_nothing() {
    let root = Canned::new("debian").link("opt/k", "/srv/gone");
    let expected = [("/opt/k".to_owned(), "broken-link".to_owned())];
    assert_eq!(states(&root, &["/opt/k", "/opt/k/bin/k"]), expected.into());
}

#[test]
fn what_is_no_program_in_the_place_of_one_proves_nothing() {
    let root = Canned::new("debian")
        .file("opt/k", "do not install\n")
        .file("usr/bin/k-control", "")
        .executable("usr/bin/k-run", "#!/bin/sh\n")
        .executable("usr/bin/k", ELF)
        .file("etc/k", "setting = 1\n");
    let socket = std::os::unix::net::UnixListener::bind(root.path().join("opt/socket")).expect("a socket");
    let paths = ["/opt/k", "/opt/socket", "/usr/bin/k-control", "/usr/bin/k-run", "/usr/bin/k", "/etc/k"];
    let expected = ["no-program", "no-program", "no-program", "", "", ""];
    let expected = paths.iter().zip(expected).map(|(path, state)| ((*path).to_owned(), state.to_owned())).collect();
    assert_eq!(states(&root, &paths), expected);
    drop(socket);
}

#[test]
fn a_folder_with_a_file_that_cannot_be_named_is_not_said_to_have_no_program() {
    use std::os::unix::ffi::OsStrExt;
    let root = Canned::new("debian").file("opt/k/x.log", "x");
    std::fs::write(root.path().join("opt/k").join(std::ffi::OsStr::from_bytes(b"k\xff")), ELF).expect("written");
    assert_eq!(state(&root), "unclear", "a name that is not UTF-8");
}

#[test]
fn a_program_without_permission_is_found_behind_hundreds_of_other_files() {
    let root = (0..600).fold(Canned::new("debian"), |root, at| root.file(&format!("opt/k/{at:03}.db"), "x"));
    assert_eq!(state(&root.file("opt/k/zzz", ELF)), "");
}

#[test]
fn many_links_to_one_folder_are_examined_once() {
    let root = (0..500).fold(Canned::new("debian"), |root, at| root.file(&format!("srv/big/{at}.db"), "x"));
    // Examined one by one, these would exceed the limit of all trees.
    let root = (0..150).fold(root, |root, at| root.link(&format!("opt/k{at}"), "/srv/big"));
    let found = states(&root, &["/opt/k*"]);
    assert_eq!(found.len(), 150);
    assert!(found.values().all(|state| state == "no-program"), "{found:?}");
}
