//! Tests of `app-bundles` and `host`.

use muster_proto::model::Outcome;

use super::machine::{Mac, one, rows};
use crate::sources::macos::app_bundles::AppBundles;
use crate::sources::macos::host::{FACTS, Host};
use crate::sources::record;

#[test]
fn applications_are_found_at_every_place_and_depth() {
    let mac = Mac::new()
        .application("Applications/Kaspersky Anti-Virus For Mac.app", "com.kaspersky.kav", "26.0.0.150")
        .application("Applications/One/Two/Deep.app", "com.example.deep", "1")
        .application("Applications/One/Two/Three/TooDeep.app", "com.example.toodeep", "1")
        .application(
            "Library/Application Support/Kaspersky Lab/KAV/Binaries/kav_agent.app",
            "com.kaspersky.kav.agent",
            "2",
        )
        .application("opt/x/Tool.app", "com.example.tool", "3")
        .application("Users/jane/Applications/Own.app", "com.example.own", "4");
    let reading = mac.read(&AppBundles);
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    assert_eq!(
        rows(&reading),
        [
            "Deep | com.example.deep | 1 | ",
            "Kaspersky Anti-Virus For Mac | com.kaspersky.kav | 26.0.0.150 | ",
            "Own | com.example.own | 4 | ",
            "Terminal | com.apple.Terminal | 2.14 | ",
            "Tool | com.example.tool | 3 | ",
            "kav_agent | com.kaspersky.kav.agent | 2 | ",
        ]
    );
    assert_eq!(one(&reading, "Own").path, "~/Applications/Own.app");
    assert_eq!(reading.home_items.len(), 1);
}

#[test]
fn both_halves_of_a_mac_have_applications() {
    let mac = Mac::new()
        .application("System/Volumes/Data/Applications/Kaspersky.app", "com.kaspersky.kav", "1")
        .application("System/Volumes/Data/Users/ola/Applications/Own.app", "com.example.own", "4");
    let names: Vec<String> = mac.read(&AppBundles).observations.into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["Kaspersky", "Own", "Terminal"]);
}

#[test]
fn helpers_are_listed_once_and_shortcuts_of_virtual_machines_are_none() {
    let helper = |at: &str| format!("Applications/X.app/Contents/{at}/Helper.app");
    let mac = Mac::new()
        .application("Applications/X.app", "com.example.x", "1")
        .application(&helper("Helpers"), "com.example.x.helper", "1")
        .application(&helper("Frameworks"), "com.example.x.helper", "1")
        .application(&helper("Resources"), "com.example.x", "1")
        .application(
            "Users/jane/Applications/{56} Applications.localized/Kaspersky.app",
            "com.parallels.winapp.a.b",
            "6",
        );
    assert_eq!(
        rows(&mac.read(&AppBundles)),
        ["Helper | com.example.x.helper | 1 | ", "Terminal | com.apple.Terminal | 2.14 | ", "X | com.example.x | 1 | "]
    );
}

#[test]
fn an_application_without_its_program_is_left_over() {
    let mac = Mac::new()
        .application("Applications/Gone.app", "com.example.gone", "1")
        .without("Applications/Gone.app/Contents/MacOS/main")
        .folder("Applications/Empty.app/Contents")
        .application("Applications/Other.app", "com.example.other", "1")
        .without("Applications/Other.app/Contents/MacOS/main")
        .file("Applications/Other.app/Contents/MacOS/other", "x")
        .list("Applications/Phone.app/WrappedBundle/Info.plist", &[("CFBundleIdentifier", "com.example.phone")]);
    let reading = mac.read(&AppBundles);
    let states: Vec<(&str, &str)> =
        reading.observations.iter().map(|one| (one.name.as_str(), one.state.as_str())).collect();
    let expected =
        [("Empty", "binary-missing"), ("Gone", "binary-missing"), ("Other", ""), ("Phone", ""), ("Terminal", "")];
    assert_eq!(states, expected);
}

#[test]
fn an_application_that_cannot_be_understood_is_named_and_the_source_is_partial() {
    let mac = Mac::new()
        .application("Applications/Kaspersky.app", "com.kaspersky.kav", "1")
        .file("Applications/Kaspersky.app/Contents/Info.plist", "<plist><dict><key>CFBundleIdentifier</key>");
    let reading = mac.read(&AppBundles);
    assert_eq!(reading.outcome, Outcome::Partial);
    assert_eq!((one(&reading, "Kaspersky").id.as_str(), one(&reading, "Kaspersky").state.as_str()), ("", ""));
    assert_eq!(reading.reason, "/Applications/Kaspersky.app/Contents/Info.plist: the property list is not complete");
}

#[test]
fn a_link_to_another_disk_is_no_absence() {
    let reading = Mac::new().link("Applications/Kaspersky.app", "/Volumes/Disk/Kaspersky.app").read(&AppBundles);
    assert_eq!(reading.outcome, Outcome::Partial);
    assert!(reading.reason.contains("/Volumes/Disk/Kaspersky.app"), "{}", reading.reason);
    let of_system = "../System/Cryptexes/App/System/Applications/Safari.app";
    assert_eq!(Mac::new().link("Applications/Safari.app", of_system).read(&AppBundles).outcome, Outcome::Found);
}

#[test]
fn a_copy_without_the_volume_of_data_has_no_applications_to_speak_of() {
    let mac = Mac::new().without("Applications/Utilities").without("Users/Shared");
    let reading = mac.read(&AppBundles);
    assert_eq!(reading.outcome, Outcome::Failed);
    assert_eq!(reading.reason, "/Applications has no application, but every Mac has some");
}

#[test]
fn the_version_of_macos_is_that_of_the_system() {
    let mac =
        Mac::new().list("System/Library/CoreServices/SystemVersionCompat.plist", &[("ProductVersion", "10.16")]).file(
            "Library/Preferences/SystemConfiguration/preferences.plist",
            "<plist><dict><key>System</key><dict><key>System</key><dict><key>ComputerName</key><string>board-3</string>\
             </dict></dict></dict></plist>",
        );
    let reading = mac.read(&Host);
    assert_eq!(rows(&reading), ["macos |  | 14.4.1 | "]);
    assert_eq!(one(&reading, "macos").attributes["build"], "23E224");
    let context = mac.context(muster_proto::model::Watchlist::default());
    let mut record = record(&context);
    (FACTS.read)(&context)(&mut record);
    assert_eq!((record.facts.hostname.as_str(), record.facts.os_name.as_str()), ("board-3", "macOS 14.4.1"));
    let unknown = Mac::new().file("System/Library/CoreServices/SystemVersion.plist", "x").read(&Host);
    assert_eq!(unknown.outcome, Outcome::Failed);
}

#[test]
fn an_application_whose_id_is_no_text_is_a_problem() {
    let mac = Mac::new().application("Applications/X.app", "com.example.x", "1");
    let reading = mac.list("Applications/X.app/Contents/Info.plist", &[("CFBundleIdentifier", "<data>AAAA</data>")]);
    let reading = reading.read(&AppBundles);
    assert_eq!(reading.outcome, Outcome::Partial);
    assert_eq!(reading.reason, "/Applications/X.app: CFBundleIdentifier is no text");
    assert_eq!(one(&reading, "X").state, "");
}
