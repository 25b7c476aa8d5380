//! Places that say where programs are, what browsers must install and what drives devices: each planted on a machine, scanned,
//! and judged.

use anyhow::Result;
use serde_json::{Value, json};

use super::has_hivex;
use super::planting::{JANE, Machine, SOFTWARE, SYSTEM};
use super::verdicts::{Case, check};

/// Kaspersky Protection in the store of Chrome. Its id alone is weak evidence: a policy has no name.
const EXTENSION: &str = "ahkjpbeeocnddjkakilopmfdlnjdpcdm";
/// An add-on of Kaspersky for Firefox.
const ADD_ON: &str = "light_plugin_D772DC8D6FAF43A29B25C4EBAA5AD1DE@kaspersky.com";
const MOUSE: &str = r"ControlSet001\Control\Class\{4d36e96f-e325-11ce-bfc1-08002be10318}";
const VOLUME: &str = r"ControlSet001\Control\Class\{71a27cdd-812a-11d0-bec7-08002be2092f}";
const MULTI_SZ: u32 = 7;

fn case(name: &str, presence: &'static str, lane: &'static str, plant: impl FnOnce(&mut Machine)) -> Case {
    let mut machine = Machine::desktop();
    plant(&mut machine);
    Case { name: name.to_owned(), machine, presence, protection: "", lane, advice: &[] }
}

/// A value with several texts.
fn list(texts: &[&str]) -> Vec<u8> {
    let text = texts.iter().flat_map(|text| [text, "\0"]).collect::<String>() + "\0";
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A text as a value of the registry has it.
fn settings(id: &str, mode: &str) -> String {
    json!({ "*": { "installation_mode": "blocked" }, id: { "installation_mode": mode } }).to_string()
}

#[test]
fn folders_of_programs_and_of_packages_are_those_of_the_registry() -> Result<()> {
    if !has_hivex()? {
        return Ok(());
    }
    let current = r"Microsoft\Windows\CurrentVersion";
    let store = format!(r"{current}\Appx\AppxAllUserStore\Applications");
    let moved = |machine: &mut Machine| {
        machine.text(SOFTWARE, current, "ProgramFilesDir", r"C:\Programme");
        machine.service("AVP21.3", "", 16, r#""%ProgramFiles%\Kaspersky Lab\avp.exe" -r"#);
    };
    let package = |machine: &mut Machine, folder: &str| {
        let key = format!(r"{store}\Kaspersky.KasperskyVPN_1.2.3.0_x64__8jx5e25qw3tdc");
        machine.text(SOFTWARE, &key, "Path", &format!(r"C:\{folder}\AppxManifest.xml"));
    };
    check(&[
        case("a service in a moved folder of programs is there", "installed", "replace", |machine| {
            moved(machine);
            machine.program("Programme/Kaspersky Lab/avp.exe");
        }),
        case("a service whose program is gone from the moved folder is a remnant", "remnant", "protect", |machine| {
            moved(machine);
            // Where it would be if nobody had moved the folder.
            machine.program("Program Files/Kaspersky Lab/avp.exe.txt");
        }),
        case("a package is where its manifest is", "installed", "replace", |machine| {
            package(machine, "Apps/VPN");
            machine.file("Apps/VPN/AppxManifest.xml", b"<Package/>");
        }),
        case("a package whose manifest is gone is a remnant", "remnant", "protect", |machine| {
            package(machine, "Apps/VPN");
        }),
    ])
}

#[test]
fn a_class_of_devices_that_names_a_driver_that_is_gone_is_a_remnant() -> Result<()> {
    if !has_hivex()? {
        return Ok(());
    }
    let mouse = |machine: &mut Machine| {
        machine.text(SYSTEM, MOUSE, "Class", "Mouse");
        machine.value(SYSTEM, MOUSE, "UpperFilters", MULTI_SZ, list(&["klmouflt", "mouclass"]));
        machine.service("mouclass", "", 1, r"\SystemRoot\System32\drivers\mouclass.sys");
        machine.program("Windows/System32/drivers/mouclass.sys");
    };
    let gone = Case {
        advice: &["Do not delete klmouflt", "remove only the name of the leftover driver from UpperFilters"],
        ..case("the mouse filter is gone and its class names it", "remnant", "protect", mouse)
    };
    let volume = Case {
        advice: &["nor the key of the class", "no device of the class works without the driver"],
        ..case("a filter of volumes is gone and their class names it", "remnant", "protect", |machine| {
            machine.value(SYSTEM, VOLUME, "LowerFilters", MULTI_SZ, list(&["fvevol", "kl1"]));
        })
    };
    let there = case("the mouse filter of an installed product", "installed", "replace", |machine| {
        mouse(machine);
        machine.service("klif", "", 2, "");
        machine.program("Windows/System32/drivers/klif.sys");
        machine.service("klmouflt", "", 1, r"\SystemRoot\System32\drivers\klmouflt.sys");
        machine.program("Windows/System32/drivers/klmouflt.sys");
    });
    let plain = case("the classes of a machine without a product", "none", "clear", |machine| {
        machine.value(SYSTEM, MOUSE, "UpperFilters", MULTI_SZ, list(&["mouclass"]));
        machine.value(SYSTEM, VOLUME, "LowerFilters", MULTI_SZ, list(&["fvevol", "iorate", "rdyboost"]));
    });
    check(&[gone, volume, there, plain])
}

#[test]
fn extensions_that_a_policy_forces_and_those_of_firefox_from_the_store_are_found() -> Result<()> {
    if !has_hivex()? {
        return Ok(());
    }
    let add_ons = |id: &str| -> Vec<u8> {
        let add_on: Value =
            json!({ "id": id, "version": "7.4", "type": "extension", "location": "app-profile", "active": true });
        json!({ "addons": [add_on] }).to_string().into_bytes()
    };
    let profiles =
        "Users/jane/AppData/Local/Packages/Mozilla.Firefox_n80bbvh6b1yt2/LocalCache/Roaming/Mozilla/Firefox/Profiles";
    check(&[
        case("Brave must install it", "suspect", "unknown", |machine| {
            machine.text(
                SOFTWARE,
                r"Policies\BraveSoftware\Brave",
                "ExtensionSettings",
                &settings(EXTENSION, "force_installed"),
            );
        }),
        case("Edge of one user must install it", "suspect", "unknown", |machine| {
            let key = format!(r"Software\Policies\Microsoft\Edge\ExtensionSettings\{EXTENSION}");
            machine.text(JANE, &key, "installation_mode", "normal_installed");
        }),
        case("Chrome must not install it", "none", "clear", |machine| {
            machine.text(SOFTWARE, r"Policies\Google\Chrome", "ExtensionSettings", &settings(EXTENSION, "blocked"));
        }),
        case("Firefox from the Store has it", "remnant", "protect", |machine| {
            let file = format!("{profiles}/a.default/extensions.json");
            machine.file(&file, &add_ons(ADD_ON));
        }),
        case("Firefox must install it", "remnant", "protect", |machine| {
            let policy = settings(ADD_ON, "force_installed");
            machine.value(SOFTWARE, r"Policies\Mozilla\Firefox", "ExtensionSettings", MULTI_SZ, list(&[&policy]));
        }),
        case("Firefox may install it", "none", "clear", |machine| {
            let policy = settings(ADD_ON, "allowed");
            machine.value(SOFTWARE, r"Policies\Mozilla\Firefox", "ExtensionSettings", MULTI_SZ, list(&[&policy]));
        }),
    ])
}
