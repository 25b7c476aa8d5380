//! Every source on hostile roots: pipes, devices, link loops, links out of the root, huge files and endless trees in place
//! of a database. Each scan must end soon, and its reason must name the place.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use muster_proto::model::{Outcome, Platform, SourceName};

use super::canned::Canned;
use crate::os::test_kit::{endless_device, pipe};
use crate::sources::root::Root;
use crate::sources::watchlist::builtin;
use crate::sources::{ScanContext, SourceReading, all};

const BOTTLEROCKET: &str = "usr/share/bottlerocket/application-inventory.json";
const ID: &str = "ddoleachckhhdmhpbkddgechjfhnphpe";

/// Source, operating system, the file that it expects, and what the reason must contain.
fn places() -> Vec<(SourceName, &'static str, String, &'static str)> {
    let place = |source, os, path: &str, named| (source, os, path.to_owned(), named);
    vec![
        place(SourceName::Dpkg, "debian", "var/lib/dpkg/status", "/var/lib/dpkg/status"),
        place(SourceName::Rpm, "rocky", "var/lib/rpm/rpmdb.sqlite", "rpmdb.sqlite"),
        place(SourceName::Rpm, "rocky", "var/lib/rpm/Packages.db", "Packages.db"),
        place(SourceName::Rpm, "rocky", "usr/lib/sysimage/rpm/Packages", "/usr/lib/sysimage/rpm/Packages"),
        place(SourceName::Apk, "alpine", "lib/apk/db/installed", "/lib/apk/db/installed"),
        place(SourceName::Pacman, "arch", "var/lib/pacman/local/x-1-1/desc", "x-1-1"),
        place(SourceName::Snap, "ubuntu", "var/lib/snapd/state.json", "/var/lib/snapd/state.json"),
        place(SourceName::Flatpak, "fedora", "var/lib/flatpak/app/org.x/x86_64/stable/active/metadata", "org.x"),
        place(SourceName::SystemdUnits, "debian", "etc/systemd/system/a.service", "a.service"),
        place(SourceName::KernelModules, "debian", "etc/modules", "/etc/modules"),
        place(SourceName::TrustStore, "debian", "usr/local/share/ca-certificates/a.crt", "a.crt"),
        place(
            SourceName::BrowserExtensions,
            "debian",
            &format!("root/.config/chromium/Default/Extensions/{ID}/1/manifest.json"),
            "/root/.config/chromium",
        ),
        place(
            SourceName::BrowserExtensions,
            "debian",
            "root/.mozilla/firefox/p/extensions.json",
            "/root/.mozilla/firefox",
        ),
        place(SourceName::SystemPackages, "gentoo", "var/db/pkg", "/var/db/pkg"),
        place(SourceName::SystemPackages, "slackware", "var/lib/pkgtools/packages", "/var/lib/pkgtools/packages"),
        place(SourceName::SystemPackages, "solus", "var/lib/eopkg/package", "/var/lib/eopkg/package"),
        place(SourceName::SystemPackages, "clear-linux-os", "usr/share/clear/bundles", "/usr/share/clear/bundles"),
        place(SourceName::SystemPackages, "void", "var/db/xbps/pkgdb-0.38.plist", "/var/db/xbps/pkgdb-0.38.plist"),
        place(SourceName::SystemPackages, "openwrt", "usr/lib/opkg/status", "/usr/lib/opkg/status"),
        place(SourceName::SystemPackages, "bottlerocket", BOTTLEROCKET, "application-inventory.json"),
        place(SourceName::SystemPackages, "cos", "etc/cos-package-info.json", "/etc/cos-package-info.json"),
    ]
}

/// Reads one source on its own thread, so that a hanging source fails the test instead of blocking it.
fn read(source: SourceName, root: &Path) -> SourceReading {
    let (sender, answer) = mpsc::channel();
    let root = root.to_owned();
    std::thread::spawn(move || {
        let source = all(Platform::Linux).into_iter().find(|one| one.name() == source).expect("the source");
        let _ =
            sender.send(source.read(&ScanContext::new(Root::below(&root).expect("a root"), builtin(Platform::Linux))));
    });
    answer.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().expect("a parent");
    fs::create_dir_all(parent).expect("made");
    parent
}

type Make = fn(&Path);

/// What may be in place of a file.
const FORMS: &[(&str, Make)] = &[
    ("a pipe", pipe),
    // An endless file. Only root can create it; others get a pipe again.
    ("a device", |path| {
        if !endless_device(path) {
            pipe(path);
        }
    }),
    ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).expect("bound"))),
    ("a folder", |path| fs::create_dir(path).expect("made")),
    ("a circle", |path| symlink(path.file_name().expect("a name"), path).expect("linked")),
    ("a terabyte", |path| File::create(path).and_then(|file| file.set_len(1 << 40)).expect("made")),
];

#[test]
fn a_pipe_device_or_loop_in_place_of_a_file_is_reported_and_does_not_block() {
    for (source, os, path, named) in places() {
        for (form, make) in FORMS {
            let root = Canned::new(os);
            let full = root.path().join(&path);
            let _ = parent(&full);
            // The path of a socket must be short.
            if *form == "a socket" && full.as_os_str().len() > 100 {
                continue;
            }
            // For these two sources a directory is valid at this path.
            if matches!(source, SourceName::SystemdUnits | SourceName::TrustStore) && *form == "a folder" {
                continue;
            }
            // A circle of links leads nowhere, and that is a state of a unit.
            if source == SourceName::SystemdUnits && *form == "a circle" {
                continue;
            }
            make(&full);
            let reading = read(source, root.path());
            // systemd reads no unit from these, which is a state of a unit too.
            if source == SourceName::SystemdUnits && *form != "a terabyte" {
                assert_eq!(reading.observations[0].state, "no-command", "{form} at {path}: {reading:?}");
                continue;
            }
            assert!(!reading.outcome.is_complete(), "{source}: {form} at {path}: {reading:?}");
            assert!(reading.reason.contains(named), "{source}: {form} at {path}: {:?}", reading.reason);
        }
    }
}

#[test]
fn no_link_leads_out_of_the_root() {
    let outside = tempfile::tempdir().expect("temporary directory");
    let secret = outside.path().join("secret");
    fs::write(&secret, "Package: outside\nStatus: install ok installed\nVersion: 1\n\nP:outside\nV:1\n\n")
        .expect("written");
    for (source, os, path, _) in places() {
        for target in
            [secret.clone(), Path::new("../../../../../../../../../../..").join(&secret.to_string_lossy()[1..])]
        {
            let root = Canned::new(os);
            let full = root.path().join(&path);
            let _ = parent(&full);
            symlink(&target, &full).expect("linked");
            let reading = read(source, root.path());
            let found = format!("{:?}", reading.observations);
            assert!(!found.contains("outside"), "{source}: {path} leads out: {found}");
        }
    }
}

#[test]
fn random_bytes_are_reported() {
    let nasty: Vec<u8> =
        (0..20_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap_or(0)).collect();
    for (source, os, path, named) in places() {
        let root = Canned::new(os).file(&path, &nasty);
        let reading = read(source, root.path());
        // Unit files and module lists may contain lines without meaning; every other file is then damaged.
        let forgiving = matches!(source, SourceName::SystemdUnits | SourceName::KernelModules);
        assert!(forgiving || !reading.outcome.is_complete(), "{source}: {path}: {reading:?}");
        assert!(forgiving || reading.reason.contains(named), "{source}: {path}: {}", reading.reason);
    }
}

#[test]
fn a_very_deep_tree_is_abandoned_and_named() {
    let deep = "d/".repeat(200);
    for (source, top) in [
        (SourceName::TrustStore, "usr/local/share/ca-certificates"),
        (SourceName::KernelModules, "lib/modules/6.1/extra"),
    ] {
        let root = Canned::new("debian").directory(&format!("{top}/{deep}"));
        let reading = read(source, root.path());
        assert_eq!(reading.outcome, Outcome::Failed, "{source}: {reading:?}");
        assert!(
            reading.reason.contains("nested too deeply") && reading.reason.contains(top),
            "{source}: {}",
            reading.reason
        );
    }
}

#[test]
fn a_database_is_read_only_up_to_the_size_in_its_header() {
    for (name, whole) in [("rpmdb.sqlite", true), ("Packages", true), ("Packages.db", true)] {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/linux/rpm").join(name);
        let place = format!("var/lib/rpm/{name}");
        let root = Canned::new("rocky").file(&place, fs::read(fixture).expect("the fixture"));
        let file = File::options().write(true).open(root.path().join(&place)).expect("there");
        file.set_len(1 << 40).expect("stretched");
        let reading = read(SourceName::Rpm, root.path());
        assert_eq!(reading.observations.len() == 8, whole, "{name}: {}", reading.reason);
    }
}
