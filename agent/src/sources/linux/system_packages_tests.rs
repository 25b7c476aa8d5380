//! Tests of `system-packages` on canned roots of every kind of system: whether its own packages were read, and what was found.

use std::os::unix::ffi::OsStrExt;

use muster_proto::model::Outcome;

use super::super::canned::{Canned, rows};
use super::*;

const FALCON: &str = "Package: falcon-sensor\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.16\n\n";
const LIBC: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n\n";

fn outcome(root: &Canned) -> (Outcome, String) {
    let reading = root.read(&SystemPackages);
    (reading.outcome, reading.reason)
}

/// Outcome, reason, and name and version of each package.
fn read(root: &Canned) -> (Outcome, String, Vec<String>) {
    let reading = root.read(&SystemPackages);
    (reading.outcome, reading.reason.clone(), rows(&reading))
}

fn found(packages: &[&str]) -> (Outcome, String, Vec<String>) {
    (Outcome::Found, String::new(), packages.iter().map(|one| (*one).to_owned()).collect())
}

#[test]
fn where_another_source_reads_the_packages_there_is_nothing_to_read() {
    for os in ["debian", "rocky", "alpine", "arch", "opensuse-microos", "steamos", "photon", "wolfi"] {
        let (outcome, reason) = outcome(&Canned::new(os));
        assert_eq!(outcome, Outcome::NotApplicable, "{os}");
        assert!(reason.contains(&format!("packages of this system (ID={os}) are in the database of ")), "{reason}");
    }
}

#[test]
fn a_store_that_is_not_read_makes_the_scan_incomplete_whatever_else_is_found() {
    for (os, name) in [("nixos", "/nix/store"), ("guix", "/gnu/store")] {
        for root in [Canned::new(os), Canned::new(os).file("var/lib/dpkg/status", [FALCON, LIBC].concat())] {
            let (outcome, reason) = outcome(&root);
            let expected = format!("packages of this system (ID={os}) are in {name}, which this agent does not read");
            assert_eq!((outcome, reason), (Outcome::Failed, expected));
        }
    }
}

#[test]
fn on_an_unknown_system_the_content_of_a_database_decides_whether_it_is_the_systems_own() {
    let with = |status: &str| Canned::new("nobodyknows").file("var/lib/dpkg/status", status);
    let dpkg = LIBC.replace("libc6", "dpkg");
    assert_eq!(outcome(&with(&[FALCON, LIBC, &dpkg].concat())).0, Outcome::NotApplicable);
    // One package of a base, or only the manager, can be a stanza that somebody wrote.
    for root in [with(FALCON), with(""), with(LIBC), with(&dpkg), Canned::new("nobodyknows")] {
        let (outcome, reason) = outcome(&root);
        assert_eq!(outcome, Outcome::Failed);
        assert!(reason.contains("does not know this system (ID=nobodyknows)"), "{reason}");
    }
    // A truncated database may lack anything.
    assert_eq!(outcome(&with(&[LIBC, &dpkg, &FALCON[..FALCON.len() - 9]].concat())).0, Outcome::Failed);
    // A store that the agent cannot read may be the system's own, even beside a database of another system.
    let nix = with(&[FALCON, LIBC, &dpkg].concat()).directory("nix/store");
    assert!(outcome(&nix).1.contains("/nix/store"));
    let gentoo = Canned::new("nobodyknows").directory("var/db/pkg/sys-libs/glibc-2.39-r9");
    assert_eq!(outcome(&gentoo).0, Outcome::Partial);
    let gentoo = gentoo.directory("var/db/pkg/sys-apps/portage-3.0.60");
    assert_eq!(read(&gentoo), found(&["glibc 2.39-r9", "portage 3.0.60"]));
    let no_os_release = Canned::new("x").directory("etc/os-release");
    assert_eq!(outcome(&no_os_release).0, Outcome::Failed);
}

#[test]
fn gentoo_and_its_derivatives_are_read_from_portage() {
    for os in ["ID=gentoo\n", "ID=funtoo\nID_LIKE=gentoo\n", "ID=mine\nID_LIKE=gentoo\n"] {
        let root = Canned::with_os_release(os)
            .directory("var/db/pkg/sys-libs/glibc-2.39-r9")
            .directory("var/db/pkg/app-antivirus/kesl-bin-12.1.0.1508")
            .file("var/db/pkg/.gitkeep", "");
        assert_eq!(read(&root), found(&["glibc 2.39-r9", "kesl-bin 12.1.0.1508"]));
        let reading = root.read(&SystemPackages);
        let kesl = reading.observations.iter().find(|one| one.name == "kesl-bin").expect("kesl");
        assert_eq!((kesl.id.as_str(), kesl.attributes["store"].as_str()), ("app-antivirus/kesl-bin", "portage"));
    }
    assert_eq!(outcome(&Canned::new("gentoo")).0, Outcome::Failed);
    assert_eq!(outcome(&Canned::new("gentoo").file("var/lib/dpkg/status", [FALCON, LIBC].concat())).0, Outcome::Failed);
    let foreign = Canned::new("gentoo").directory("var/db/pkg/app-misc/a-1");
    assert!(outcome(&foreign).1.contains("none of the base system (baselayout, bash, glibc, …)"));
    let busy = Canned::new("gentoo").directory("var/db/pkg/sys-libs/glibc-2.39").directory("var/db/pkg/a/-MERGING-b-1");
    let (outcome, reason, rows) = read(&busy);
    assert_eq!((outcome, rows), (Outcome::Partial, vec!["b 1".to_owned(), "glibc 2.39".to_owned()]));
    assert!(reason.contains("/var/db/pkg/a/-MERGING-b-1"), "{reason}");
}

#[test]
fn slackware_solus_and_clear_linux_are_read_from_their_directories() {
    for place in ["var/lib/pkgtools/packages", "var/log/packages"] {
        let root = Canned::new("slackware")
            .file(&format!("{place}/aaa_base-15.0-x86_64-4_slack15.0"), "")
            .file(&format!("{place}/kesl-12.1-x86_64-1_SBo"), "");
        assert_eq!(read(&root), found(&["aaa_base 15.0-4_slack15.0", "kesl 12.1-1_SBo"]));
        let odd = root.file(&format!("{place}/strange"), "");
        let (outcome, reason) = outcome(&odd);
        assert_eq!(outcome, Outcome::Partial);
        assert!(reason.contains(&format!("/{place}/strange is not a package entry")), "{reason}");
    }
    let solus = Canned::new("solus").directory("var/lib/eopkg/package/glibc-2.39-110");
    assert_eq!(read(&solus), found(&["glibc 2.39-110"]));
    let clear = Canned::new("clear-linux-os")
        .file("usr/share/clear/bundles/os-core", "")
        .file("usr/share/clear/bundles/containers-basic", "");
    assert_eq!(read(&clear), found(&["containers-basic", "os-core"]));
}

#[test]
fn void_is_read_from_its_property_list() {
    let list = |body: &str| format!("<plist version=\"1.0\">\n<dict>\n{body}</dict>\n</plist>\n");
    let glibc = "<key>glibc</key><dict><key>pkgver</key><string>glibc-2.38_5</string><key>state</key><string>installed</string></dict>";
    let place = "var/db/xbps/pkgdb-0.38.plist";
    assert_eq!(read(&Canned::new("void").file(place, list(glibc))), found(&["glibc 2.38_5"]));
    assert_eq!(outcome(&Canned::new("void")).0, Outcome::Failed);
    assert_eq!(outcome(&Canned::new("void").file(place, list(""))).0, Outcome::Failed);
    let cut = list(glibc).replace("</plist>", "");
    let (outcome, reason, rows) = read(&Canned::new("void").file(place, cut));
    assert_eq!((outcome, rows), (Outcome::Partial, vec!["glibc 2.38_5".to_owned()]));
    assert!(reason.contains("(/var/db/xbps/pkgdb-0.38.plist): after 1 packages"), "{reason}");
}

#[test]
fn openwrt_and_yocto_are_read_from_whichever_database_they_have() {
    let opkg = "Package: libc\nVersion: 1.2.4-4\nStatus: install hold,user installed\nArchitecture: x86_64\n\n";
    assert_eq!(read(&Canned::new("openwrt").file("usr/lib/opkg/status", opkg)), found(&["libc 1.2.4-4"]));
    assert_eq!(read(&Canned::new("poky").file("var/lib/opkg/status", opkg)), found(&["libc 1.2.4-4"]));
    let apk = Canned::new("openwrt").file("lib/apk/db/installed", "P:libc\nV:1.2.5-r4\n\n");
    assert_eq!(outcome(&apk).0, Outcome::NotApplicable);
    for root in [Canned::new("openwrt"), Canned::new("poky"), Canned::new("poky").file("var/lib/dpkg/status", FALCON)] {
        let (outcome, reason) = outcome(&root);
        assert_eq!(outcome, Outcome::Failed);
        assert!(reason.contains("and none of them holds a whole system"), "{reason}");
    }
}

#[test]
fn ubuntu_core_is_complete_if_its_snaps_are() {
    let core = Canned::new("ubuntu-core")
        .link("snap/core22/current", "1380")
        .file("snap/core22/1380/meta/snap.yaml", "name: core22\nversion: '20240408'\ntype: base\n");
    assert_eq!(outcome(&core).0, Outcome::Empty);
    let (outcome, reason) = outcome(&Canned::new("ubuntu-core"));
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.ends_with("has only snaps, and none were found in /var/lib/snapd/snaps"), "{reason}");
}

#[test]
fn an_image_without_packages_is_its_only_package() {
    for os in ["flatcar", "talos", "chromeos", "libreelec"] {
        let root = Canned::with_os_release(&format!("ID={os}\nVERSION_ID=3815.2.0\n"));
        assert_eq!(read(&root), found(&[&format!("{os} 3815.2.0")]));
    }
    let (outcome, reason) = outcome(&Canned::new("flatcar"));
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.contains("no version of the system image"), "{reason}");
}

#[test]
fn a_system_extension_that_is_not_merged_was_not_read() {
    let root =
        || Canned::with_os_release("ID=flatcar\nVERSION_ID=3815.2.0\n").file("var/lib/extensions/kesl.raw", "squashfs");
    let (outcome, reason, rows) = read(&root());
    assert_eq!((outcome, rows), (Outcome::Partial, vec!["flatcar 3815.2.0".to_owned(), "kesl".to_owned()]));
    assert!(reason.contains("/var/lib/extensions/kesl.raw is not merged"), "{reason}");
    assert!(reason.ends_with("; scan the running system, or delete the extension"), "{reason}");
    let merged = root().file("usr/lib/extension-release.d/extension-release.kesl", "ID=flatcar\n");
    assert_eq!(read(&merged), found(&["flatcar 3815.2.0", "kesl"]));
}

#[test]
fn the_package_list_of_an_image_is_read() {
    let bottlerocket = r#"{"Content":[{"Name":"glibc","Publisher":"Bottlerocket","Version":"2.38"}]}"#;
    let place = "usr/share/bottlerocket/application-inventory.json";
    assert_eq!(read(&Canned::new("bottlerocket").file(place, bottlerocket)), found(&["glibc 2.38"]));
    let cos = r#"{"installedPackages":[{"category":"sys-libs","name":"zlib","version":"1.2.11-r4"}]}"#;
    assert_eq!(read(&Canned::new("cos").file("etc/cos-package-info.json", cos)), found(&["zlib 1.2.11-r4"]));
    for (root, named) in [
        (Canned::new("bottlerocket"), place),
        (Canned::new("bottlerocket").file(place, "{\"Content\":[]}"), place),
        (Canned::new("bottlerocket").file(place, "{\"Content\":[{"), place),
        (Canned::new("bottlerocket").file(place, r#"{"Content":[{"Name":""}]}"#), place),
        (Canned::new("cos"), "etc/cos-package-info.json"),
    ] {
        let (outcome, reason) = outcome(&root);
        assert_eq!(outcome, Outcome::Failed);
        assert!(reason.contains(named), "{reason}");
    }
}

#[test]
fn an_old_store_in_one_place_does_not_hide_the_packages_of_another() {
    let slackware = Canned::new("slackware")
        .file("var/lib/pkgtools/packages/aaa_base-15.0-x86_64-4", "")
        .file("var/log/packages/kesl-12.1-x86_64-1_SBo", "");
    assert_eq!(read(&slackware), found(&["aaa_base 15.0-4", "kesl 12.1-1_SBo"]));
    let linked = Canned::new("slackware")
        .file("var/lib/pkgtools/packages/aaa_base-15.0-x86_64-4", "")
        .link("var/log/packages", "../lib/pkgtools/packages");
    assert_eq!(read(&linked), found(&["aaa_base 15.0-4"]));
    let stanza = |name: &str| format!("Package: {name}\nVersion: 1\nStatus: install ok installed\n\n");
    let openwrt =
        Canned::new("openwrt").file("usr/lib/opkg/status", stanza("libc")).file("var/lib/opkg/status", stanza("kesl"));
    assert_eq!(read(&openwrt), found(&["kesl 1", "libc 1"]));
}

#[test]
fn a_category_that_is_a_link_is_followed_and_one_that_cannot_be_read_is_a_problem() {
    let gentoo = || Canned::new("gentoo").directory("var/db/pkg/sys-libs/glibc-2.39");
    let linked = gentoo().directory("srv/pkg/kesl-12.1").link("var/db/pkg/app-antivirus", "/srv/pkg");
    assert_eq!(read(&linked), found(&["glibc 2.39", "kesl 12.1"]));
    let entry = gentoo().directory("srv/kesl").link("var/db/pkg/sys-libs/kesl-12.1", "/srv/kesl");
    assert_eq!(read(&entry), found(&["glibc 2.39", "kesl 12.1"]));
    let (result, reason) = outcome(&gentoo().link("var/db/pkg/app-antivirus", "/srv/gone"));
    assert_eq!(result, Outcome::Partial);
    assert!(reason.contains("/var/db/pkg/app-antivirus"), "{reason}");
    let latin = gentoo();
    let name = std::ffi::OsStr::from_bytes(b"var/db/pkg/app-\xff/kesl-12.1");
    std::fs::create_dir_all(latin.path().join(name)).expect("made");
    let (result, reason) = outcome(&latin);
    assert_eq!(result, Outcome::Partial);
    assert!(reason.contains("not UTF-8"), "{reason}");
}

#[test]
fn a_file_in_the_place_of_another_systems_store_is_no_problem() {
    let debian = || Canned::new("debian").file("var/log/packages/install.log", "x");
    assert_eq!(outcome(&debian()).0, Outcome::NotApplicable);
    assert_eq!(outcome(&debian().directory("var/db/pkg/foo/bar")).0, Outcome::NotApplicable);
    assert_eq!(outcome(&debian().file("var/lib/opkg/status", "garbage\n")).0, Outcome::NotApplicable);
    let with_package = debian().file("var/log/packages/kesl-12.1-x86_64-1", "");
    assert_eq!(read(&with_package), found(&["kesl 12.1-1"]));
}
