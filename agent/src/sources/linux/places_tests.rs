//! What the sources read against what is watched: a place that is read and not watched would be seen at the pace only.

use std::collections::BTreeSet;

use super::canned::Canned;
use crate::sources::places::{Place, Reach, places};
use crate::sources::root::Root;
use crate::sources::watchlist::builtin;
use crate::sources::{ScanContext, all};

/// What is read and need not be watched, by how it begins.
const ELSEWHERE: &[(&str, &str)] = &[
    ("/proc", "the kernel tells nobody that it has changed"),
    ("/root", "homes are left alone"),
    ("/home", "homes are left alone"),
    ("/etc/passwd", "says whose homes there are, and those are left alone"),
    ("/var/lib/dpkg/info", "dpkg writes its status with every change there"),
    ("/var/lib/snapd/state.json", "snapd writes it all day long, and the snaps' own places with every change"),
    ("/var/lib/flatpak/app/", "flatpak touches .changed after everything that it has done"),
    ("/var/lib/flatpak/runtime", "flatpak touches .changed after everything that it has done"),
    ("/opt/planted/flatpak", "named by a file that is watched; flatpak's places of one machine are one or two"),
    ("/etc/flatpak/installations.d/", "files are replaced, and their directory is watched"),
    ("/usr/bin", "only asked whether the program of a unit is there, whose file is watched"),
    ("/usr/sbin", "as above"),
    ("/usr/local/bin", "as above"),
    ("/usr/local/sbin", "as above"),
    ("/bin", "as above; and the architecture, which stays"),
    ("/sbin", "as above"),
    ("/usr/lib/systemd/systemd", "the architecture, which stays"),
    ("/opt/planted/program", "the program of a unit whose file is watched"),
    ("/lib", "asked whether it is a link"),
    ("/dev", "asked whether it is a link to nothing"),
];

/// A machine on which every source finds something to go on with.
fn machine() -> Canned {
    let id = "ddoleachckhhdmhpbkddgechjfhnphpe";
    let mut root = Canned::new("debian")
        .file("var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n\n")
        .file("var/lib/dpkg/status.d/a", "Package: b\nVersion: 1\n\n")
        .file("var/lib/dpkg/updates/0001", "Package: a\nStatus: install ok installed\nVersion: 2\n\n")
        .file("lib/apk/db/installed", "P:a\nV:1\n\n")
        .file("var/lib/pacman/local/a-1-1/desc", "%NAME%\na\n\n%VERSION%\n1-1\n\n")
        .file("snap/a/7/meta/snap.yaml", "name: a\nversion: '1'\n")
        .link("snap/a/current", "7")
        .file("var/lib/flatpak/app/org.a/x86_64/stable/0a/metadata", "[Application]\nname=org.a\n")
        .link("var/lib/flatpak/app/org.a/x86_64/stable/active", "0a")
        .file("etc/flatpak/installations.d/more.conf", "[Installation \"more\"]\nPath=/opt/planted/flatpak\n")
        .file("etc/init.d/a", "#!/bin/sh\n")
        .link("etc/rc2.d/S01a", "../init.d/a")
        .link("etc/runlevels/default/a", "/etc/init.d/a")
        .file("lib/modules/6.1/extra/a.ko", "")
        .directory("var/lib/dkms/a/1")
        .file("etc/modules-load.d/a.conf", "a\n");
    for (at, place) in ["etc/systemd/system", "usr/lib/systemd/system", "etc/systemd/user"].into_iter().enumerate() {
        root = root
            .file(&format!("{place}/u{at}.service"), "[Service]\nExecStart=/opt/planted/program\n")
            .file(&format!("{place}/u{at}.service.d/more.conf"), "[Service]\n")
            .link(&format!("{place}/default.target.wants/u{at}.service"), &format!("../u{at}.service"));
    }
    for (_, place) in super::browser_extensions::FOR_ALL {
        root = root.file(&format!("{}/{id}.json", &place[1..]), r#"{"external_update_url":"x"}"#);
    }
    root
}

fn is_watched(path: &str, watched: &[Place]) -> bool {
    let below = |place: &Place| path.strip_prefix(place.path.as_str()).and_then(|rest| rest.strip_prefix('/'));
    watched.iter().any(|place| {
        let on_the_way = place.path == path || place.path.starts_with(&format!("{}/", path.trim_end_matches('/')));
        let deep = match place.reach {
            Reach::Entry => 0,
            Reach::Listing => 1,
            Reach::Tree => 2,
        };
        // What stands deeper was written with what stands at the watched depth: a snap's mount, a module's release.
        on_the_way || below(place).is_some_and(|rest| deep > 0 && (deep > 1 || rest.split('/').count() <= deep + 1))
    })
}

#[test]
fn every_place_that_a_source_reads_is_watched_or_has_a_reason_not_to_be() {
    let root = machine();
    let watchlist = builtin();
    let context = ScanContext::new(Root::below(root.path()).expect("a root"), watchlist.clone());
    for source in all() {
        drop(source.read(&context));
    }
    let asked = context.root.asked.lock().expect("unpoisoned").clone();
    assert!(asked.len() > 200, "{}", asked.len());
    let watched = places(&watchlist);
    let has_reason = |path: &str| {
        ELSEWHERE.iter().any(|(begins, _)| {
            path.strip_prefix(begins)
                .is_some_and(|rest| begins.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
        })
    };
    let missing: BTreeSet<&String> =
        asked.iter().filter(|path| !is_watched(path, &watched) && !has_reason(path)).collect();
    assert!(missing.is_empty(), "read and not watched: {missing:#?}");
    // A reason that nothing needs is a leftover.
    for (begins, _) in ELSEWHERE.iter().filter(|(begins, _)| !matches!(*begins, "/proc" | "/dev" | "/sbin" | "/bin")) {
        assert!(asked.iter().any(|path| path.starts_with(begins)), "nothing reads {begins}");
    }
}
