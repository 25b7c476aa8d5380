//! Tests of `receipts`.

use muster_proto::model::Outcome;

use super::machine::{Mac, dictionary, rows};
use crate::sources::macos::receipts::Receipts;

const APP: &[&str] =
    &["./Applications/Kaspersky.app/Contents/Info.plist", "./Library/LaunchDaemons/com.kaspersky.plist"];

#[test]
fn a_receipt_whose_files_are_all_gone_is_left_over() {
    let installed = Mac::new()
        .receipt("com.kaspersky.kav.core", APP)
        .application("Applications/Kaspersky.app", "com.kaspersky.kav", "1")
        .receipt("com.kaspersky.klnagent.core", &[]);
    let core = "com.kaspersky.kav.core | com.kaspersky.kav.core | 1.2 | ";
    let agent = "com.kaspersky.klnagent.core | com.kaspersky.klnagent.core | 1.2 | ";
    assert_eq!(rows(&installed.read(&Receipts)), [core, agent]);
    // Deleted by hand: the application is gone, and its receipt is not.
    let removed = installed.without("Applications/Kaspersky.app");
    assert_eq!(rows(&removed.read(&Receipts)), [format!("{core}missing").as_str(), agent]);
    let one_is_left = removed.file("Library/LaunchDaemons/com.kaspersky.plist", "x");
    assert_eq!(rows(&one_is_left.read(&Receipts)), [core, agent]);
}

#[test]
fn while_it_is_unknown_what_was_installed_a_receipt_counts() {
    let damaged =
        Mac::new().receipt("com.example.x", APP).file("private/var/db/receipts/com.example.x.bom", "BOMStore");
    assert_eq!(rows(&damaged.read(&Receipts)), ["com.example.x | com.example.x | 1.2 | "]);
    for (prefix, state) in [
        ("/", ""),
        ("/Applications", ""),
        ("/Applications/Gone.app", "missing"),
        ("Library/Caches/com.microsoft.autoupdate.helper/Clones.noindex", ""),
    ] {
        let texts = [("PackageIdentifier", "com.example.x"), ("InstallPrefixPath", prefix)];
        let reading = Mac::new().list("private/var/db/receipts/com.example.x.plist", &texts).read(&Receipts);
        assert_eq!(reading.observations[0].state, state, "{prefix}");
    }
    let without_place = [("PackageIdentifier", "com.example.x"), ("PackageVersion", "1")];
    let place = "private/var/db/receipts/com.example.x.plist";
    let reading = Mac::new().receipt("com.example.x", APP).list(place, &without_place).read(&Receipts);
    assert_eq!(rows(&reading), ["com.example.x | com.example.x | 1 | "]);
    assert_eq!(reading.reason, format!("/{place} has no InstallPrefixPath, but every receipt has one"));
    let only_bom = Mac::new().receipt("com.kaspersky.x", APP).without("private/var/db/receipts/com.kaspersky.x.plist");
    assert_eq!(rows(&only_bom.read(&Receipts)), ["com.kaspersky.x | com.kaspersky.x |  | "]);
}

#[test]
fn receipts_of_old_systems_and_the_history_are_read() {
    let entry = |name: &str, ids: &[&str]| {
        let ids: String = ids.iter().map(|id| format!("<string>{id}</string>")).collect();
        let ids = format!("<array>{ids}</array>");
        let texts = [("displayName", name), ("displayVersion", "21"), ("packageIdentifiers", &ids)];
        let plist = dictionary(&texts);
        plist[plist.find("<dict>").expect("a list")..].replace("</plist>", "")
    };
    let history = [
        entry("Kaspersky Internet Security", &["com.kaspersky.kav.core", "com.kaspersky.kav.oas"]),
        entry("macOS 14.4", &["com.apple.pkg.update.os.14.4"]),
        entry("Known", &["com.example.known"]),
        entry("Kaspersky Security Cloud", &[]),
    ];
    let mac = Mac::new()
        .receipt("com.example.known", &[])
        .list("Library/Receipts/oas.pkg/Contents/Info.plist", &[("CFBundleIdentifier", "com.kaspersky.kav.oas.old")])
        .folder("Library/Receipts/Core.pkg/Contents")
        .file("Library/Receipts/InstallHistory.plist", format!("<plist><array>{}</array></plist>", history.concat()));
    let reading = mac.read(&Receipts);
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    assert_eq!(
        rows(&reading),
        [
            "Core.pkg |  |  | ",
            "Kaspersky Internet Security | com.kaspersky.kav.core | 21 | missing",
            "Kaspersky Internet Security | com.kaspersky.kav.oas | 21 | missing",
            "Kaspersky Security Cloud |  | 21 | missing",
            "com.example.known | com.example.known | 1.2 | ",
            "oas.pkg | com.kaspersky.kav.oas.old |  | ",
        ]
    );
}

#[test]
fn a_mac_without_receipts_was_not_copied_completely() {
    let reading = Mac::new().without("private/var/db/receipts").folder("private/var/db/dslocal/nodes").read(&Receipts);
    assert_eq!(reading.outcome, Outcome::Failed);
    let damaged = Mac::new().file("private/var/db/receipts/com.kaspersky.kav.core.plist", "damaged");
    let reading = damaged.read(&Receipts);
    assert_eq!(
        (reading.outcome, rows(&reading)[0].as_str()),
        (Outcome::Partial, "com.kaspersky.kav.core | com.kaspersky.kav.core |  | ")
    );
}
