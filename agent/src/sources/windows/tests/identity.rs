//! What identifies a Windows machine.

use super::Machine;
use crate::sources::registry::{Value, kind};
use crate::sources::windows::identity::{Adapter, identity};

const FIRMWARE: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\mssmbios\Data";
const NAMES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";
const CLASS: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}";

/// A table of version 2.8 with a system and a case.
fn firmware() -> Vec<u8> {
    let mut data = vec![0, 2, 8, 0, 0, 0, 0, 0];
    data.extend([1, 27, 1, 0, 1, 2, 0, 3]);
    data.extend([
        0x44, 0x45, 0x4c, 0x4c, 0x42, 0x00, 0x10, 0x35, 0x80, 0x56, 0xb4, 0xc0, 0x4f, 0x4e, 0x4d, 0x31, 6, 0, 0,
    ]);
    data.extend(b"Dell Inc.\0Latitude\x007B5V4M1\0\0");
    data.extend([3, 9, 3, 0, 1, 10, 0, 0, 2]);
    data.extend(b"Dell Inc.\0FIN-0042\0\0");
    data
}

#[test]
fn firmware_names_and_physical_cards_are_read() {
    let machine = Machine::new().with(|registry| {
        registry
            .with_value(FIRMWARE, Value { name: "SMBiosData".to_owned(), kind: kind::BINARY, data: firmware() })
            .with_text(NAMES, "NV Hostname", "PC-17")
            .with_text(NAMES, "Hostname", "OLD")
            .with_text(NAMES, "NV Domain", "Corp.Example.org")
            .with_text(&format!(r"{CLASS}\0001"), "NetCfgInstanceId", "{AAAA}")
            .with_number(&format!(r"{CLASS}\0001"), "Characteristics", 0x84)
            .with_text(&format!(r"{CLASS}\0002"), "NetCfgInstanceId", "{BBBB}")
            .with_number(&format!(r"{CLASS}\0002"), "Characteristics", 0x29)
    });
    let adapter = |id: &str, last: u8| Adapter { id: id.to_owned(), address: vec![0, 0x1b, 0x63, 0x84, 0x45, last] };
    let adapters = [adapter("{aaaa}", 1), adapter("{BBBB}", 2), adapter("{CCCC}", 3)];
    let found = machine.state(|reader| identity(reader, &adapters));
    assert_eq!(
        (found.serial.as_str(), found.asset_tag.as_str(), found.chassis.as_str()),
        ("7B5V4M1", "FIN-0042", "notebook")
    );
    assert_eq!(found.hardware_uuid, "4c4c4544-0042-3510-8056-b4c04f4e4d31");
    assert_eq!((found.fqdn.as_str(), found.domain.as_str()), ("pc-17.corp.example.org", "corp.example.org"));
    assert_eq!(found.macs, ["00:1b:63:84:45:01"], "a virtual adapter and one without a key are no cards");
}

#[test]
fn a_machine_that_says_nothing_has_no_identity() {
    let found = Machine::new().state(|reader| identity(reader, &[]));
    assert!(found.is_unknown(), "{found:?}");
    // Without a domain there is no full name.
    let named = Machine::new().with(|registry| registry.with_text(NAMES, "Hostname", "PC-17"));
    assert!(named.state(|reader| identity(reader, &[])).is_unknown());
}
