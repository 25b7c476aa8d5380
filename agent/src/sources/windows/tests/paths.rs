//! Paths in the registry of which the scanned volume cannot say whether they exist: such a row has no state, and its source is
//! still complete.

use muster_proto::model::Outcome;

use super::{Machine, rows};
use crate::os::test_kit;
use crate::sources::windows::services::services;
use crate::sources::windows::uninstall_keys::uninstall_keys;

const UNINSTALL: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";
const SERVICE: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\AVP";

/// A machine with an uninstall entry and a service.
fn with(machine: Machine, folder: &str, image: &str) -> Machine {
    machine.with(|registry| {
        registry
            .with_text(&format!(r"{UNINSTALL}\Program"), "InstallLocation", folder)
            .with_number(SERVICE, "Type", 16)
            .with_text(SERVICE, "ImagePath", image)
    })
}

#[track_caller]
fn assert_unknown(machine: &Machine, folder: &str, image: &str) {
    let reading = machine.read(uninstall_keys);
    assert_eq!(reading.outcome, Outcome::Found, "{folder}: {}", reading.reason);
    assert_eq!(rows(&reading), [format!("Program path={folder} scope=machine view=32")]);
    let reading = machine.read(services);
    assert_eq!(reading.outcome, Outcome::Found, "{image}: {}", reading.reason);
    assert_eq!(rows(&reading), [format!("AVP path={image}")]);
}

#[test]
fn what_is_behind_a_mount_point_or_a_broken_link_is_not_missing() {
    for target in [r"\??\Volume{1a2b3c4d-0000-0000-0000-100000000000}\", r"C:\gone", "/mnt/other/apps"] {
        let (folder, image) = (r"C:\Apps\Kaspersky Lab", r"C:\Apps\Kaspersky Lab\avp.exe");
        let machine = with(Machine::new(), folder, image);
        if !machine.link("Apps", target) {
            return test_kit::left_out("links");
        }
        assert_unknown(&machine, folder, image);
    }
}

#[test]
fn an_ambiguous_short_name_leaves_only_its_row_unknown() {
    let (folder, image) = (r"C:\PROGRA~1\MICROS~1", r"C:\PROGRA~1\MICROS~1\a.exe");
    let machine = Machine::new()
        .file("Program Files/Microsoft Office/a.exe", "MZ")
        .file("Program Files/Microsoft SQL Server/x", "");
    assert_unknown(&with(machine, folder, image), folder, image);
}

#[test]
fn an_install_location_that_is_no_absolute_path_says_nothing() {
    for folder in [
        "file:///C:/Program Files/Kaspersky Lab",
        r"C:\A;D:\B",
        r"C:\Program Files\x:y",
        r"C:\<INSTALLDIR>",
        "N/A",
        "-",
        r"Kaspersky Lab\KES",
        r"C:Kaspersky Lab",
        r"%INSTALLDIR%\x",
    ] {
        let machine = with(Machine::new(), folder, r"E:\x.exe");
        assert_unknown(&machine, folder, r"E:\x.exe");
    }
    let missing = with(Machine::new(), r"C:\Program Files\Gone", r"E:\x.exe").read(uninstall_keys);
    assert_eq!(rows(&missing), [r"Program path=C:\Program Files\Gone state=missing scope=machine view=32"]);
}
