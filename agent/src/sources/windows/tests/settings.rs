//! What Windows and products state: edition, keys of the watchlist, Defender, Security Center, certificates and host state.

use muster_proto::model::{Outcome, Timestamp};

use super::{Machine, VERSION, rows, wmi};
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::registry::{Value, kind};
use crate::sources::windows::state::{realtime::evidence, reboot::is_pending, signatures::signatures};
use crate::sources::windows::{
    defender::defender, host::host, registry_keys::registry_keys, security_center::security_center,
};
use crate::sources::wmi::Wmi;

const PRODUCT: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions";

fn of_kind(registry: MemoryRegistry, product_type: &str) -> MemoryRegistry {
    registry.with_text(PRODUCT, "ProductType", product_type)
}

#[test]
fn the_build_and_not_the_name_says_which_windows_it_is() {
    let machine = Machine::new().with(|registry| {
        of_kind(registry, "WinNT")
            .with_text(VERSION, "ProductName", "Windows 10 Pro")
            .with_text(VERSION, "CurrentBuildNumber", "22631")
            .with_text(VERSION, "EditionID", "Professional")
            .with_number(VERSION, "CurrentMajorVersionNumber", 10)
            .with_number(VERSION, "CurrentMinorVersionNumber", 0)
            .with_number(VERSION, "UBR", 4317)
            .with_text(
                r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment",
                "PROCESSOR_ARCHITECTURE",
                "AMD64",
            )
    });
    let reading = machine.read(host);
    let expected = [
        "windows version=10.0.22631.4317 edition=Professional pretty_name=Windows 11 Professional 23H2 \
         product_type=workstation release=23H2",
        "x86_64",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
    assert_eq!(Machine::new().read(host).outcome, Outcome::Failed);
}

#[test]
fn keys_of_the_watchlist_are_found_in_both_views_and_in_every_hive() {
    let machine = Machine::new().with(|registry| {
        registry
            .with_key(r"HKLM\SYSTEM\Select")
            .with_text(r"HKLM\SOFTWARE\WOW6432Node\KasperskyLab\AVP15.0.0\environment", "ProductName", "x")
            .with_key(r"HKLM\SOFTWARE\KasperskyLab\protected\AVP9\environment")
            .with_user("S-1-5-21-1", r"C:\Users\jane")
            .with_text(r"HKU\S-1-5-21-1\Software\KasperskyLab\AVP6", "x", "y")
    });
    let patterns = [
        "HKLM/SOFTWARE/KasperskyLab",
        "HKLM\\SOFTWARE\\KasperskyLab\\*\\avp*\\environment",
        "HKLM/SOFTWARE/kasperskylab/AVP*",
        "hkcu/software/KasperskyLab/*",
        "HKLM/SOFTWARE/Absent/*",
    ];
    let reading = machine.read(|reader| registry_keys(reader, &patterns.map(str::to_owned)));
    let expected = [
        r"HKCU\Software\KasperskyLab\AVP6",
        r"HKLM\SOFTWARE\KasperskyLab",
        r"HKLM\SOFTWARE\KasperskyLab\protected\AVP9\environment state=no-files",
        r"HKLM\SOFTWARE\WOW6432Node\KasperskyLab",
        r"HKLM\SOFTWARE\WOW6432Node\KasperskyLab\AVP15.0.0",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
    assert_eq!(reading.home_items.len(), 1);
    assert!(!reading.reason.contains("S-1-5"), "{}", reading.reason);
}

#[test]
fn defender_is_never_complete_without_the_running_system() {
    let machine = Machine::new().with(|registry| {
        registry
            .with_text(
                r"HKLM\SOFTWARE\Microsoft\Windows Defender",
                "InstallLocation",
                r"C:\ProgramData\X\Platform\4.18\",
            )
            .with_number(
                r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection",
                "ForceDefenderPassiveMode",
                1,
            )
            .with_number(r"HKLM\SOFTWARE\Microsoft\Windows Defender", "DisableAntiSpyware", 0)
    });
    let reading = machine.read(|reader| defender(reader, &Wmi::default()));
    let expected = "Microsoft Defender Antivirus vendor=Microsoft Corporation path=C:\\ProgramData\\X\\Platform \
                    state=Passive Mode passive_by_policy=yes";
    assert_eq!((rows(&reading), reading.outcome), (vec![expected.to_owned()], Outcome::Partial));
    assert_eq!(Machine::new().read(|reader| defender(reader, &Wmi::default())).outcome, Outcome::NotApplicable);
}

#[test]
fn security_center_is_answered_copied_or_not_applicable() {
    let provider = r"HKLM\SOFTWARE\Microsoft\Security Center\Provider\Av\{1}";
    let machine = Machine::new().file("avp/avp.exe", "MZ").with(|registry| {
        of_kind(registry, "WinNT")
            .with_text(provider, "DISPLAYNAME", "Kaspersky")
            .with_text(provider, "REPORTINGEXE", r"C:\gone\avp.exe")
            .with_number(provider, "STATE", 266_240)
    });
    let copied = machine.read(|reader| security_center(reader, &Wmi::default()));
    let expected =
        "Kaspersky id={1} path=C:\\gone\\avp.exe state=orphaned category=antivirus product_state=266240".to_owned();
    assert_eq!((rows(&copied), copied.outcome), (vec![expected], Outcome::Partial));
    let recorded = r#"{"class":"root\\SecurityCenter2:AntiVirusProduct","row":{"displayName":"Kaspersky","productState":266240,"pathToSignedReportingExe":"C:\\avp\\avp.exe"}}
{"class":"root\\SecurityCenter2:AntiVirusProduct","row":{"displayName":"Windows Defender","productState":397568,"pathToSignedReportingExe":"windowsdefender://"}}
{"class":"root\\SecurityCenter2:AntiSpywareProduct"}
"#;
    let asked = |text: &str| machine.read(|reader| security_center(reader, &wmi(text)));
    let complete = asked(&format!("{recorded}{{\"class\":\"root\\\\SecurityCenter2:FirewallProduct\"}}"));
    let expected = [
        "Kaspersky path=C:\\avp\\avp.exe state=266240 category=antivirus",
        "Windows Defender state=397568 category=antivirus",
    ];
    assert_eq!((rows(&complete), complete.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
    assert_eq!(asked(recorded).outcome, Outcome::Partial, "one class was not asked");
    let denied = CLASSES.map(|class| format!("{{\"class\":\"root\\\\SecurityCenter2:{class}\",\"error\":\"denied\"}}"));
    assert_eq!(asked(&denied.join("\n")).outcome, Outcome::Denied);
    let empty = CLASSES.map(|class| format!("{{\"class\":\"root\\\\SecurityCenter2:{class}\"}}"));
    assert_eq!(asked(&empty.join("\n")).outcome, Outcome::Empty);
    for kind in ["ServerNT", "LanmanNT"] {
        let server = Machine::new().with(|registry| of_kind(registry, kind));
        let reading = server.read(|reader| security_center(reader, &Wmi::default()));
        assert_eq!(reading.outcome, Outcome::NotApplicable, "{kind}");
    }
}

const CLASSES: [&str; 3] = ["AntiVirusProduct", "AntiSpywareProduct", "FirewallProduct"];

#[test]
fn a_pending_restart_is_found_in_each_place() {
    let names = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName";
    let session = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager";
    let list = |text: &str| {
        let data = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        Value { name: "PendingFileRenameOperations".to_owned(), kind: kind::MULTI_SZ, data }
    };
    let pending = |change: &dyn Fn(MemoryRegistry) -> MemoryRegistry| Machine::new().with(change).state(is_pending);
    assert_eq!(pending(&|registry| registry), Some(false));
    let servicing = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing";
    assert_eq!(pending(&|registry| registry.with_key(&format!("{servicing}\\RebootPending"))), Some(true));
    let update = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired";
    assert_eq!(pending(&|registry| registry.with_key(update)), Some(true));
    let renames = "\\??\\C:\\x\0\0\0";
    assert_eq!(pending(&|registry| registry.with_value(session, list(renames))), Some(true));
    assert_eq!(pending(&|registry| registry.with_value(session, list("\0"))), Some(false));
    let renamed = |next: &'static str| {
        move |registry: MemoryRegistry| {
            registry.with_text(&format!("{names}\\ActiveComputerName"), "ComputerName", "ONE").with_text(
                &format!("{names}\\ComputerName"),
                "ComputerName",
                next,
            )
        }
    };
    assert_eq!((pending(&renamed("two")), pending(&renamed("one"))), (Some(true), Some(false)));
    let denied = crate::sources::registry::RegistryError::Denied;
    assert_eq!(pending(&|registry| registry.with_error(session, denied.clone())), None);
}

#[test]
fn signatures_and_switches_are_reported_at_the_places_of_the_catalogue() {
    let defender = r"HKLM\SOFTWARE\Microsoft\Windows Defender\Signature Updates";
    let time = |count: u64| Value {
        name: "SignaturesLastUpdated".to_owned(),
        kind: kind::BINARY,
        data: count.to_le_bytes().to_vec(),
    };
    let engine = r"HKLM\SOFTWARE\F-Secure\Ultralight\Updates\aquarius\1795336740";
    let machine = Machine::new()
        .file("Program Files/Avast Software/Avast/defs/aswdefs.ini", "[Definitions]\r\nLatest=26112208\r\n")
        .file(
            "ProgramData/Symantec/Symantec Endpoint Protection/CurrentVersion/Data/Definitions/SDSDefs/definfo.dat",
            "CurDefs=20261122.003\n",
        )
        .file("ND/Definitions/SDSDefs/definfo.dat", "CurDefs=20261121.001\n")
        .with(|registry| {
            registry
                .with_text(defender, "AVSignatureVersion", "1.421.1.0")
                .with_value(defender, time(134_398_103_400_000_000))
                .with_text(engine, "file_set_visible_version", "2026-11-22_03")
                .with_text(r"HKLM\SOFTWARE\Norton\{1}\Common Client\PathExpansionMap", "DATADIR", r"C:\ND")
                .with_number(r"HKLM\SOFTWARE\WOW6432Node\Sophos\SAVService\TamperProtection", "Enabled", 0)
                .with_number(&format!("{FIREWALL}DomainProfile"), "EnableFirewall", 1)
                .with_number(&format!("{FIREWALL}StandardProfile"), "EnableFirewall", 1)
                .with_number(&format!("{FIREWALL}PublicProfile"), "EnableFirewall", 1)
        });
    let found = machine.state(signatures);
    let shown: Vec<(&str, &str)> = found.iter().map(|one| (one.place.as_str(), one.version.as_str())).collect();
    let expected = [
        (r"HKLM\SOFTWARE\Microsoft\Windows Defender\Signature Updates", "1.421.1.0"),
        (r"%ProgramFiles%\Avast Software\Avast\defs\aswdefs.ini", "26112208"),
        (
            r"%ProgramData%\Symantec\Symantec Endpoint Protection\CurrentVersion\Data\Definitions\SDSDefs\definfo.dat",
            "20261122.003",
        ),
        (r"HKLM\SOFTWARE\F-Secure\Ultralight\Updates\aquarius\*", "2026-11-22_03"),
        (r"HKLM\SOFTWARE\F-Secure\Ultralight\updates\{engine}\{epoch}", ""),
        (r"{DATADIR from Common Client\PathExpansionMap}\Definitions\SDSDefs\definfo.dat", "20261121.001"),
    ];
    assert_eq!(shown, expected);
    assert!(found.iter().all(|one| one.released.is_some_and(|at| at > Timestamp::from_millis(1_790_000_000_000))));
    let switches: Vec<(String, bool)> = machine.state(evidence).into_iter().map(|it| (it.place, it.on)).collect();
    let firewall = format!("{FIREWALL}{{DomainProfile,StandardProfile,PublicProfile}}");
    let sophos = r"HKLM\SOFTWARE\WOW6432Node\Sophos\SAVService\TamperProtection".to_owned();
    assert_eq!(switches, [(sophos, false), (firewall, true)]);
}

const FIREWALL: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\";
