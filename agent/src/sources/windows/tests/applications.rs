//! Installed programs: uninstall entries, Windows Installer, packages and tasks.

use muster_proto::model::Outcome;

use super::{Machine, rows};
use crate::sources::parse::windows::task::tests::program;
use crate::sources::registry::{Value, kind};
use crate::sources::windows::{appx::appx, msi::msi, scheduled_tasks::scheduled_tasks, uninstall_keys::uninstall_keys};

const UNINSTALL: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";
const UNINSTALL_32: &str = r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall";
const CODE: &str = "{2924BEDA-E0D7-4DAF-A224-50D2E0B12F5B}";

#[test]
fn programs_of_both_views_and_of_every_user_are_listed() {
    let of_user = r"HKU\S-1-5-21-1\Software\Microsoft\Windows\CurrentVersion\Uninstall";
    let machine = Machine::new().file("Program Files/Here/x.exe", "MZ").with(|registry| {
        registry
            .with_text(&format!("{UNINSTALL}\\Here"), "DisplayName", " Kaspersky \u{448} ")
            .with_text(&format!("{UNINSTALL}\\Here"), "Publisher", "AO Kaspersky Lab")
            .with_text(&format!("{UNINSTALL}\\Here"), "InstallLocation", "\"C:\\Program Files\\Here\\\"")
            .with_text(&format!("{UNINSTALL_32}\\Gone"), "DisplayName", "Gone")
            .with_text(&format!("{UNINSTALL_32}\\Gone"), "InstallLocation", r"C:\Program Files (x86)\Gone")
            .with_text(&format!("{UNINSTALL_32}\\Elsewhere"), "InstallLocation", r"D:\Elsewhere")
            .with_text(&format!("{UNINSTALL_32}\\Part"), "ParentKeyName", "Here")
            .with_number(&format!("{UNINSTALL_32}\\Part"), "SystemComponent", 1)
            .with_user("S-1-5-21-1", r"C:\Users\jane")
            .with_text(&format!("{of_user}\\Own"), "DisplayName", "Own")
            .with_user("S-1-5-21-2", r"C:\Users\ola")
            .with_text(&format!("{}\\Own", of_user.replace("21-1", "21-2")), "DisplayName", "Own")
    });
    let reading = machine.read(uninstall_keys);
    let expected = [
        "Elsewhere path=D:\\Elsewhere scope=machine view=32",
        "Gone path=C:\\Program Files (x86)\\Gone state=missing scope=machine view=32",
        "Kaspersky \u{448} vendor=AO Kaspersky Lab id=Here path=C:\\Program Files\\Here\\ scope=machine view=64",
        "Own scope=user view=64",
        "Part hidden=system-component parent=Here scope=machine view=32",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
    let homes: Vec<&str> = reading.home_items.iter().map(|item| item.home.as_str()).collect();
    assert_eq!(homes, [r"C:\Users\jane", r"C:\Users\ola"]);
}

#[test]
fn two_entries_of_one_product_code_are_one_and_two_products_stay_two() {
    let bundle = format!("{UNINSTALL_32}\\InstallWIX_{CODE}");
    let hidden = format!("{UNINSTALL}\\{CODE}");
    let machine = Machine::new().with(|registry| {
        registry
            .with_text(&hidden, "DisplayName", "Kaspersky Security Center Network Agent")
            .with_number(&hidden, "SystemComponent", 1)
            .with_text(&bundle, "DisplayName", "Kaspersky Security Center Network Agent")
            .with_text(&bundle, "DisplayVersion", "14.2")
    });
    let expected = format!("Kaspersky Security Center Network Agent version=14.2 id={CODE} scope=machine view=64, 32");
    assert_eq!(rows(&machine.read(uninstall_keys)), [expected]);
    let unnamed = Machine::new().with(|registry| registry.with_key(UNINSTALL).with_key(&bundle));
    assert_eq!(rows(&unnamed.read(uninstall_keys)), [format!("InstallWIX_{CODE} id={CODE} scope=machine view=32")]);
    let other = machine.with(|registry| registry.with_text(&format!("{UNINSTALL_32}\\{CODE}"), "DisplayName", "Other"));
    assert_eq!(rows(&other.read(uninstall_keys)).len(), 2);
}

#[test]
fn installer_products_have_their_codes_and_an_upgrade_table_proves_nothing() {
    let installer = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer";
    let packed = "349E1197CC230D542AC9656EFE672257";
    let record = format!(r"{installer}\UserData\S-1-5-18\Products\{packed}\InstallProperties");
    let machine = Machine::new().with(|registry| {
        registry
            .with_text(&record, "DisplayName", "Kaspersky Endpoint Security 10")
            .with_text(&record, "Publisher", "Kaspersky Lab")
            .with_text(&record, "InstallLocation", r"C:\Program Files\Gone")
            .with_text(&format!(r"{installer}\UpgradeCodes\9A253204F7FADCBCC260DAF609E13D53"), packed, "")
            .with_text(&format!(r"{installer}\UpgradeCodes\9A253204F7FADCBCC260DAF609E13D53"), &"1".repeat(32), "")
            .with_text(&format!(r"HKLM\SOFTWARE\Classes\Installer\Products\{packed}"), "ProductName", "the same")
            .with_text(&format!(r"HKLM\SOFTWARE\Classes\Installer\Products\{}", "2".repeat(32)), "ProductName", "Other")
            .with_number(
                &format!(r"HKLM\SOFTWARE\Classes\Installer\Products\{}", "2".repeat(32)),
                "Version",
                0x0c03_01ed,
            )
    });
    let reading = machine.read(msi);
    let expected = [
        "Kaspersky Endpoint Security 10 vendor=Kaspersky Lab id={7911E943-32CC-45D0-A29C-56E6EF762275} \
         path=C:\\Program Files\\Gone state=missing scope=machine upgrade_code={402352A9-AF7F-CBCD-2C06-AD6F901ED335}",
        "Other version=12.3.493 id={22222222-2222-2222-2222-222222222222} scope=machine",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
    let record_broken = Machine::new().with(|registry| {
        let broken = crate::sources::registry::RegistryError::broken("SOFTWARE", "cell 0x40");
        registry.with_key(&record).with_error(&record, broken)
    });
    assert_eq!(record_broken.read(msi).outcome, Outcome::Partial, "of a record that cannot be read the code is known");
}

#[test]
fn packages_of_all_places_are_one_row_each() {
    let store = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore";
    let of_user =
        r"HKU\S-1-5-21-1_Classes\Local Settings\Software\Microsoft\Windows\CurrentVersion\AppModel\Repository\Packages";
    let (vpn, gone, staged) = (
        "K.VPN_1.2.3.0_x64__8jx5e25qw3tdc",
        "K.Gone_1.0.0.0_x86__8jx5e25qw3tdc",
        "K.Staged_2.0.0.0_x64__8jx5e25qw3tdc",
    );
    let machine = Machine::new()
        .file(&format!("Program Files/WindowsApps/{vpn}/AppxManifest.xml"), "")
        .file(&format!("Program Files/WindowsApps/{staged}/AppxManifest.xml"), "")
        .with(|registry| {
            registry
                .with_key(&format!(r"{store}\Applications\{gone}"))
                .with_key(&format!(r"{store}\Deleted\Deleted_1.0.0.0_x64__8jx5e25qw3tdc"))
                .with_user("S-1-5-21-1", r"C:\Users\jane")
                .with_text(&format!(r"{of_user}\{vpn}"), "DisplayName", "Kaspersky VPN")
        });
    let expected = [
        format!("K.Gone version=1.0.0.0 state=missing architecture=x86 full_name={gone} registered=all-users"),
        format!(
            "K.Staged version=2.0.0.0 path=C:\\Program Files\\WindowsApps\\{staged} architecture=x64 full_name={staged}"
        ),
        format!(
            "Kaspersky VPN version=1.2.3.0 id=K.VPN path=C:\\Program Files\\WindowsApps\\{vpn} architecture=x64 \
             full_name={vpn} registered=user"
        ),
    ];
    assert_eq!(rows(&machine.read(appx)), expected);
    // Where a package was moved, or registered from.
    for (folder, row) in [
        (r"D:\WindowsApps\K", Some(r"path=D:\WindowsApps\K".to_owned())),
        (r"C:\Loose", Some(r"path=C:\Loose".to_owned())),
        (r"C:\Nowhere", None),
    ] {
        let machine = Machine::new().file("Loose/AppxManifest.xml", "").with(|registry| {
            let key = format!(r"{of_user}\{gone}");
            registry.with_user("S-1-5-21-1", r"C:\Users\jane").with_text(&key, "PackageRootFolder", folder)
        });
        let shown = row.unwrap_or_else(|| "state=missing".to_owned());
        let expected = format!("K.Gone version=1.0.0.0 {shown} architecture=x86 full_name={gone} registered=user");
        assert_eq!(rows(&machine.read(appx)), [expected]);
    }
    assert_eq!(Machine::new().read(appx).outcome, Outcome::NotApplicable);
}

#[test]
fn packages_are_where_their_manifest_is() {
    let store = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore";
    let name = |short: &str| format!("{short}_1.0.0.0_x64__8jx5e25qw3tdc");
    let [inbox, moved, stale, bundle, staged, own] =
        ["K.Inbox", "K.Moved", "K.Stale", "K.Bundle", "K.Staged", "K.Own"].map(name);
    let machine = Machine::new()
        .file("Windows/ImmersiveApps/K/AppxManifest.xml", "")
        .file("Apps/Bundle/AppxMetadata/AppxBundleManifest.xml", "")
        .file("Programs/WindowsApps/K.Staged_1.0.0.0_x64__8jx5e25qw3tdc/AppxManifest.xml", "")
        .with(|registry| {
            let path = |list: &str, name: &str| format!(r"{store}\{list}\{name}");
            registry
                .with_text(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion", "ProgramFilesDir", r"C:\Programs")
                .with_text(&path("InboxApplications", &inbox), "Path", r"C:\Windows\ImmersiveApps\K\AppxManifest.xml")
                .with_text(&path("Applications", &moved), "Path", r"D:\WindowsApps\K.Moved\AppxManifest.xml")
                .with_text(&path("Applications", &stale), "Path", r"C:\Programs\WindowsApps\K.Stale\AppxManifest.xml")
                .with_text(
                    &path("Applications", &bundle),
                    "Path",
                    r"C:\Apps\Bundle\AppxMetadata\AppxBundleManifest.xml",
                )
                .with_text(
                    &path(r"Staged\K.Staged_8jx5e25qw3tdc", &staged),
                    "Path",
                    r"C:\Programs\WindowsApps\K.Staged_1.0.0.0_x64__8jx5e25qw3tdc\AppxManifest.xml",
                )
                .with_key(&path("S-1-5-21-1-2-3-1001", &own))
        });
    let reading = machine.read(appx);
    let row = |name: &str, place: &str, registered: &str| {
        let full = format!("{name}_1.0.0.0_x64__8jx5e25qw3tdc");
        format!("{name} version=1.0.0.0 {place} architecture=x64 full_name={full} registered={registered}")
    };
    let expected = [
        row("K.Bundle", r"path=C:\Apps\Bundle", "all-users"),
        row("K.Inbox", r"path=C:\Windows\ImmersiveApps\K", "all-users"),
        // Nothing on another volume is missing.
        row("K.Moved", r"path=D:\WindowsApps\K.Moved", "all-users"),
        row("K.Own", "state=missing", "user"),
        row("K.Staged", &format!(r"path=C:\Programs\WindowsApps\{staged}"), "staged"),
        row("K.Stale", "state=missing", "all-users"),
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.to_vec(), Outcome::Found));
}

#[test]
fn tasks_are_read_from_the_cache_and_completed_from_their_files() {
    let cache = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache";
    let action =
        |text: &str| Value { name: "Actions".to_owned(), kind: kind::BINARY, data: program(text, "--user jane") };
    let xml = |command: &str| {
        format!("<Task><Actions><Exec><Command>{command}</Command><Arguments>-x</Arguments></Exec></Actions></Task>")
    };
    let machine = Machine::new()
        .file("Kaspersky Lab/avp.exe", "MZ")
        .file("Windows/System32/Tasks/Folder/Update", xml(r"C:\Kaspersky Lab\avp.exe"))
        .file("Windows/System32/Tasks/Damaged", xml(r"C:\Kaspersky Lab\gone.exe"))
        .with(|registry| {
            registry
                .with_text(&format!(r"{cache}\Tree\Kaspersky\Scan"), "Id", "{1}")
                .with_value(&format!(r"{cache}\Tasks\{{1}}"), action("\"C:\\Kaspersky Lab\\avp.exe\""))
                .with_text(&format!(r"{cache}\Tree\Damaged"), "Id", "{2}")
                .with_key(&format!(r"{cache}\Tasks\{{2}}"))
        });
    let reading = machine.read(scheduled_tasks);
    let expected = [
        "Damaged id=\\Damaged path=C:\\Kaspersky Lab\\gone.exe state=binary-missing",
        "Scan id=\\Kaspersky\\Scan path=C:\\Kaspersky Lab\\avp.exe",
        "Update id=\\Folder\\Update path=C:\\Kaspersky Lab\\avp.exe",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
    // What upgrades of Windows leave behind starts nothing.
    let left = machine
        .file("Windows/System32/Tasks/Empty", "")
        .file("Windows/System32/Tasks/Foreign", "MZ")
        .with(|registry| registry.with_text(&format!(r"{cache}\Tree\Left"), "Id", "{3}"));
    let reading = left.read(scheduled_tasks);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Found, 6), "{}", reading.reason);
    assert!(rows(&reading).contains(&r"Left id=\Left".to_owned()));
    let cut = Machine::new().file("Windows/System32/Tasks/Cut", "<Task><Regis").read(scheduled_tasks);
    assert_eq!((cut.outcome, cut.observations.len()), (Outcome::Partial, 1));
    let key = format!(r"{cache}\Tasks\{{3}}");
    let unknown = Machine::new()
        .with(|registry| registry.with_text(&format!(r"{cache}\Tree\Unknown"), "Id", "{3}").with_key(&key));
    let reading = unknown.read(scheduled_tasks);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
    assert!(reading.reason.contains(r"\Unknown"), "{}", reading.reason);
}

#[test]
fn a_product_without_properties_and_a_package_with_another_name_have_what_is_known_of_them() {
    let products = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UserData\S-1-5-18\Products";
    let (bare, advertised) = ("349E1197CC230D542AC9656EFE672257", "449E1197CC230D542AC9656EFE672257");
    let machine = Machine::new().with(|registry| {
        registry
            .with_key(&format!(r"{products}\{bare}\Features"))
            .with_key(&format!(r"{products}\{advertised}\Features"))
            .with_text(&format!(r"HKLM\SOFTWARE\Classes\Installer\Products\{advertised}"), "ProductName", "Agent")
    });
    let code = "{7911E943-32CC-45D0-A29C-56E6EF762275}";
    let rows_of = rows(&machine.read(msi));
    assert!(rows_of[0].starts_with("Agent id={7911E944-"), "{rows_of:?}");
    assert_eq!(rows_of[1..], [format!("{code} scope=machine")]);
    let store = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore\Applications\Strange.Name";
    let machine = Machine::new().with(|registry| registry.with_key(store));
    assert_eq!(rows(&machine.read(appx)), ["Strange.Name registered=all-users"]);
}
