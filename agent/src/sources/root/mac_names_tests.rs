//! Tests of the paths of a copied Mac.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::sources::root::{Root, RootError};

fn made(dir: &Path, path: &str) -> std::path::PathBuf {
    let file = dir.join(path);
    fs::create_dir_all(file.parent().expect("a parent")).expect("made");
    file
}

fn mac(files: &[&str], links: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for file in files.iter().chain(&["System/Library/CoreServices/SystemVersion.plist"]) {
        fs::write(made(dir.path(), file), *file).expect("written");
    }
    for (link, target) in links {
        symlink(target, made(dir.path(), link)).expect("linked");
    }
    let root = Root::below(dir.path()).expect("a root");
    (dir, root)
}

fn names(root: &Root, path: &str) -> Vec<String> {
    root.list(path).expect("listed").into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_path_is_found_in_any_case_and_in_either_form_of_its_letters() {
    // As Finder writes it (composed), and as HFS+ stores it (decomposed).
    let (_dir, root) = mac(&["Applications/Café.app/Contents/Info.plist", "Library/\u{41a}\u{438}\u{306}/x"], &[]);
    for path in ["/Applications/Café.app/Contents/Info.plist", "/APPLICATIONS/cafe\u{301}.APP/contents/info.PLIST"] {
        assert!(root.read(path, 100).is_ok(), "{path}");
    }
    assert!(root.read("/library/\u{43a}\u{439}/X", 100).is_ok());
    assert_eq!(root.kind_at("/Applications/Cafe.app").expect("known"), None);
}

#[test]
fn both_halves_of_a_mac_are_one_tree() {
    let (_dir, root) = mac(
        &[
            "Applications/One.app/x",
            "System/Volumes/Data/Applications/Two.app/x",
            "System/Volumes/Data/Users/jane/x",
            "System/Volumes/Data/private/var/db/y",
        ],
        &[("var", "private/var")],
    );
    assert_eq!(names(&root, "/Applications"), ["One.app", "Two.app"]);
    assert_eq!(names(&root, "/System/Volumes/Data/Applications"), ["One.app", "Two.app"]);
    assert!(root.read("/Applications/two.app/x", 100).is_ok());
    assert!(root.read("/users/Jane/x", 100).is_ok());
    assert!(root.read("/var/db/y", 100).is_ok(), "a link to what only the other half has");
    assert!(root.read("/private/var/db/y", 100).is_ok());
}

#[test]
fn one_folder_of_both_halves_is_listed_once_for_each_name() {
    let (_dir, root) =
        mac(&["Applications/One.app/x", "System/Volumes/Data/Applications/ONE.app/y"], &[("Apps", "/Applications")]);
    assert_eq!(names(&root, "/Applications"), ["One.app"]);
    assert_eq!(names(&root, "/Applications/One.app"), ["x", "y"]);
    assert_eq!(names(&root, "/Apps/one.app"), ["x", "y"]);
}

#[test]
fn a_copy_without_the_links_at_the_top_or_with_their_contents_is_read() {
    for files in [["private/var/db/x", "private/etc/y"], ["var/db/x", "etc/y"]] {
        let (_dir, root) = mac(&files, &[]);
        for path in ["/var/db/x", "/private/var/db/x", "/etc/y", "/private/etc/Y"] {
            assert!(root.read(path, 100).is_ok(), "{path} of {files:?}");
        }
        assert_eq!(names(&root, "/var/db"), ["x"]);
    }
}

#[test]
fn what_is_behind_a_link_that_leads_nowhere_is_not_absent() {
    let links = [
        ("Applications/Moved.app", "/Volumes/Disk/Moved.app"),
        ("Library/ring", "ring"),
        ("Library/up", "../../../../x"),
    ];
    let (_dir, root) = mac(&["x"], &links);
    assert_eq!(root.kind_at("/Applications/moved.app").expect("known"), Some(FileKind::BrokenLink));
    let error = root.read("/Applications/Moved.app/Contents/Info.plist", 100).expect_err("unknown");
    assert_eq!(error.kind(), io::ErrorKind::CrossesDevices);
    assert!(root.broken_link_above("/Applications/moved.app/Contents").expect("known").is_some());
    assert_eq!(root.read_link("/applications/MOVED.app").expect("a link"), "/Volumes/Disk/Moved.app");
    assert!(root.read("/Library/ring", 100).is_err());
    assert_eq!(root.kind_at("/Library/ring").expect("known"), Some(FileKind::BrokenLink));
    assert_eq!(root.read("/library/UP", 100).expect("`..` ends at the top"), b"x");
}

#[test]
fn what_a_folder_behind_a_link_does_not_have_is_absent() {
    let (_dir, root) = mac(&["private/var/db/x"], &[("var", "private/var"), ("Apps", "/private")]);
    for path in ["/var/db/y", "/private/var/db/y", "/Apps/var/z/y", "/VAR/y"] {
        assert_eq!(root.kind_at(path).expect("known"), None, "{path}");
        assert_eq!(root.read(path, 100).expect_err("absent").kind(), io::ErrorKind::NotFound, "{path}");
    }
}

#[test]
fn a_link_at_the_top_whose_folder_was_not_copied_hides_what_is_below() {
    let (_dir, root) = mac(&["x"], &[("var", "private/var")]);
    assert_eq!(root.kind_at("/var").expect("known"), Some(FileKind::BrokenLink));
    assert_eq!(root.read("/var/db/x", 100).expect_err("unknown").kind(), io::ErrorKind::CrossesDevices);
    assert!(root.broken_link_above("/var/db/x").expect("known").is_some());
    assert_eq!(root.kind_at("/etc/x").expect("known"), None, "there is no such link");
}

#[test]
fn what_is_on_a_disk_that_was_not_copied_is_not_absent() {
    let (_dir, root) = mac(&["Volumes/Here/x"], &[]);
    assert_eq!(root.kind_at("/Volumes/Gone/x").expect_err("unknown").kind(), io::ErrorKind::CrossesDevices);
    assert_eq!(root.list("/volumes/Gone/x").expect_err("unknown").kind(), io::ErrorKind::CrossesDevices);
    assert_eq!(root.kind_at("/Volumes/Here/y").expect("known"), None);
    assert_eq!(root.kind_at("/Volumes/Gone").expect("known"), None, "the folder itself");
}

#[test]
fn a_volume_of_data_alone_is_a_mac() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(dir.path().join("private/var/db/dslocal/nodes")).expect("made");
    assert_eq!(Root::below(dir.path()).expect("opens").platform(), muster_proto::model::Platform::Macos);
    fs::write(made(dir.path(), "etc/os-release"), "ID=debian").expect("written");
    assert!(matches!(Root::below(dir.path()), Err(RootError::Ambiguous { .. })));
}
