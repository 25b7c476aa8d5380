//! `system-packages` on hostile databases: names that are no names, links, deep and endless files. A package that is there
//! must be reported, and what cannot be read must make the reading incomplete.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use muster_proto::limits;
use muster_proto::model::Outcome;

use super::canned::{Canned, rows};
use super::system_packages::SystemPackages;

/// System, place, an entry of the base system, an entry of the product.
const LISTINGS: &[(&str, &str, &str, &str)] = &[
    ("gentoo", "var/db/pkg/app-misc", "glibc-2.39-r9", "kesl-12.1"),
    ("slackware", "var/lib/pkgtools/packages", "aaa_base-15.0-x86_64-4", "kesl-12.1-x86_64-1"),
    ("solus", "var/lib/eopkg/package", "glibc-2.39-110", "kesl-12.1-1"),
    ("clear-linux-os", "usr/share/clear/bundles", "os-core", "kesl"),
];

/// Names that a file system allows, and no package manager writes.
fn hostile_names() -> Vec<Vec<u8>> {
    let texts =
        ["-", "--", "-1", "a\nb-1", "\u{1b}[2Jx-1", "$(reboot)-1", "%s%n-1", " ", "\u{202e}lsek-1", "é", "-r1", "---"];
    let mut names: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    names.push(b"\xff\xfe-1.0".to_vec());
    names.push(b"x-1-\xc3\x28-1".to_vec());
    names.push(vec![b'-'; 255]);
    names.push(vec![0x80; 255]);
    names
}

fn is_listed(rows: &[String]) -> bool {
    rows.iter().any(|row| row.starts_with("kesl"))
}

#[test]
fn no_name_in_a_listing_hides_the_packages_beside_it() {
    for (os, place, base, product) in LISTINGS {
        for name in hostile_names() {
            let root = Canned::new(os);
            let folder = root.path().join(place);
            for name in [base.as_bytes(), &name, product.as_bytes()] {
                fs::create_dir_all(&folder).expect("made");
                let path = folder.join(OsStr::from_bytes(name));
                if matches!(*os, "gentoo" | "solus") { fs::create_dir(path) } else { fs::write(path, "") }
                    .expect("made");
            }
            let reading = root.read(&SystemPackages);
            let name = String::from_utf8_lossy(&name);
            assert!(is_listed(&rows(&reading)), "{os}: {name:?}: {reading:?}");
            // A name is either a package or a problem.
            let whole = reading.outcome == Outcome::Found && reading.observations.len() == 3;
            assert!(whole || reading.outcome == Outcome::Partial, "{os}: {name:?}: {reading:?}");
            assert!(reading.observations.iter().all(|one| !one.name.is_empty()), "{os}: {name:?}");
        }
    }
}

#[test]
fn links_to_folders_are_followed_within_the_root_and_broken_ones_are_named() {
    let glibc = || Canned::new("gentoo").directory("var/db/pkg/sys-libs/glibc-2.39");
    let linked = [
        glibc().directory("srv/portage/kesl-12.1").link("var/db/pkg/app-antivirus", "/srv/portage"),
        glibc().directory("srv/kesl").link("var/db/pkg/app-antivirus/kesl-12.1", "../../../../srv/kesl"),
        Canned::new("solus")
            .directory("var/lib/eopkg/package/glibc-2.39-110")
            .directory("srv/kesl")
            .link("var/lib/eopkg/package/kesl-12.1-1", "/srv/kesl"),
    ];
    for root in linked {
        let reading = root.read(&SystemPackages);
        assert_eq!((reading.outcome, is_listed(&rows(&reading))), (Outcome::Found, true), "{reading:?}");
    }
    for (target, named) in [("/mnt/other", "leads nowhere"), ("app-antivirus", "/var/db/pkg/app-antivirus")] {
        let reading = glibc().link("var/db/pkg/app-antivirus", target).read(&SystemPackages);
        assert_eq!(reading.outcome, Outcome::Partial, "{reading:?}");
        assert!(reading.reason.contains(named), "{}", reading.reason);
    }
}

#[test]
fn extensions_behind_a_link_that_leads_nowhere_are_not_absent() {
    for (link, target) in
        [("var/lib/extensions", "/mnt/data/extensions"), ("var/lib", "../mnt/lib"), ("etc/extensions", "x")]
    {
        let root = Canned::with_os_release("ID=flatcar\nVERSION_ID=3815.2.0\n").link(link, target);
        let reading = root.read(&SystemPackages);
        assert_eq!(reading.outcome, Outcome::Partial, "{link}: {reading:?}");
        assert!(
            reading.reason.contains(&format!("/{link} leads to {target}, which does not exist")),
            "{}",
            reading.reason
        );
    }
}

#[test]
fn a_listing_with_more_entries_than_a_section_holds_is_incomplete() {
    let root = Canned::new("clear-linux-os").file("usr/share/clear/bundles/os-core", "");
    for number in 0..=limits::OBSERVATIONS_PER_SECTION {
        fs::write(root.path().join(format!("usr/share/clear/bundles/b{number}")), "").expect("written");
    }
    let reading = root.read(&SystemPackages);
    assert_eq!(reading.outcome, Outcome::Partial);
    assert!(reading.reason.contains("/usr/share/clear/bundles contains more than"), "{}", reading.reason);
}

const PLIST: &str = "var/db/xbps/pkgdb-0.38.plist";

fn package(name: &str) -> String {
    format!("<key>{name}</key><dict><key>pkgver</key><string>{name}-1_1</string></dict>")
}

#[test]
fn a_damaged_property_list_is_never_complete() {
    let (glibc, kesl) = (package("glibc"), package("kesl"));
    let unbalanced = kesl.replace("</dict>", "</array>");
    for (what, text) in [
        ("another end", format!("<plist><dict>{unbalanced}{glibc}</dict></plist>")),
        ("an array for a package", format!("<plist><dict>{glibc}<key>kesl</key><array></array></dict></plist>")),
        ("more after the end", format!("<plist><dict>{glibc}</dict></plist><dict>{kesl}</dict>")),
        ("a list in a list", format!("<plist><dict>{glibc}<plist></plist>{kesl}</dict></plist>")),
        (
            "a version without a dash",
            format!("<plist><dict>{glibc}{}</dict></plist>", kesl.replace("kesl-1_1", "kesl")),
        ),
        ("an end without a beginning", format!("<plist></dict><dict>{glibc}{kesl}</dict></plist>")),
        ("a million open dictionaries", format!("<plist><dict>{glibc}{kesl}{}", "<dict>".repeat(1_000_000))),
        ("a million ends", format!("<plist><dict>{glibc}{kesl}</dict>{}</plist>", "</dict>".repeat(1_000_000))),
        ("a tag without an end", format!("<plist><dict>{glibc}{kesl}{}", "<".repeat(1_000_000))),
    ] {
        let reading = Canned::new("void").file(PLIST, text).read(&SystemPackages);
        assert_eq!(reading.outcome, Outcome::Partial, "{what}: {:?}", rows(&reading));
        assert!(reading.reason.contains(&format!("/{PLIST}")), "{what}: {}", reading.reason);
        assert!(rows(&reading).iter().any(|row| row.starts_with("glibc")), "{what}: {:?}", rows(&reading));
    }
    let endless: String = (0..=limits::OBSERVATIONS_PER_SECTION).map(|number| package(&format!("p{number}"))).collect();
    let text = format!("<plist><dict>{glibc}{endless}</dict></plist>");
    let reading = Canned::new("void").file(PLIST, text).read(&SystemPackages);
    assert!(reading.reason.contains("contains more than"), "{}", reading.reason);
}

#[test]
fn invalid_text_in_a_property_list_hides_no_package() {
    let mut bytes = format!("<plist><dict>{}", package("glibc")).into_bytes();
    bytes.extend(b"<key>x</key><dict><key>pkgver</key><string>\xff\xfe-1_1</string><key>\xc3\x28</key></dict>");
    bytes.extend(format!("{}</dict></plist>", package("kesl")).into_bytes());
    let reading = Canned::new("void").file(PLIST, bytes).read(&SystemPackages);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 3), "{reading:?}");
    assert!(is_listed(&rows(&reading)));
}

#[test]
fn a_damaged_package_list_of_an_image_is_never_complete() {
    let glibc = r#"{"Name":"glibc","Version":"2.38"}"#;
    for (what, text) in [
        ("deep arrays", "[".repeat(1_000_000).into_bytes()),
        ("deep content", format!("{{\"Content\":[{glibc},{}", "{\"x\":".repeat(1_000_000)).into_bytes()),
        ("two lists", format!("{{\"Content\":[{glibc}],\"Content\":[{glibc}]}}").into_bytes()),
        ("no name", format!("{{\"Content\":[{glibc},{{\"Name\":\"\"}}]}}").into_bytes()),
        ("a number as the name", format!("{{\"Content\":[{glibc},{{\"Name\":7}}]}}").into_bytes()),
        ("null", b"{\"Content\":null}".to_vec()),
        ("more after the end", format!("{{\"Content\":[{glibc}]}}{{").into_bytes()),
        ("invalid UTF-8", [b"{\"Content\":[{\"Name\":\"gl\xff".as_slice(), b"ibc\"}]}"].concat()),
    ] {
        let root = Canned::new("bottlerocket").file("usr/share/bottlerocket/application-inventory.json", text);
        let reading = root.read(&SystemPackages);
        assert_eq!(reading.outcome, Outcome::Failed, "{what}: {reading:?}");
        assert!(reading.reason.contains("application-inventory.json"), "{what}: {}", reading.reason);
    }
}
