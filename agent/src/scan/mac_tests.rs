//! Two Macs of one image share every digest, and nothing that is sent names a person.

use std::path::Path;

use muster_proto::model::{SourceName, UserScope};

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, text).expect("written");
}

fn list(texts: &[(&str, &str)]) -> String {
    let text = |(key, value): &(&str, &str)| {
        let value = if value.starts_with('<') { (*value).to_owned() } else { format!("<string>{value}</string>") };
        format!("<key>{key}</key>{value}")
    };
    format!("<plist><dict>{}</dict></plist>", texts.iter().map(text).collect::<String>())
}

/// A Mac of one image that one person uses. The home is the usual one, or the one that the account names.
fn mac(user: &str, home: &str, day: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let root = dir.path();
    let version = [("ProductName", "macOS"), ("ProductVersion", "14.4.1")];
    write(root, "System/Library/CoreServices/SystemVersion.plist", &list(&version));
    write(root, "Library/SystemExtensions/db.plist", &list(&[("extensions", "<array/>")]));
    write(root, "Library/LaunchAgents/.localized", "");
    write(root, "Users/Shared/.localized", "");
    let home_text = format!("<array><string>{home}</string></array>");
    write(root, &format!("private/var/db/dslocal/nodes/Default/users/{user}.plist"), &list(&[("home", &home_text)]));
    let inside = home.trim_start_matches('/');
    let application = |place: &str| {
        let maker = format!("Built in {}/src, copyright Example", home.to_uppercase());
        let texts = [("CFBundleIdentifier", "com.example.app"), ("NSHumanReadableCopyright", maker.as_str())];
        write(root, &format!("{place}/Contents/Info.plist"), &list(&texts));
        write(root, &format!("{place}/Contents/MacOS/app"), "x");
    };
    application("Applications/App.app");
    application(&format!("{inside}/Applications/Own.app"));
    let job = |label: &str, program: &str| {
        let arguments = format!("<array><string>{program}</string><string>--user={user}</string></array>");
        list(&[("Label", label), ("ProgramArguments", &arguments)])
    };
    let label = format!("com.example.{user}.agent");
    write(root, &format!("{inside}/Library/LaunchAgents/{label}.plist"), &job(&label, &format!("{home}/bin/agent")));
    write(root, &format!("{inside}/Library/LaunchAgents/damaged.{user}.plist"), "damaged");
    let elsewhere = format!("/System/Volumes/Data{home}/bin/daemon");
    write(root, "Library/LaunchDaemons/com.example.daemon.plist", &job("com.example.daemon", &elsewhere));
    write(root, &format!("{inside}/bin/agent"), "x");
    write(root, &format!("{inside}/bin/daemon"), "x");
    let date = format!("<date>2026-11-{day:02}T10:00:00Z</date>");
    let receipt = [("PackageIdentifier", "com.example.app"), ("PackageVersion", "1"), ("InstallDate", date.as_str())];
    write(root, "private/var/db/receipts/com.example.app.plist", &list(&receipt));
    let safari = "Library/Containers/com.apple.Safari/Data/Library/Safari/AppExtensions/Extensions.plist";
    let added = format!("<dict><key>AddedDate</key>{date}</dict>");
    write(root, &format!("{inside}/{safari}"), &list(&[("com.example.app.safari (ABCDE12345)", &added)]));
    write(root, &format!("Library/Managed Preferences/{user}/com.google.Chrome.plist"), "damaged");
    dir
}

#[test]
fn two_macs_of_one_image_share_every_digest() {
    let people = [("jane", "/Users/jane", 1), ("oluwaseun", "/Volumes/Homes/oluwaseun", 28)];
    let scans = people.map(|(user, home, day)| {
        let dir = mac(user, home, day);
        let options = ScanOptions { user_scope: UserScope::All, user_key: Some([7; 32]), ..ScanOptions::default() };
        let result = scan_root(Root::below(dir.path()).expect("a root"), &options);
        for section in &result.sections {
            let text = String::from_utf8_lossy(&section.canonical).to_lowercase();
            for private in [user, "homes", "2026"] {
                assert!(!text.contains(private), "{private} in {}: {text}", section.source);
            }
        }
        let sent = serde_json::to_string(&(&result.state, result.snapshot.entries())).expect("encodes");
        assert!(!sent.contains(user), "{sent}");
        result
    });
    let [one, two] = scans;
    for source in [SourceName::AppBundles, SourceName::Launchd, SourceName::Receipts, SourceName::BrowserExtensions] {
        assert!(one.section(source).is_some(), "{source}: {:?}", one.snapshot);
    }
    assert_eq!(one.digest(), two.digest(), "{:?}\n{:?}", one.snapshot, two.snapshot);
    assert_eq!(one.sections, two.sections);
    assert!(!one.state.user_items.is_empty());
}
