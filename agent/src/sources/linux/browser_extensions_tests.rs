//! Tests of the browser-extensions source on canned home directories.

use muster_proto::model::Outcome;

use super::super::canned::{Canned, rows};
use super::*;

const ID: &str = "ddoleachckhhdmhpbkddgechjfhnphpe";
const MANIFEST: &str = r#"{"name":"__MSG_n__","version":"2.0","default_locale":"en","manifest_version":3}"#;
const MESSAGES: &str = r#"{"n":{"message":"Kaspersky Protection"}}"#;
const ADD_ONS: &str = r#"{"addons":[{"id":"a@kaspersky.com","version":"7","type":"extension","location":"app-profile",
    "active":false,"defaultLocale":{"name":"Light Plugin","creator":"AO Kaspersky Lab"}}]}"#;

fn with_chrome(root: Canned, profile: &str) -> Canned {
    let dir = format!("{profile}/Extensions/{ID}/2.0_0");
    root.file(&format!("{dir}/manifest.json"), MANIFEST).file(&format!("{dir}/_locales/en/messages.json"), MESSAGES)
}

fn passwd(root: Canned) -> Canned {
    root.file("etc/passwd", "jane:x:1000:1000::/srv/jane:/bin/sh\nola:x:1001:1001::/home/ola:/bin/sh\n")
}

#[test]
fn an_extension_of_two_users_is_one_observation_without_user_names() {
    let root = with_chrome(passwd(Canned::new("ubuntu")), "srv/jane/.config/google-chrome/Default");
    let root = with_chrome(root, "home/ola/.config/google-chrome/Profile 3");
    let reading = root.file("home/ola/.config/google-chrome/Local State", "{}").read(&BrowserExtensions);
    assert_eq!((reading.outcome, rows(&reading)), (Outcome::Found, vec!["Kaspersky Protection 2.0".to_owned()]));
    let found = &reading.observations[0];
    assert_eq!((found.id.as_str(), found.path.as_str()), (ID, "~/.config/google-chrome"));
    assert_eq!(found.attributes["browser"], "chrome");
}

#[test]
fn every_browser_is_read_from_all_its_profile_directories() {
    for (browser, places) in CHROMIUM {
        for place in *places {
            let root = with_chrome(passwd(Canned::new("ubuntu")), &format!("home/ola/{place}/Default"));
            let reading = root.read(&BrowserExtensions);
            assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 1), "{place}");
            assert_eq!(reading.observations[0].attributes["browser"], *browser);
        }
    }
    for place in FIREFOX {
        let list = format!("home/ola/{place}/x1.default-release/extensions.json");
        let reading = passwd(Canned::new("ubuntu")).file(&list, ADD_ONS).read(&BrowserExtensions);
        assert_eq!((reading.outcome, rows(&reading)), (Outcome::Found, vec!["Light Plugin 7".to_owned()]), "{place}");
        assert_eq!(reading.observations[0].state, "disabled");
    }
    let root = Canned::new("ubuntu").file(&format!("opt/google/chrome/extensions/{ID}.json"), "{}");
    assert_eq!(passwd(root).read(&BrowserExtensions).observations[0].id, ID);
}

#[test]
fn an_unparsable_file_makes_the_outcome_partial_or_failed() {
    let root = with_chrome(passwd(Canned::new("ubuntu")), "home/ola/.config/chromium/Default");
    let reading = root.file("home/ola/.mozilla/firefox/a/extensions.json", &ADD_ONS[..90]).read(&BrowserExtensions);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
    let dir = format!("home/ola/.config/chromium/Default/Extensions/{ID}/1");
    let root = passwd(Canned::new("ubuntu")).file(&format!("{dir}/manifest.json"), "{");
    assert_eq!(root.read(&BrowserExtensions).outcome, Outcome::Failed);
}

#[test]
fn homes_without_browsers_are_empty_and_unknown_homes_have_failed() {
    let root = passwd(Canned::new("ubuntu")).directory("home/ola/.config");
    assert_eq!(root.read(&BrowserExtensions).outcome, Outcome::Empty);
    // Without the list of accounts it is unknown which home directories exist.
    assert_eq!(Canned::new("ubuntu").directory("etc/passwd").read(&BrowserExtensions).outcome, Outcome::Failed);
    let root = Canned::new("ubuntu");
    std::fs::remove_file(root.path().join("etc/passwd")).expect("removed");
    assert_eq!(root.read(&BrowserExtensions).outcome, Outcome::Failed);
}

#[test]
fn add_ons_for_all_users_of_firefox_are_found() {
    let root = Canned::new("debian")
        .file("usr/share/mozilla/extensions/{ec8030f7-c20a-464f-9b0e-13a3a9e97384}/light@kaspersky.com.xpi", "")
        .directory("usr/share/mozilla/extensions/{3550f703-e582-4d05-9a08-453d09bdfdc6}/mail@x.example")
        .directory("usr/lib/firefox/distribution/extensions/own@x.example")
        .file("usr/lib/firefox/distribution/extensions/README", "");
    let reading = root.read(&BrowserExtensions);
    let mut ids: Vec<&str> = reading.observations.iter().map(|o| o.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["light@kaspersky.com", "own@x.example"]);
}
