//! Tests of `browser-extensions`.

use muster_proto::model::{Outcome, Watchlist};

use super::machine::{Mac, dictionary, rows};
use crate::sources::Source as _;
use crate::sources::macos::browser_extensions::BrowserExtensions;

const ID: &str = "ddoleachckhhdmhpbkddgechjfhnphpe";

#[test]
fn extensions_of_all_browsers_and_users_are_read() {
    let support = "Users/jane/Library/Application Support";
    let manifest = "{\"name\": \"KasperskyUrlAdvisor\", \"version\": \"1\"}";
    let add_on = "{\"addons\":[{\"id\":\"x@kaspersky.com\",\"version\":\"7\",\"type\":\"extension\",\"active\":true}]}";
    let safari = "Users/ola/Library/Containers/com.apple.Safari/Data/Library/Safari/AppExtensions/Extensions.plist";
    let policy = format!("<array><string>{ID};https://example.com</string></array>");
    let mac = Mac::new()
        .file(&format!("{support}/Google/Chrome/Default/Extensions/{ID}/1_0/manifest.json"), manifest)
        .file(&format!("{support}/Firefox/Profiles/a.default/extensions.json"), add_on)
        .file("Users/ola/Library/Safari/Extensions/KasperskyURLAdvisor.safariextz", "xar!")
        .list(safari, &[("com.kaspersky.kav.safari (2Y8XE5CQ94)", "<dict><key>Enabled</key><false/></dict>")])
        .file(
            "Library/Managed Preferences/jane/com.google.Chrome.plist",
            dictionary(&[("ExtensionInstallForcelist", &policy)]),
        );
    let watchlist = Watchlist { extension_ids: vec!["*@kaspersky.com".to_owned()], ..Watchlist::default() };
    let reading = BrowserExtensions.read(&mac.context(watchlist));
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    assert_eq!(
        rows(&reading),
        [
            "KasperskyURLAdvisor.safariextz | KasperskyURLAdvisor.safariextz |  | ".to_owned(),
            format!("KasperskyUrlAdvisor | {ID} | 1 | "),
            "com.kaspersky.kav.safari | com.kaspersky.kav.safari |  | disabled".to_owned(),
            format!("{ID} | {ID} |  | "),
            "x@kaspersky.com | x@kaspersky.com | 7 | ".to_owned(),
        ]
    );
    assert!(!format!("{:?}", reading.observations).contains("jane"));
    assert_eq!(reading.home_items.iter().filter(|item| item.watched).count(), 1);
}

#[test]
fn a_list_of_safari_that_cannot_be_understood_is_a_problem() {
    let mac = Mac::new().file("Users/ola/Library/Safari/Extensions/Extensions.plist", "x");
    assert_eq!(mac.read(&BrowserExtensions).outcome, Outcome::Failed);
    assert_eq!(Mac::new().read(&BrowserExtensions).outcome, Outcome::Empty);
}

#[test]
fn the_reason_of_a_damaged_policy_names_nobody() {
    let mac = Mac::new().file("Library/Managed Preferences/jane/com.google.Chrome.plist", "x");
    let reading = mac.read(&BrowserExtensions);
    assert_eq!(reading.outcome, Outcome::Failed);
    assert!(!reading.reason.contains("jane"), "{}", reading.reason);
}
