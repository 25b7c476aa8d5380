//! Tests of a Windows volume that is mounted on a system that tells upper case from lower case.

use std::io::ErrorKind;
use std::path::Path;

use muster_proto::model::Platform;

use crate::os::test_kit;
use crate::sources::root::{FileKind, Root};

fn write(root: &Path, path: &str) {
    // Name by name: on Windows a long path may have no slash.
    let file = path.split('/').fold(root.to_owned(), |file, name| file.join(name));
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
    std::fs::write(file, path).expect("written");
}

fn machine() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().expect("temporary directory");
    for path in [
        "WINDOWS/system32/Config/SYSTEM",
        "Program Files/Kaspersky Lab/avp.exe",
        "Program Files/Common Files/x.dll",
        "Program Files (x86)/Kaspersky Lab/KES/avp.exe",
        "ProgramData/Лаборатория/data.bin",
        "Users/Jane/NTUSER.DAT",
    ] {
        write(dir.path(), path);
    }
    let root = Root::below(dir.path()).expect("a root");
    assert_eq!(root.platform(), Platform::Windows);
    (dir, root)
}

fn text(root: &Root, path: &str) -> String {
    root.read_text(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_path_is_found_in_every_spelling() {
    let (_dir, root) = machine();
    let avp = "Program Files/Kaspersky Lab/avp.exe";
    for path in [
        r"C:\Program Files\Kaspersky Lab\avp.exe",
        r"c:\PROGRAM FILES\kaspersky lab\AVP.EXE",
        "/program files/Kaspersky Lab/Avp.exe",
        r"\??\C:\Program Files\Kaspersky Lab\avp.exe",
        r"\\?\C:\Program Files\Kaspersky Lab\avp.exe",
        r"\Device\HarddiskVolume3\Program Files\Kaspersky Lab\avp.exe",
        r"C:\PROGRA~1\KASPER~1\avp.exe",
        r"C:\Windows\..\Program Files\Kaspersky Lab.\avp.exe",
    ] {
        assert_eq!(text(&root, path), avp, "{path}");
    }
    assert_eq!(text(&root, r"C:\progra~2\KASPER~1\KES\avp.exe"), "Program Files (x86)/Kaspersky Lab/KES/avp.exe");
    assert_eq!(text(&root, r"C:\ProgramData\ЛАБОРАТОРИЯ\DATA.BIN"), "ProgramData/Лаборатория/data.bin");
    assert_eq!(root.kind_at(r"C:\Windows\SYSTEM32").expect("known"), Some(FileKind::Directory));
    assert_eq!(root.kind_at(r"C:\Windows\System32\gone").expect("known"), None);
    assert_eq!(root.kind_at(r"C:\gone\x").expect("known"), None);
    assert_eq!(root.list(r"c:\users").expect("listed").len(), 1);
}

#[test]
fn a_name_that_is_a_device_on_windows_is_a_file() {
    if cfg!(windows) {
        return test_kit::left_out("files with the names of devices");
    }
    let (dir, root) = machine();
    write(dir.path(), "Users/Nul/x");
    assert_eq!(text(&root, r"C:\Users\NUL\x"), "Users/Nul/x");
}

#[test]
fn what_is_on_another_volume_or_machine_is_not_absent() {
    let (_dir, root) = machine();
    for path in [r"D:\Program Files", r"\\server\share\x", r"\Device\HarddiskVolume3\gone", r"\\?\UNC\server\x"] {
        let error = root.kind_at(path).expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::CrossesDevices, "{path}");
    }
    root.name_volume('d');
    assert_eq!(root.volume(), 'D');
    assert_eq!(root.kind_at(r"D:\Program Files").expect("known"), Some(FileKind::Directory));
    assert_eq!(root.kind_at(r"C:\Program Files").expect_err("unknown").kind(), ErrorKind::CrossesDevices);
}

#[test]
fn streams_and_relative_paths_are_refused() {
    let (_dir, root) = machine();
    for path in [r"C:\Windows\x.txt:stream", "Windows", "C:Windows"] {
        assert_eq!(root.read_text(path).expect_err("refused").kind(), ErrorKind::InvalidInput, "{path}");
    }
    assert_eq!(root.kind_at(r"C:\Win*").expect("known"), None, "no file can have this name");
}

#[test]
fn a_short_name_that_two_files_may_have_is_not_absent() {
    let (dir, root) = machine();
    write(dir.path(), "Program Files/Kaspersky Security/x");
    let error = root.kind_at(r"C:\Program Files\KASPER~1").expect_err("undecided");
    assert_eq!(error.kind(), ErrorKind::InvalidFilename);
    assert_eq!(root.kind_at(r"C:\Program Files\GONE12~1").expect("known"), None);
}

#[test]
fn paths_longer_than_260_characters_are_read() {
    let (dir, _) = machine();
    let long = vec!["a folder with a long name"; 20].join("/");
    // On Windows only the canonical form of a path may be longer.
    let top = std::fs::canonicalize(dir.path()).expect("a path");
    write(&top, &format!("Data/{long}/avp.exe"));
    let root = Root::below(dir.path()).expect("a root");
    let path = format!(r"c:\data\{}\AVP.exe", long.replace('/', r"\"));
    assert!(path.len() > 500);
    assert_eq!(root.kind_at(&path).expect("known"), Some(FileKind::File));
}

#[test]
fn links_and_reparse_points_are_followed_within_the_root() {
    let (dir, root) = machine();
    let mounted = std::fs::canonicalize(dir.path()).expect("a path");
    let link = |path: &str, target: &str| test_kit::link(target, &dir.path().join(path));
    if !link("Documents and Settings", "Users") {
        return test_kit::left_out("links");
    }
    link("All Users", r"C:\programdata");
    link("of-driver", &format!("{}/users", mounted.display()));
    link("Users/Default User", r"..\users\jane");
    link("chain", r"\??\C:\all users");
    link("other", r"D:\Data");
    link("broken", r"C:\gone");
    link("strange", "unsupported reparse tag 0x8000001b");
    link("loop", "loop");
    link("out", "/etc/passwd");
    assert_eq!(text(&root, r"C:\Documents and Settings\jane\ntuser.dat"), "Users/Jane/NTUSER.DAT");
    assert_eq!(text(&root, r"C:\of-driver\jane\ntuser.dat"), "Users/Jane/NTUSER.DAT");
    assert_eq!(text(&root, r"C:\Users\default user\ntuser.dat"), "Users/Jane/NTUSER.DAT");
    assert_eq!(text(&root, r"C:\Chain\лаборатория\data.bin"), "ProgramData/Лаборатория/data.bin");
    assert_eq!(root.kind_at(r"C:\other\x").expect_err("unknown").kind(), ErrorKind::CrossesDevices);
    for broken in ["broken", "strange", "loop", "out"] {
        let path = format!(r"C:\{broken}");
        assert_eq!(root.kind_at(&path).expect("known"), Some(FileKind::BrokenLink), "{broken}");
        let above = root.broken_link_above(&format!(r"{path}\x")).expect("known").map(|link| link.path);
        assert_eq!(above, Some(path), "{broken}");
    }
    assert_eq!(root.read_link(r"C:\BROKEN").expect("a link"), r"C:\gone");
}

#[test]
fn what_is_behind_a_link_to_nowhere_or_to_another_volume_is_not_absent() {
    let (dir, root) = machine();
    let link = |path: &str, target: &str| test_kit::link(target, &dir.path().join(path));
    if !link("sound", r"C:\Users") {
        return test_kit::left_out("links");
    }
    let links = [
        ("mounted", r"\??\Volume{1a2b3c4d-0000-0000-0000-100000000000}\"),
        ("numbered", r"\Device\HarddiskVolume9\Users"),
        ("remote", r"\\server\share"),
        ("other", r"D:\Users"),
        ("of-system", "/mnt/other/x"),
        ("broken", r"C:\gone\deeper"),
        ("strange", "unsupported reparse tag 0x8000001b"),
        ("no-path", "a:b?c"),
        ("loop", "loop"),
        ("chain", r"C:\broken"),
        ("through", r"C:\sound\gone"),
    ];
    // A listing is kept, so all of them come before the first question.
    for (name, target) in links {
        link(name, target);
    }
    for (name, _) in links {
        for path in [format!(r"C:\{name}\x"), format!(r"C:\{name}\Jane\NTUSER.DAT")] {
            let kind = root.kind_at(&path).map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::CrossesDevices), "{path}");
        }
        // A listing of the link itself is unknown too, not empty.
        let listed = root.list(&format!(r"C:\{name}")).map_err(|error| error.kind());
        assert_eq!(listed, Err(ErrorKind::CrossesDevices), "{name}");
    }
    // Behind a link that leads to a folder, what is not there is absent.
    assert_eq!(root.kind_at(r"C:\sound\gone\x").expect("known"), None);
    assert_eq!(root.kind_at(r"C:\sound\Jane\NTUSER.DAT").expect("known"), Some(FileKind::File));
}
