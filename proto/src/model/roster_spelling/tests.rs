//! Tests of the one spelling of a row.

use proptest::prelude::*;

use super::*;

fn row(name: &str) -> RosterRow {
    RosterRow { name: name.to_owned(), ..RosterRow::default() }
}

fn names_of(name: &str, fqdn: &str) -> (String, String) {
    let row = RosterRow { fqdn: fqdn.to_owned(), ..row(name) }.normalized().expect("names a machine");
    (row.name, row.fqdn)
}

#[test]
fn a_machine_has_one_name_and_one_full_name() {
    for (name, fqdn, expected) in [
        ("PC-17", "", ("pc-17", "")),
        (" CORP\\PC-17$ ", "", ("pc-17", "")),
        ("PC-17$", "PC-17.Corp.Example.ORG.", ("pc-17", "pc-17.corp.example.org")),
        ("PC-17.corp.example.org.", "", ("pc-17", "pc-17.corp.example.org")),
        ("", "pc-17.corp.example.org", ("pc-17", "pc-17.corp.example.org")),
        ("PC-17.old.example.org", "pc-17.corp.example.org", ("pc-17", "pc-17.corp.example.org")),
        ("", "PC-17", ("pc-17", "")),
        ("PC-17", "PC-17", ("pc-17", "")),
        ("Jane's iPhone 15.2", "", ("jane's iphone 15.2", "")),
        ("192.0.2.7", "", ("192.0.2.7", "")),
        ("BÜRO-1", "büro-1.example.org", ("büro-1", "büro-1.example.org")),
        ("PC\u{200b}-17\u{feff}\t", "", ("pc-17", "")),
    ] {
        let expected = (expected.0.to_owned(), expected.1.to_owned());
        assert_eq!(names_of(name, fqdn), expected, "{name:?} {fqdn:?}");
    }
    let fault = RosterRow { fqdn: "pc 17.example.org".to_owned(), ..row("pc-17") }.normalized();
    assert_eq!(fault, Err(RosterRowFault::NotFqdn { text: "pc 17.example.org".to_owned() }));
}

#[test]
fn a_uuid_has_one_spelling_and_zeros_are_none() {
    let uuid = |text: &str| RosterRow { hardware_uuid: text.to_owned(), ..row("pc") }.normalized();
    for text in [
        "4C4C4544-0042-3510-8056-B4C04F4E4D31",
        "{4c4c4544-0042-3510-8056-b4c04f4e4d31}",
        " 4C4C4544004235108056B4C04F4E4D31",
    ] {
        assert_eq!(uuid(text).expect(text).hardware_uuid, "4c4c4544-0042-3510-8056-b4c04f4e4d31");
    }
    for text in ["", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"] {
        assert_eq!(uuid(text).expect(text).hardware_uuid, "");
    }
    for text in
        ["4c4c4544", "4c4c4544-0042-3510-8056-b4c04f4e4d3g", "4c4c-4544-0042-3510-8056-b4c04f4e4d31", "{", "n/a"]
    {
        let fault = uuid(text).expect_err(text);
        assert_eq!(fault, RosterRowFault::NotUuid { field: RosterField::HardwareUuid, text: text.to_owned() });
        assert_eq!(fault.field(), Some(RosterField::HardwareUuid));
    }
    let object = RosterRow { entra_object_id: "device-1".to_owned(), ..row("pc") }.normalized();
    assert_eq!(object.expect_err("no UUID").field(), Some(RosterField::EntraObjectId));
}

#[test]
fn an_external_id_is_changed_only_if_it_is_a_uuid_with_dashes() {
    for (id, expected) in [
        ("{9E1C7F4A-3F0B-4F6E-8A57-0F6F0A3D2B11}", "9e1c7f4a-3f0b-4f6e-8a57-0f6f0a3d2b11"),
        ("16777221", "16777221"),
        ("ASSET-A1", "ASSET-A1"),
        ("9E1C7F4A3F0B4F6E8A570F6F0A3D2B11", "9E1C7F4A3F0B4F6E8A570F6F0A3D2B11"),
    ] {
        let row = RosterRow { external_id: id.to_owned(), ..row("pc") }.normalized().expect(id);
        assert_eq!(row.external_id, expected);
    }
}

#[test]
fn addresses_of_cards_have_one_spelling_and_are_sorted() {
    let macs = |cells: &[&str]| {
        let macs = cells.iter().map(|cell| (*cell).to_owned()).collect();
        RosterRow { macs, ..row("pc") }.normalized().map(|row| row.macs)
    };
    for text in
        ["00:1B:63:84:45:E6", "00-1b-63-84-45-e6", "001B.6384.45E6", "001b63-8445e6", "001B638445E6", " 001B638445E6\t"]
    {
        assert_eq!(macs(&[text]).expect(text), ["00:1b:63:84:45:e6"]);
    }
    let several = macs(&["001B638445E7,00:1b:63:84:45:e6;001b638445e7", "", "001B638445E8 | 00-1B-63-84-45-E9"]);
    let expected = ["00:1b:63:84:45:e6", "00:1b:63:84:45:e7", "00:1b:63:84:45:e8", "00:1b:63:84:45:e9"];
    assert_eq!(several.expect("four cards"), expected);
    assert_eq!(macs(&["000000000000", "FF:FF:FF:FF:FF:FF"]).expect("no card"), Vec::<String>::new());
    for text in [
        "001b63",
        "00:1b:63:84:45:e6:07:08",
        "00:1b:63-84-45-e6",
        "0:1b:63:84:45:e6",
        "unknown",
        "00:1b:63:84:45:eg",
        "é",
    ] {
        assert_eq!(macs(&[text]), Err(RosterRowFault::NotMac { text: text.to_owned() }));
    }
    let many = |count: usize| (1..=count).map(|card| format!("{card:012x}")).collect::<Vec<_>>().join(" ");
    assert_eq!(macs(&[&many(MACS_PER_HOST)]).expect("within the limit").len(), MACS_PER_HOST);
    assert_eq!(macs(&[&many(MACS_PER_HOST + 1)]), Err(RosterRowFault::TooManyMacs { count: MACS_PER_HOST + 1 }));
}

#[test]
fn a_row_that_names_no_machine_is_refused() {
    let owned = RosterRow {
        owner: "Jane Doe".to_owned(),
        external_id: "17".to_owned(),
        macs: vec!["000000000000".to_owned()],
        hardware_uuid: "00000000-0000-0000-0000-000000000000".to_owned(),
        ..row(" $ ")
    };
    assert_eq!(owned.clone().normalized(), Err(RosterRowFault::NoMachine));
    for named in [
        RosterRow { name: "pc".to_owned(), ..owned.clone() },
        RosterRow { fqdn: "pc.example.org".to_owned(), ..owned.clone() },
        RosterRow { serial: "5CG1234XYZ".to_owned(), ..owned.clone() },
        RosterRow { hardware_uuid: "4c4c4544-0042-3510-8056-b4c04f4e4d31".to_owned(), ..owned.clone() },
        RosterRow { macs: vec!["001b638445e6".to_owned()], ..owned },
    ] {
        assert!(named.clone().normalized().is_ok(), "{named:?}");
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_and_not_cut() {
    let longest = "é".repeat(ROSTER_TEXT_BYTES / 2);
    for field in
        [RosterField::Name, RosterField::Serial, RosterField::Owner, RosterField::Site, RosterField::ExternalId]
    {
        let with = |text: &str| {
            let mut row = row("pc");
            match field {
                RosterField::Name => row.name = text.to_owned(),
                RosterField::Serial => row.serial = text.to_owned(),
                RosterField::Owner => row.owner = text.to_owned(),
                RosterField::Site => row.site = text.to_owned(),
                RosterField::Fqdn
                | RosterField::HardwareUuid
                | RosterField::Mac
                | RosterField::OwnerEmail
                | RosterField::Os
                | RosterField::ExternalId
                | RosterField::EntraObjectId
                | RosterField::LastSeen => row.external_id = text.to_owned(),
            }
            row.normalized()
        };
        assert!(with(&longest).is_ok(), "{field}");
        let bytes = ROSTER_TEXT_BYTES + 1;
        assert_eq!(with(&format!("{longest}x")), Err(RosterRowFault::TooLong { field, bytes }));
    }
}

#[test]
fn texts_are_clean_and_fields_have_the_names_that_are_typed() {
    let row = RosterRow { site: "\tHall\r\n2\u{202e} ".to_owned(), ..row("pc") }.normalized().expect("valid");
    assert_eq!(row.site, "Hall  2");
    for field in RosterField::ALL {
        assert_eq!(field.name().parse(), Ok(*field));
        assert_eq!(RosterField::from_code(field.code()), Some(*field));
    }
}

proptest! {
    #[test]
    fn normalizing_twice_changes_nothing(
        name in any::<String>(),
        fqdn in "[a-zA-Z0-9İßΣé.\\\\$ _-]{0,40}",
        serial in any::<String>(),
        macs in prop::collection::vec("[0-9a-fA-F]{12}|([0-9A-F]{2}-){5}[0-9A-F]{2}", 0..4),
        external_id in "\\{?[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}\\}?",
    ) {
        let raw = RosterRow { name, fqdn, serial, macs, external_id, ..RosterRow::default() };
        if let Ok(once) = raw.normalized() {
            prop_assert_eq!(once.clone().normalized(), Ok(once));
        }
    }
}
