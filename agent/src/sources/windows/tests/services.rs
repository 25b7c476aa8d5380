//! Services, drivers and filter drivers.

use muster_proto::model::Outcome;

use super::{Machine, rows};
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::registry::{RegistryError, Value, kind};
use crate::sources::windows::filter_drivers::filter_drivers;
use crate::sources::windows::services::{drivers, services};

const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";

fn entry(registry: MemoryRegistry, name: &str, number: u32, image: &str) -> MemoryRegistry {
    let key = format!("{SERVICES}\\{name}");
    let registry = registry.with_number(&key, "Type", number);
    if image.is_empty() { registry } else { registry.with_text(&key, "ImagePath", image) }
}

#[test]
fn a_service_has_the_file_that_windows_would_start() {
    let host = r"%SystemRoot%\System32\svchost.exe -k netsvcs";
    let machine = Machine::new()
        .file("Program Files (x86)/Kaspersky Lab/avp.exe", "MZ")
        .file("Windows/System32/svchost.exe", "MZ")
        .file("Windows/System32/w32time.dll", "MZ")
        .with(|registry| {
            let registry = entry(registry, "AVP21.3", 16, r"C:\Program Files (x86)\Kaspersky Lab\avp.exe -r")
                .with_text(&format!("{SERVICES}\\AVP21.3"), "DisplayName", "Kaspersky Anti-Virus Service 21.3")
                .with_number(&format!("{SERVICES}\\AVP21.3"), "Start", 2);
            let registry = entry(registry, "Gone", 16, r#""C:\Program Files\Gone\gone.exe" -s"#).with_number(
                &format!("{SERVICES}\\Gone"),
                "DeleteFlag",
                1,
            );
            let registry = entry(registry, "Time", 32, host)
                .with_text(&format!("{SERVICES}\\Time"), "DisplayName", "@%SystemRoot%\\system32\\w32time.dll,-200")
                .with_text(&format!("{SERVICES}\\Time\\Parameters"), "ServiceDll", r"%windir%\System32\w32time.dll");
            let registry = entry(registry, "Far", 272, r"\\server\share\far.exe");
            let registry = entry(registry, "Other", 16, r"E:\other.exe");
            let registry = entry(registry, "Fallback", 96, host).with_text(
                &format!("{SERVICES}\\Fallback"),
                "DisplayName",
                "@x.dll,-1;Kaspersky",
            );
            let registry = entry(registry, "Empty", 16, "");
            // Instances of a session are left out, and a service with such a number in its name is none.
            let registry = entry(registry, "CDPUserSvc_3f2a1", 224, host);
            let registry = entry(registry, "klupd_2019", 16, host);
            entry(registry, "klif", 2, "").with_key(&format!("{SERVICES}\\klmouflt"))
        });
    let reading = machine.read(services);
    let svchost = "C:\\Windows\\System32\\svchost.exe";
    let expected = [
        "Empty state=no-command".to_owned(),
        "Far path=\\\\server\\share\\far.exe".to_owned(),
        format!("Kaspersky id=Fallback path={svchost} display_name=@x.dll,-1;Kaspersky")
            .replace("system32", "System32"),
        "Gone path=C:\\Program Files\\Gone\\gone.exe state=binary-missing delete=pending".to_owned(),
        "HKLM\\SYSTEM\\CurrentControlSet\\Services\\klmouflt".to_owned(),
        "Kaspersky Anti-Virus Service 21.3 id=AVP21.3 path=C:\\Program Files (x86)\\Kaspersky Lab\\avp.exe start=auto"
            .to_owned(),
        "Other path=E:\\other.exe".to_owned(),
        format!(
            "Time path=C:\\Windows\\System32\\w32time.dll display_name=@%SystemRoot%\\system32\\w32time.dll,-200 \
             host={svchost}"
        ),
        format!("klupd_2019 path={svchost}"),
    ];
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!((rows(&reading), reading.outcome), (expected, Outcome::Found));
}

#[test]
fn drivers_without_a_file_and_records_of_removed_ones_are_remnants() {
    let legacy = r"HKLM\SYSTEM\CurrentControlSet\Enum\Root";
    let machine = Machine::new().file("Windows/System32/drivers/klif.sys", "MZ").with(|registry| {
        let registry = entry(registry, "klif", 2, "");
        let registry = entry(registry, "klhk", 1, r"\SystemRoot\System32\drivers\klhk.sys");
        registry.with_key(&format!("{legacy}\\LEGACY_KLIF")).with_key(&format!("{legacy}\\LEGACY_KL1"))
    });
    let reading = machine.read(drivers);
    let expected = [
        "HKLM\\SYSTEM\\CurrentControlSet\\Enum\\Root\\LEGACY_KL1",
        "klhk path=C:\\Windows\\System32\\drivers\\klhk.sys state=binary-missing",
        "klif path=C:\\Windows\\System32\\drivers\\klif.sys",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
}

#[test]
fn a_filter_has_the_altitudes_of_all_its_instances_in_both_places() {
    let machine = Machine::new().file("Windows/System32/drivers/klif.sys", "MZ").with(|registry| {
        let klif = format!("{SERVICES}\\klif\\Instances");
        let registry = entry(registry, "klif", 2, "")
            .with_text(&klif, "DefaultInstance", "klif Instance")
            .with_text(&format!("{klif}\\Another"), "Altitude", "100000")
            .with_text(&format!("{klif}\\klif Instance"), "Altitude", "320400");
        let newer = format!("{SERVICES}\\Newer\\Parameters\\Instances\\One");
        let registry = entry(registry, "Newer", 2, "").with_text(&newer, "Altitude", "389490.5");
        // Two instances at one altitude, and one with a number in each place.
        let both = format!("{SERVICES}\\Both");
        let registry = entry(registry, "Both", 2, "")
            .with_text(&format!("{both}\\Instances\\A"), "Altitude", "189900")
            .with_text(&format!("{both}\\Instances\\B"), "Altitude", "189900")
            .with_number(&format!("{both}\\Parameters\\Instances\\C"), "Altitude", 189_899);
        // An altitude without a driver, and a driver without an altitude, are no filters.
        let registry = registry.with_text(&format!("{SERVICES}\\Left\\Instances\\One"), "Altitude", "320400");
        entry(registry, "klhk", 1, "")
    });
    let reading = machine.read(filter_drivers);
    let expected = [
        "Both path=C:\\Windows\\System32\\drivers\\Both.sys state=binary-missing altitude=189900, 189899 \
         group=FSFilter HSM",
        "Newer path=C:\\Windows\\System32\\drivers\\Newer.sys state=binary-missing altitude=389490.5 \
         group=FSFilter Activity Monitor",
        "klif path=C:\\Windows\\System32\\drivers\\klif.sys altitude=320400, 100000 \
         group=FSFilter Anti-Virus, FSFilter Open File",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
}

#[test]
fn drivers_that_classes_of_devices_name_are_listed_with_or_without_their_file() {
    let class = |guid: &str| format!(r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{guid}");
    let (mouse, volume) = ("{4d36e96f-e325-11ce-bfc1-08002be10318}", "{71a27cdd-812a-11d0-bec7-08002be2092f}");
    let list = |name: &str, drivers: &[&str]| {
        let text = drivers.iter().flat_map(|driver| [driver, "\0"]).collect::<String>() + "\0";
        let data = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        Value { name: name.to_owned(), kind: kind::MULTI_SZ, data }
    };
    let files =
        ["Windows/System32/drivers/mouclass.sys", "Kaspersky Lab/kl1.sys", "Windows/System32/drivers/klfde.sys"];
    let machine = files.into_iter().fold(Machine::new(), |machine, file| machine.file(file, "MZ")).with(|registry| {
        let registry = entry(registry, "mouclass", 1, r"\SystemRoot\System32\drivers\mouclass.sys");
        let registry = entry(registry, "kl1", 1, r"\??\C:\Kaspersky Lab\kl1.sys");
        let registry = entry(registry, "far", 1, r"\??\E:\far.sys");
        registry
            .with_text(&class(mouse), "Class", "Mouse")
            // A name that is there twice, and an empty one.
            .with_value(&class(mouse), list("UpperFilters", &["klmouflt", "MouClass", "klmouflt", ""]))
            .with_text(&class(volume), "LowerFilters", "kl1")
            .with_value(&class(volume), list("UpperFilters", &["far", "klfde"]))
            .with_key(&class("{36fc9e60-c465-11cf-8056-444553540000}"))
            .with_text(&class("Properties"), "Class", "no class")
    });
    let reading = machine.read(drivers);
    let mut expected = [
        format!("{} : UpperFilters = MouClass class=Mouse", class(mouse)),
        format!("{} : UpperFilters = klmouflt state=binary-missing class=Mouse", class(mouse)),
        format!("{} : LowerFilters = kl1", class(volume)),
        // What is on another volume is not missing.
        format!("{} : UpperFilters = far", class(volume)),
        format!("{} : UpperFilters = klfde", class(volume)),
    ];
    expected.sort();
    let shown: Vec<String> = rows(&reading).into_iter().filter(|row| row.contains(r"\Class\")).collect();
    assert_eq!((shown, reading.outcome), (expected.to_vec(), Outcome::Found));
    let broken = machine.with(|registry| registry.with_error(&class(mouse), RegistryError::Denied)).read(drivers);
    assert_eq!(broken.outcome, Outcome::Partial, "{}", broken.reason);
    assert!(broken.reason.contains(mouse) && broken.reason.contains("permission denied"), "{}", broken.reason);
}

#[test]
fn a_service_below_a_folder_of_programs_that_was_moved_is_found() {
    let machine = Machine::new().file("Programme/Kaspersky Lab/avp.exe", "MZ").with(|registry| {
        let registry =
            registry.with_text(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion", "ProgramFilesDir", r"C:\Programme");
        let registry = entry(registry, "AVP", 16, r"%ProgramFiles%\Kaspersky Lab\avp.exe");
        entry(registry, "Gone", 16, r#""%ProgramFiles%\Kaspersky Lab\gone.exe" -s"#)
    });
    let expected = [
        r"AVP path=C:\Programme\Kaspersky Lab\avp.exe",
        r"Gone path=C:\Programme\Kaspersky Lab\gone.exe state=binary-missing",
    ];
    assert_eq!(rows(&machine.read(services)), expected);
}

#[test]
fn a_broken_entry_makes_the_table_partial_and_keeps_the_others() {
    let machine = Machine::new().with(|registry| {
        let registry = entry(registry, "AVP", 16, r"C:\avp.exe");
        registry.with_error(&format!("{SERVICES}\\Damaged"), RegistryError::broken("SYSTEM", "cell 0x40"))
    });
    let reading = machine.read(services);
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
    assert!(reading.reason.contains("Damaged"), "{}", reading.reason);
}

#[test]
fn arguments_with_a_colon_are_no_file() {
    let machine = Machine::new().with(|registry| {
        let image = r"%SystemRoot%\system32\dllhost.exe /Processid:{02D4B3F1-FD88-11D1-960D-00805FC79235}";
        let registry = entry(registry, "Com", 16, image);
        entry(registry, "Hidden", 16, r"C:\ProgramData\log.txt:avp.exe")
    });
    let reading = machine.read(services);
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    assert_eq!(
        rows(&reading),
        [
            r"Com path=C:\Windows\system32\dllhost.exe state=binary-missing",
            // Streams are not read, so it may be there.
            r"Hidden path=C:\ProgramData\log.txt:avp.exe",
        ]
    );
}

#[test]
fn the_drivers_of_an_image_that_was_never_started_are_found() {
    let registry = MemoryRegistry::default().with_text(super::VERSION, "SystemRoot", r"X:\$windows.~bt\Windows");
    let registry = entry(registry, "klif", 2, r"system32\drivers\klif.sys");
    let machine = Machine::new().file("Windows/System32/drivers/klif.sys", "MZ").with(|_| registry);
    assert_eq!(rows(&machine.read(drivers)), [r"klif path=C:\Windows\system32\drivers\klif.sys"]);
}
