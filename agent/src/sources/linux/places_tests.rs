//! Compares what the sources read with what is watched: changes of a place that is read but not watched are found late.

use std::collections::BTreeSet;

use muster_proto::model::Platform;

use super::canned::Canned;
use crate::sources::places::{Place, Reach};
use crate::sources::root::Root;
use crate::sources::watchlist::builtin;
use crate::sources::{ScanContext, all, watch_places};

/// Path prefixes that are read but need not be watched, each with the reason.
const ELSEWHERE: &[(&str, &str)] = &[
    ("/proc", "the kernel does not report changes there"),
    ("/root", "home directories are not watched"),
    ("/home", "home directories are not watched"),
    ("/etc/passwd", "names the home directories, and those are not watched"),
    ("/var/lib/dpkg/info", "dpkg writes its status with every change there"),
    (
        "/var/lib/snapd/state.json",
        "snapd writes it all the time, and the watched directories of the snaps with every change",
    ),
    ("/var/lib/flatpak/app/", "flatpak touches .changed after every operation"),
    ("/var/lib/flatpak/runtime", "flatpak touches .changed after every operation"),
    ("/opt/planted/flatpak", "named in a watched file, and rare"),
    ("/etc/flatpak/installations.d/", "the directory is watched"),
    ("/usr/bin", "only to test whether the program of a unit exists, and the unit file is watched"),
    ("/usr/sbin", "as above"),
    ("/usr/local/bin", "as above"),
    ("/usr/local/sbin", "as above"),
    ("/bin", "as above, and for the architecture, which does not change"),
    ("/sbin", "as above"),
    ("/usr/lib/systemd/systemd", "for the architecture, which does not change"),
    ("/opt/planted/program", "the program of a unit whose file is watched"),
    ("/lib", "only to test whether it is a link"),
    ("/var/lib/docker", "only to test whether it exists, and that changes nothing of what is installed"),
    ("/var/lib/containers", "as above"),
    ("/var/lib/containerd", "as above"),
    ("/var/lib/rancher", "as above"),
    ("/var/snap", "as above"),
    ("/dev", "only to test whether it is a link to /dev/null"),
];

/// A machine on which every source finds something.
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
        // Anything deeper changes together with the watched level: the mount of a snap, the release of a module.
        on_the_way || below(place).is_some_and(|rest| deep > 0 && (deep > 1 || rest.split('/').count() <= deep + 1))
    })
}

#[test]
fn every_place_that_a_source_reads_is_watched_or_listed_as_an_exception() {
    let root = machine();
    let watchlist = builtin(Platform::Linux);
    let context = ScanContext::new(Root::below(root.path()).expect("a root").recording(), watchlist.clone());
    for source in all(Platform::Linux) {
        drop(source.read(&context));
    }
    let accessed = context.root.accessed().into_keys().collect::<BTreeSet<String>>();
    assert!(accessed.len() > 200, "{}", accessed.len());
    let watched = watch_places(&context.root, &watchlist);
    let has_reason = |path: &str| {
        ELSEWHERE.iter().any(|(begins, _)| {
            path.strip_prefix(begins)
                .is_some_and(|rest| begins.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
        })
    };
    let missing: BTreeSet<&String> =
        accessed.iter().filter(|path| !is_watched(path, &watched) && !has_reason(path)).collect();
    assert!(missing.is_empty(), "read and not watched: {missing:#?}");
    // Every exception must be in use.
    for (begins, _) in ELSEWHERE.iter().filter(|(begins, _)| !matches!(*begins, "/proc" | "/dev" | "/sbin" | "/bin")) {
        assert!(accessed.iter().any(|path| path.starts_with(begins)), "nothing reads {begins}");
    }
}
