//! Exports of each known system. The files have the columns of real exports and invented machines.

use super::*;

fn rows_of(file: &[u8], of: Preset) -> (Vec<RosterRow>, RosterFileReport) {
    let (rows, report) = read_all(file, &preset(of)).expect("a list");
    assert_eq!(report.rows_refused, 0, "{:?}", report.refused);
    (rows.into_iter().map(|(_, row)| row).collect(), report)
}

fn used(report: &RosterFileReport) -> Vec<(&str, &str)> {
    report.columns_used.iter().map(|UsedColumn { column, field }| (column.as_str(), field.name())).collect()
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn get_adcomputer_gives_names_owner_and_the_object() {
    let (rows, report) = rows_of(include_bytes!("../fixtures/ad-get-adcomputer.csv"), Preset::Ad);
    assert_eq!(
        rows[0],
        RosterRow {
            name: text("ber-pc-0017"),
            fqdn: text("ber-pc-0017.corp.example.org"),
            owner: text("Doe, Jane"),
            site: text("Berlin/Hall 2"),
            os: text("Windows 11 Enterprise"),
            external_id: text("9e1c7f4a-3f0b-4f6e-8a57-0f6f0a3d2b11"),
            last_seen: at("2026-11-27T16:12:09Z"),
            ..RosterRow::default()
        }
    );
    assert_eq!(rows[1].last_seen, at("2026-11-28T00:00:00Z"));
    assert_eq!((rows[2].name.as_str(), rows[2].fqdn.as_str(), rows[2].last_seen), ("old-xp-3", "", None));
    let expected = [
        ("Name", "name"),
        ("DNSHostName", "fqdn"),
        ("SamAccountName", "name"),
        ("OperatingSystem", "os"),
        ("LastLogonDate", "last-seen"),
        ("ManagedBy", "owner"),
        ("Location", "site"),
        ("ObjectGUID", "external-id"),
    ];
    assert_eq!(used(&report), expected);
    assert_eq!(report.columns_ignored, ["Enabled", "OperatingSystemVersion", "DistinguishedName", "SID"]);
    assert_eq!(report.format, RosterFileFormat::Csv { delimiter: ',' });
}

#[test]
fn csvde_gives_the_replicated_logon_and_not_that_of_one_controller() {
    let (rows, report) = rows_of(include_bytes!("../fixtures/ad-csvde.csv"), Preset::Ad);
    assert_eq!(
        rows[0],
        RosterRow {
            name: text("ber-pc-0017"),
            fqdn: text("ber-pc-0017.corp.example.org"),
            owner: text("Jane Doe"),
            site: text("Berlin"),
            os: text("Windows 11 Enterprise"),
            last_seen: at("2026-11-27T16:01:02Z"),
            ..RosterRow::default()
        }
    );
    assert_eq!(rows[1].last_seen, None);
    assert!(report.columns_ignored.contains(&text("lastLogon")), "{:?}", report.columns_ignored);
}

#[test]
fn the_portal_of_entra_gives_device_id_and_object_id_apart() {
    let (rows, report) = rows_of(include_bytes!("../fixtures/entra-portal.csv"), Preset::Entra);
    assert_eq!(
        rows[0],
        RosterRow {
            name: text("ber-pc-0017"),
            owner: text("Jane Doe"),
            os: text("Windows"),
            external_id: text("6a0f5f0e-5b1c-4d0f-9c55-1d1f6f7a9b01"),
            entra_object_id: text("0b7d9c52-3e57-4a9b-8d0a-5c3f4e2a1d77"),
            last_seen: at("2026-11-27T16:12:09Z"),
            ..RosterRow::default()
        }
    );
    assert_eq!((rows[1].name.as_str(), rows[1].last_seen), ("jane’s iphone", None));
    assert!(!report.is_one_page_of_several);
}

#[test]
fn a_page_of_graph_gives_the_same_device_and_says_that_there_are_more() {
    let (rows, report) = rows_of(include_bytes!("../fixtures/entra-graph.json"), Preset::Entra);
    assert_eq!(
        rows[0],
        RosterRow {
            name: text("ber-pc-0017"),
            owner: text("jane.doe@corp.example.org; john.roe@corp.example.org"),
            owner_email: text("jane.doe@example.org"),
            os: text("Windows"),
            external_id: text("6a0f5f0e-5b1c-4d0f-9c55-1d1f6f7a9b01"),
            entra_object_id: text("0b7d9c52-3e57-4a9b-8d0a-5c3f4e2a1d77"),
            last_seen: at("2026-11-27T16:12:09Z"),
            ..RosterRow::default()
        }
    );
    assert_eq!((rows[1].name.as_str(), rows[1].fqdn.as_str()), ("ber-mac-0003", "ber-mac-0003.corp.example.org"));
    assert_eq!((report.format, report.is_one_page_of_several), (RosterFileFormat::Json, true));
    assert!(!report.columns_ignored.iter().any(|column| column.starts_with("@odata")), "{:?}", report.columns_ignored);
}

#[test]
fn the_export_of_intune_and_its_page_of_graph_give_the_same_machines() {
    let (rows, report) = rows_of(include_bytes!("../fixtures/intune-export.csv"), Preset::Intune);
    assert_eq!(
        rows[0],
        RosterRow {
            name: text("ber-pc-0017"),
            serial: text("5CG1234XYZ"),
            macs: vec![text("00:1b:63:84:45:e6"), text("00:1b:63:84:45:e7")],
            owner: text("jane.doe@corp.example.org"),
            owner_email: text("jane.doe@example.org"),
            os: text("Windows"),
            external_id: text("1c7d5e0a-2b3c-4d5e-8f90-a1b2c3d4e5f6"),
            last_seen: at("2026-11-27T16:05:44Z"),
            ..RosterRow::default()
        }
    );
    assert_eq!((rows[1].serial.as_str(), rows[1].last_seen), ("0004711", None), "the guard of Excel is no part of it");
    for ignored in ["Azure AD Device ID", "Management name", "UserId"] {
        assert!(report.columns_ignored.contains(&text(ignored)), "{ignored}");
    }
    let (of_graph, _) = rows_of(include_bytes!("../fixtures/intune-graph.json"), Preset::Intune);
    assert_eq!(of_graph, rows);
}

#[test]
fn views_of_configuration_manager_give_the_hardware() {
    let (rows, report) = rows_of(include_bytes!("../fixtures/sccm-views.csv"), Preset::Sccm);
    assert_eq!(
        rows[0],
        RosterRow {
            name: text("ber-pc-0017"),
            fqdn: text("ber-pc-0017.corp.example.org"),
            serial: text("5CG1234XYZ"),
            hardware_uuid: text("4c4c4544-0042-3510-8056-b4c04f4e4d31"),
            macs: vec![text("00:1b:63:84:45:e6"), text("00:1b:63:84:45:e7")],
            owner: text("jane.doe"),
            site: text("Berlin"),
            os: text("Microsoft Windows NT Workstation 10.0"),
            external_id: text("16777221"),
            last_seen: at("2026-11-27T16:01:02Z"),
            ..RosterRow::default()
        }
    );
    assert_eq!(
        (rows[1].hardware_uuid.as_str(), rows[1].owner.as_str(), rows[1].last_seen),
        ("", "", None),
        "NULL is none"
    );
    assert_eq!(report.format, RosterFileFormat::Csv { delimiter: ';' });
    assert_eq!(report.columns_ignored, ["Resource_Domain_OR_Workgr0", "Client0"]);
}

#[test]
fn devices_of_configuration_manager_in_json_of_powershell_have_their_times() {
    let (rows, report) = rows_of(include_bytes!("../fixtures/sccm-get-cmdevice.json"), Preset::Sccm);
    assert_eq!(
        rows[0],
        RosterRow {
            name: text("ber-pc-0017"),
            serial: text("5CG1234XYZ"),
            macs: vec![text("00:1b:63:84:45:e6")],
            owner: text("corp\\jane.doe"),
            site: text("Berlin"),
            os: text("Microsoft Windows NT Workstation 10.0"),
            external_id: text("16777221"),
            last_seen: at("2026-11-27T16:01:02Z"),
            ..RosterRow::default()
        }
    );
    assert_eq!(rows[1].last_seen, at("2026-11-26T13:33:20Z"), "a date that PowerShell has wrapped");
    assert!(report.columns_ignored.contains(&text("ADLastLogonTime.DateTime")), "{:?}", report.columns_ignored);
}

#[test]
fn a_fixture_is_the_same_list_in_every_encoding_and_line_end() {
    let file = include_str!("../fixtures/entra-portal.csv");
    let (expected, _) = read_all(file.as_bytes(), &preset(Preset::Entra)).expect("a list");
    let windows = file.replace('\n', "\r\n");
    let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
    for (bytes, encoding) in [
        (windows.clone().into_bytes(), TextEncoding::Utf8),
        (file.replace('\n', "\r").into_bytes(), TextEncoding::Utf8),
        (file.trim_end().as_bytes().to_vec(), TextEncoding::Utf8),
        (marked(b"\xEF\xBB\xBF", windows.clone().into_bytes()), TextEncoding::Utf8WithMark),
        (marked(b"\xFF\xFE", utf16(&windows, u16::to_le_bytes)), TextEncoding::Utf16Le),
        (marked(b"\xFE\xFF", utf16(file, u16::to_be_bytes)), TextEncoding::Utf16Be),
        (utf16(file, u16::to_le_bytes), TextEncoding::Utf16Le),
        (utf16(&windows, u16::to_be_bytes), TextEncoding::Utf16Be),
        (
            file.replace('’', "\0").bytes().map(|byte| if byte == 0 { 0x92 } else { byte }).collect(),
            TextEncoding::Windows1252,
        ),
    ] {
        let (rows, report) = read_all(&bytes, &preset(Preset::Entra)).expect("a list");
        assert_eq!((rows, report.encoding), (expected.clone(), encoding));
        assert_eq!(report.bytes, bytes.len() as u64);
    }
}
