//! Extensions of browsers: those in profiles, and those that the registry adds or a policy forces.

use std::sync::Arc;

use muster_proto::model::{Outcome, Watchlist};

use super::{Machine, rows};
use crate::sources::registry::{RegistryError, Value, kind};
use crate::sources::root::Root;
use crate::sources::windows::browser_extensions::BrowserExtensions;
use crate::sources::{ScanContext, Source, SourceReading};

const ID: &str = "ddoleachckhhdmhpbkddgechjfhnphpe";
const POLICIES: &str = r"HKLM\SOFTWARE\Policies";

fn read(machine: &Machine) -> SourceReading {
    let root = Root::below(machine.root.path()).expect("a root");
    let registry = Arc::new(machine.registry.clone());
    BrowserExtensions.read(&ScanContext { registry: Ok(registry), ..ScanContext::new(root, Watchlist::default()) })
}

#[test]
fn extensions_in_the_profiles_of_every_browser_are_found() {
    let manifest = r#"{"name": "Kaspersky Protection", "version": "30.1", "author": "AO Kaspersky Lab"}"#;
    let add_ons = |name: &str| {
        format!(
            r#"{{"addons":[{{"id":"light_plugin_x@kaspersky.com","version":"7.4","type":"extension","location":"app-profile",
            "active":true,"defaultLocale":{{"name":"{name}"}}}}]}}"#
        )
    };
    let local = "Users/jane/AppData/Local";
    let store = "Packages/Mozilla.Firefox_n80bbvh6b1yt2/LocalCache/Roaming/Mozilla/Firefox/Profiles";
    let machine = Machine::new()
        .file(
            &format!("{local}/BraveSoftware/Brave-Browser/User Data/Default/Extensions/{ID}/30.1_0/manifest.json"),
            manifest,
        )
        .file("Users/jane/AppData/Roaming/Mozilla/Firefox/Profiles/a.default/extensions.json", add_ons("Desktop"))
        .file(&format!("{local}/{store}/b.default/extensions.json"), add_ons("Store"))
        .file(&format!("{local}/Packages/Mozilla.Other_n80bbvh6b1yt2/LocalCache/x"), "")
        .with(|registry| registry.with_user("S-1-5-21-1", r"C:\Users\jane"));
    let reading = read(&machine);
    let expected = [
        "Desktop version=7.4 id=light_plugin_x@kaspersky.com path=~/AppData/Roaming/Mozilla/Firefox/Profiles \
         browser=firefox"
            .to_owned(),
        format!(
            "Kaspersky Protection vendor=AO Kaspersky Lab version=30.1 id={ID} \
             path=~/AppData/Local/BraveSoftware/Brave-Browser/User Data browser=brave"
        ),
        format!("Store version=7.4 id=light_plugin_x@kaspersky.com path=~/AppData/Local/{store} browser=firefox"),
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.to_vec(), Outcome::Found), "{}", reading.reason);
    assert_eq!(reading.home_items.len(), 3);
}

#[test]
fn what_policies_make_a_browser_install_is_found_in_every_form() {
    let id = |letter: &str| letter.repeat(32);
    let settings = |id: &str, mode: &str| {
        format!(r#"{{"*": {{"installation_mode": "blocked"}}, "{id}": {{"installation_mode": "{mode}"}}}}"#)
    };
    let lines = |text: &str| {
        let data = text.replace(", ", ",\0").encode_utf16().chain([0, 0]).flat_map(u16::to_le_bytes).collect();
        Value { name: "ExtensionSettings".to_owned(), kind: kind::MULTI_SZ, data }
    };
    let machine = Machine::new().with(|registry| {
        let keys = format!(r"{POLICIES}\BraveSoftware\Brave\ExtensionSettings");
        registry
            .with_text(
                &format!(r"{POLICIES}\BraveSoftware\Brave\ExtensionInstallForcelist"),
                "1",
                &format!("{ID};https://x/crx"),
            )
            .with_text(
                &format!(r"{POLICIES}\Google\Chrome"),
                "ExtensionSettings",
                &settings(&id("a"), "force_installed"),
            )
            .with_text(&format!(r"{POLICIES}\Chromium"), "ExtensionSettings", &settings(&id("b"), "allowed"))
            .with_value(&format!(r"{POLICIES}\Mozilla\Firefox"), lines(&settings("k@kaspersky.com", "force_installed")))
            // A key for each id.
            .with_text(&format!(r"{keys}\{}", id("c")), "installation_mode", "normal_installed")
            .with_text(&format!(r"{keys}\{}", id("d")), "installation_mode", "blocked")
            .with_text(&format!(r"{keys}\*"), "installation_mode", "force_installed")
            .with_user("S-1-5-21-1", r"D:\Homes\jane")
            .with_text(
                r"HKU\S-1-5-21-1\Software\Policies\Microsoft\Edge",
                "ExtensionSettings",
                &settings(&id("e"), "normal_installed"),
            )
            .with_key(&format!(r"HKLM\SOFTWARE\WOW6432Node\BraveSoftware\Brave-Browser\Extensions\{}", id("f")))
            .with_key(r"HKLM\SOFTWARE\BraveSoftware\Brave-Browser\NativeMessagingHosts\com.kaspersky.x.host")
    });
    let reading = read(&machine);
    let mut expected = [
        format!("{} added_by=policy browser=chrome", id("a")),
        format!("{} added_by=policy browser=brave", id("c")),
        format!("{} added_by=policy browser=edge", id("e")),
        format!("{} added_by=registry browser=brave", id("f")),
        format!("{ID} added_by=policy browser=brave"),
        "com.kaspersky.x.host browser=brave type=native-messaging-host".to_owned(),
        "k@kaspersky.com added_by=policy browser=firefox".to_owned(),
    ];
    expected.sort();
    assert_eq!(rows(&reading), expected);
    // Jane's home is on another volume.
    assert_eq!(reading.outcome, Outcome::Partial);
}

#[test]
fn a_policy_that_cannot_be_read_makes_the_source_partial() {
    let chrome = format!(r"{POLICIES}\Google\Chrome");
    let forced = |registry: crate::sources::registry::memory::MemoryRegistry| {
        registry.with_text(&format!(r"{POLICIES}\Microsoft\Edge\ExtensionInstallForcelist"), "1", ID)
    };
    let cut = Machine::new().with(|registry| forced(registry).with_text(&chrome, "ExtensionSettings", "{\"a\": {"));
    let reading = read(&cut);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
    assert_eq!(reading.reason, format!("cannot parse the policy ExtensionSettings of {chrome}"));
    let denied = Machine::new().with(|registry| forced(registry).with_error(&chrome, RegistryError::Denied));
    let reading = read(&denied);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
    // An empty policy says nothing.
    let empty = Machine::new().with(|registry| forced(registry).with_text(&chrome, "ExtensionSettings", " "));
    assert_eq!(read(&empty).outcome, Outcome::Found);
}
