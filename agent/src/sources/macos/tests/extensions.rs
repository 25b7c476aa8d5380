//! Tests of `system-extensions`.

use muster_proto::model::Outcome;

use super::machine::{Listed, Mac, extensions_db, one, rows, staged};
use crate::sources::macos::state;
use crate::sources::macos::system_extensions::SystemExtensions;

const DATABASE: &str = "Library/SystemExtensions/db.plist";
const FALCON: Listed = Listed {
    team: "X9E956P446",
    id: "com.crowdstrike.falcon.Agent",
    category: "endpoint_security",
    state: "activated_enabled",
};
const LULU: Listed = Listed {
    team: "VBG97UB4TA",
    id: "com.objective-see.lulu.extension",
    category: "network_extension",
    state: "activated_enabled",
};

fn mac(listed: &[Listed]) -> Mac {
    let mac = Mac::new().file(DATABASE, extensions_db(listed));
    listed.iter().fold(mac, |mac, one| mac.folder(&staged(one.id)))
}

fn evidence(mac: &Mac) -> Vec<String> {
    let found = state::extensions(&mac.context(muster_proto::model::Watchlist::default()));
    found.into_iter().map(|one| one.place).collect()
}

#[test]
fn each_row_of_an_extension_is_kept_with_its_state() {
    let waiting = Listed { state: "terminated_waiting_to_uninstall_on_reboot", ..FALCON };
    let mac = mac(&[FALCON, waiting, LULU]);
    let reading = mac.read(&SystemExtensions);
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    let falcon = "X9E956P446.com.crowdstrike.falcon.Agent | X9E956P446 | 7.10 | ";
    assert_eq!(
        rows(&reading),
        [
            "VBG97UB4TA.com.objective-see.lulu.extension | VBG97UB4TA | 7.10 | activated_enabled".to_owned(),
            format!("{falcon}activated_enabled"),
            format!("{falcon}terminated_waiting_to_uninstall_on_reboot"),
        ]
    );
    assert_eq!(reading.observations[0].attributes["category"], "network_extension");
    // A firewall is no protection, and neither is an extension that waits for its removal.
    assert_eq!(evidence(&mac), ["sysext:com.crowdstrike.falcon.Agent"]);
    assert_eq!(state::is_restart_pending(&mac.context(muster_proto::model::Watchlist::default())), Some(true));
}

#[test]
fn an_extension_whose_copy_is_gone_is_left_over() {
    let mac = mac(&[FALCON]).without(&staged(FALCON.id));
    let seen = mac.read(&SystemExtensions).observations.remove(0);
    assert_eq!((seen.state.as_str(), seen.attributes["listed_state"].as_str()), ("missing", "activated_enabled"));
    assert_eq!(evidence(&mac), [""; 0]);
}

#[test]
fn a_mac_without_its_list_was_not_read() {
    let mac = Mac::new().without(DATABASE);
    let reading = mac.read(&SystemExtensions);
    assert_eq!(reading.outcome, Outcome::Failed);
    assert_eq!(reading.reason, "/Library/SystemExtensions/db.plist is missing, but macOS 10.15 and later have it");
    let version = "System/Library/CoreServices/SystemVersion.plist";
    assert_eq!(mac.list(version, &[("ProductVersion", "10.14.6")]).read(&SystemExtensions).outcome, Outcome::Empty);
    for damaged in ["x", "<plist><dict/></plist>", "<plist><array/></plist>"] {
        assert_eq!(Mac::new().file(DATABASE, damaged).read(&SystemExtensions).outcome, Outcome::Failed, "{damaged}");
    }
    assert_eq!(Mac::new().read(&SystemExtensions).outcome, Outcome::Empty);
}

#[test]
fn kernel_extensions_are_found_in_every_place() {
    let kext = |mac: Mac, path: &str, id: &str| {
        mac.list(&format!("{path}/Contents/Info.plist"), &[("CFBundleIdentifier", id)])
    };
    let mac = kext(Mac::new(), "Library/Extensions/klif.kext", "com.kaspersky.kext.klif");
    let mac = kext(mac, "System/Library/Extensions/AppleAHCI.kext", "com.apple.driver.AppleAHCI");
    let mac = kext(mac, "Library/StagedExtensions/Library/Extensions/kimul.kext", "com.kaspersky.kext.kimul");
    let mac = kext(mac, "Library/Extensions/X.kext/Contents/PlugIns/Y.kext", "com.example.y");
    let reading = mac.folder("System/Library/Extensions/klnke.kext").read(&SystemExtensions);
    let names: Vec<&str> = reading.observations.iter().map(|one| one.name.as_str()).collect();
    let expected = ["X.kext", "com.example.y", "com.kaspersky.kext.kimul", "com.kaspersky.kext.klif", "klnke.kext"];
    assert_eq!(names, expected);
    assert_eq!(one(&reading, "klnke.kext").path, "/System/Library/Extensions/klnke.kext");
}
