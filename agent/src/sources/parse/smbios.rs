//! SMBIOS: what the firmware says about a machine. The tables are numbered structures, each with a list of texts. Layout and
//! numbers are in DSP0134, <https://www.dmtf.org/standards/smbios>.

/// The bytes before the tables in what Windows keeps of them (`RawSMBIOSData`,
/// <https://learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsystemfirmwaretable>).
const WINDOWS_HEADER: usize = 8;
/// Type, length and handle of a structure.
const HEADER: usize = 4;
/// Structures that are looked at. Machines have some hundreds.
const STRUCTURES: usize = 4096;

const SYSTEM: u8 = 1;
const ENCLOSURE: u8 = 3;
const END: u8 = 127;

/// What identifies a machine. A text is empty if the firmware does not say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Smbios {
    /// The serial number of the system.
    pub serial: String,
    /// The UUID of the system.
    pub uuid: String,
    /// The asset tag of the case.
    pub asset_tag: String,
    /// The kind of case.
    pub chassis: &'static str,
}

/// Reads the tables as Windows keeps them. What is damaged is left out.
#[must_use]
pub fn of_windows(data: &[u8]) -> Smbios {
    let (Some(tables), Some(version)) = (data.get(WINDOWS_HEADER..), data.get(1..3)) else { return Smbios::default() };
    parse(tables, (version[0], version[1]))
}

/// Reads the tables of a version of SMBIOS.
fn parse(mut tables: &[u8], version: (u8, u8)) -> Smbios {
    let mut found = Smbios::default();
    let mut has_case = false;
    for _ in 0..STRUCTURES {
        let Some((structure, texts, rest)) = split(tables) else { break };
        let text = |at: usize| structure.get(at).map_or_else(String::new, |number| text(texts, *number));
        match structure[0] {
            SYSTEM => {
                found.serial = text(7);
                found.uuid = structure.get(8..24).map_or_else(String::new, |bytes| uuid(bytes, version));
            }
            // A blade has its own case before that of its rack.
            ENCLOSURE if !has_case => {
                has_case = true;
                found.chassis = structure.get(5).map_or("", |kind| chassis(*kind));
                found.asset_tag = text(8);
            }
            END => break,
            _ => {}
        }
        tables = rest;
    }
    found
}

/// The first structure, its texts, and what follows.
fn split(tables: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = usize::from(*tables.get(1)?);
    if length < HEADER {
        return None;
    }
    let (structure, after) = tables.split_at_checked(length)?;
    // The texts end with two zeros, also if there are none.
    let end = after.windows(2).position(|two| two == [0, 0])?;
    Some((structure, &after[..end], &after[end + 2..]))
}

/// A text by its number, which counts from 1; 0 means none.
fn text(texts: &[u8], number: u8) -> String {
    let Some(at) = usize::from(number).checked_sub(1) else { return String::new() };
    let text = texts.split(|byte| *byte == 0).nth(at).unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}

/// Since version 2.6 the first three parts have their lowest byte first.
fn uuid(bytes: &[u8], version: (u8, u8)) -> String {
    if bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xFF) {
        return String::new();
    }
    let mut bytes: Vec<u8> = bytes.to_vec();
    if version >= (2, 6) {
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The kind of case by its number (DSP0134, 7.4.1); empty if the number says nothing. The highest bit says that it can be locked.
#[must_use]
pub const fn chassis(kind: u8) -> &'static str {
    match kind & 0x7F {
        3 => "desktop",
        4 => "low-profile-desktop",
        5 => "pizza-box",
        6 => "mini-tower",
        7 => "tower",
        8 => "portable",
        9 => "laptop",
        10 => "notebook",
        11 => "hand-held",
        12 => "docking-station",
        13 => "all-in-one",
        14 => "sub-notebook",
        15 => "space-saving",
        16 => "lunch-box",
        17 => "main-server-chassis",
        18 => "expansion-chassis",
        19 => "sub-chassis",
        20 => "bus-expansion-chassis",
        21 => "peripheral-chassis",
        22 => "raid-chassis",
        23 => "rack-mount-chassis",
        24 => "sealed-case-pc",
        25 => "multi-system-chassis",
        26 => "compact-pci",
        27 => "advanced-tca",
        28 => "blade",
        29 => "blade-enclosure",
        30 => "tablet",
        31 => "convertible",
        32 => "detachable",
        33 => "iot-gateway",
        34 => "embedded-pc",
        35 => "mini-pc",
        36 => "stick-pc",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: [u8; 16] =
        [0x44, 0x45, 0x4c, 0x4c, 0x42, 0x00, 0x10, 0x35, 0x80, 0x56, 0xb4, 0xc0, 0x4f, 0x4e, 0x4d, 0x31];

    fn structure(kind: u8, fields: &[u8], texts: &[&str]) -> Vec<u8> {
        let length = u8::try_from(HEADER + fields.len()).expect("short");
        let mut bytes = vec![kind, length, kind, 0];
        bytes.extend(fields);
        texts.iter().for_each(|text| bytes.extend(text.bytes().chain([0])));
        bytes.extend(if texts.is_empty() { &[0, 0][..] } else { &[0] });
        bytes
    }

    fn machine(minor: u8) -> Vec<u8> {
        let system: Vec<u8> = [1, 2, 0, 3].into_iter().chain(UUID).chain([6, 0, 0]).collect();
        let mut data = vec![0, 2, minor, 0, 0, 0, 0, 0];
        data.extend(structure(0, &[1, 2], &["Vendor", "1.0"]));
        data.extend(structure(SYSTEM, &system, &["Dell Inc.", "Latitude", " 7B5V4M1 "]));
        data.extend(structure(2, &[], &[]));
        data.extend(structure(ENCLOSURE, &[1, 0x80 | 10, 0, 2, 3], &["Dell Inc.", "7B5V4M1", "FIN-0042"]));
        data.extend(structure(ENCLOSURE, &[1, 23, 0, 0, 0], &["Rack"]));
        data.extend(structure(END, &[], &[]));
        data
    }

    #[test]
    fn serial_uuid_asset_tag_and_case_are_read() {
        let found = of_windows(&machine(8));
        assert_eq!(
            (found.serial.as_str(), found.asset_tag.as_str(), found.chassis),
            ("7B5V4M1", "FIN-0042", "notebook")
        );
        assert_eq!(found.uuid, "4c4c4544-0042-3510-8056-b4c04f4e4d31");
        assert_eq!(of_windows(&machine(5)).uuid, "44454c4c-4200-1035-8056-b4c04f4e4d31", "before version 2.6");
    }

    #[test]
    fn damaged_tables_lose_only_what_follows() {
        let whole = machine(8);
        for end in 0..whole.len() {
            let cut = of_windows(&whole[..end]);
            assert!(cut.serial.is_empty() || cut.serial == "7B5V4M1", "{end}: {cut:?}");
        }
        let mut short = whole;
        short[WINDOWS_HEADER + 1] = 3;
        assert_eq!(of_windows(&short), Smbios::default());
        assert_eq!(uuid(&[0; 16], (2, 8)), "");
        assert_eq!(uuid(&[0xFF; 16], (2, 8)), "");
    }
}
