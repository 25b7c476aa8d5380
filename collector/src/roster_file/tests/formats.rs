//! Forms of CSV and JSON.

use super::*;

#[test]
fn plain_headers_are_understood_without_a_preset() {
    let file = b"Computer Name,Serial Number,MAC Address,E-Mail,Floor\nPC-1,S1,001B638445E6,a@example.org,7\n";
    let (rows, report) = read_all(file, &Mapping::default()).expect("a list");
    assert_eq!((rows[0].1.name.as_str(), rows[0].1.serial.as_str(), rows[0].1.macs.len()), ("pc-1", "S1", 1));
    assert_eq!(rows[0].1.owner_email, "a@example.org");
    assert_eq!(report.columns_ignored, ["Floor"]);
}

#[test]
fn the_delimiter_is_found_or_named() {
    for (file, delimiter) in [
        ("name,serial\nPC-1,S\n", ','),
        ("name;serial\nPC-1;S\n", ';'),
        ("name\tserial\nPC-1\tS\n", '\t'),
        ("sep=;\nname;serial\nPC-1;S\n", ';'),
        ("\"sep=|\"\nname|serial\nPC-1|S\n", '|'),
        ("\n\n#TYPE System.Data.DataRow\nname,serial\nPC-1,S\n", ','),
        ("name\nPC-1\n", ','),
    ] {
        let (rows, report) = read_all(file.as_bytes(), &Mapping::default()).expect(file);
        assert_eq!(rows[0].1.name, "pc-1", "{file}");
        assert_eq!(report.format, RosterFileFormat::Csv { delimiter }, "{file}");
    }
    let (rows, _) = read_all(b"\tname\n1\tPC-1\n", &Mapping::default()).expect("the first cell of the header is empty");
    assert_eq!(rows[0].1.name, "pc-1");
}

#[test]
fn lines_are_those_of_the_file_whatever_is_in_the_cells() {
    let file = b"#TYPE X\r\nname,owner\r\n\r\n\"PC-1\",\"Jane\r\nDoe\"\r\n\r\n\r\nPC-2,\"a \"\"b\"\"\"\r\n,\r\nPC-3,x";
    assert_eq!(names(file), [(4, "pc-1".to_owned()), (8, "pc-2".to_owned()), (10, "pc-3".to_owned())]);
    let (rows, report) = read_all(file, &Mapping::default()).expect("a list");
    assert_eq!((rows[0].1.owner.as_str(), rows[1].1.owner.as_str()), ("Jane Doe", "a \"b\""));
    assert_eq!(report.rows_read, 3, "a row without any text is none");
    let json = b"[\n  {\"name\": \"PC-1\"},\n\n  {\"name\":\n \"PC-2\"}, {\"name\": \"PC-3\"}\n]";
    assert_eq!(names(json), [(2, "pc-1".to_owned()), (4, "pc-2".to_owned()), (5, "pc-3".to_owned())]);
}

#[test]
fn formulas_are_text() {
    let file = b"name,owner\n\"=\"\"PC-1\"\"\",=cmd|'/C calc'!A0\n+PC-2,@SUM(A1)\n";
    let (rows, _) = read_all(file, &Mapping::default()).expect("a list");
    let texts: Vec<_> = rows.iter().map(|(_, row)| (row.name.as_str(), row.owner.as_str())).collect();
    assert_eq!(texts, [("pc-1", "=cmd|'/C calc'!A0"), ("+pc-2", "@SUM(A1)")]);
}

#[test]
fn every_form_of_json_gives_the_same_list() {
    let one = r#"{"name": "PC-1", "macs": ["001B638445E6", "001b638445e7"]}"#;
    let two = r#"{"serial": 4711, "name": null}"#;
    for file in [
        format!("[{one}, {two}]"),
        format!("{{\"@odata.context\": \"x\", \"value\": [{one}, {two}]}}"),
        format!("{{\"value\": [{one}], \"@odata.nextLink\": \"https://example.org/2\"}}\n{{\"value\": [{two}]}}"),
        format!("[{{\"value\": [{one}]}}, {{\"value\": [{two}]}}]"),
        format!("{one}\n{two}\n"),
        format!("\u{feff}\r\n\t{one}{two}"),
    ] {
        let (rows, report) = read_all(file.as_bytes(), &Mapping::default()).expect(&file);
        let names: Vec<_> =
            rows.iter().map(|(_, row)| (row.name.as_str(), row.serial.as_str(), row.macs.len())).collect();
        assert_eq!(names, [("pc-1", "", 2), ("", "4711", 0)], "{file}");
        assert!(!report.is_one_page_of_several, "the next page is in the file: {file}");
    }
    for empty in ["[]", "{\"value\": []}", "[\n]\n"] {
        let (rows, report) = read_all(empty.as_bytes(), &Mapping::default()).expect(empty);
        assert_eq!((rows.len(), report.rows_read), (0, 0));
    }
}

#[test]
fn an_object_that_names_a_next_page_is_one_of_several() {
    for (link, expected) in [("\"https://example.org/2\"", true), ("null", false)] {
        let file = format!("{{\"value\": [{{\"name\": \"pc\"}}], \"@odata.nextLink\": {link}}}");
        let (_, report) = read_all(file.as_bytes(), &Mapping::default()).expect("a page");
        assert_eq!(report.is_one_page_of_several, expected);
    }
}

#[test]
fn mapped_columns_are_used_and_missing_ones_name_those_that_exist() {
    let file = b"Asset,Inventory no,Card 1,Card 2,name\nPC-1,4711,001B638445E6,001B638445E7,wrong\n";
    let mapping = mapped(&["name=asset", "external-id=INVENTORY_NO", "mac=Card 1", "mac=card2"]);
    let (rows, report) = read_all(file, &mapping).expect("a list");
    let row = &rows[0].1;
    assert_eq!((row.name.as_str(), row.external_id.as_str(), row.macs.len()), ("pc-1", "4711", 2));
    assert_eq!(report.columns_ignored, ["name"], "the field has another column");
    for (file, shown) in [
        (&file[..], "\"Asset\", \"Inventory no\", \"Card 1\", \"Card 2\", \"name\""),
        (b"[{\"name\": \"pc\"}, {\"a\": {\"b\": 1}}]", "\"name\", \"a\", \"a.b\""),
    ] {
        let fault = read_all(file, &mapped(&["name=name", "serial=SN", "owner=Who"])).expect_err("missing");
        assert!(matches!(&fault, RosterFileError::MissingColumns { missing, .. } if missing.len() == 2));
        let expected = format!(
            "the file has no column \"SN\" (for serial) and no column \"Who\" (for owner); its columns are {shown}"
        );
        assert_eq!(fault.to_string(), expected);
        assert!(fault.advice().expect("advice").contains("--map"));
    }
}

#[test]
fn a_file_without_a_column_that_names_machines_is_refused_before_its_rows() {
    let mut rows = 0;
    let fault = read(&b"owner,floor\nJane,7\n"[..], &Mapping::default(), &mut |_, _| {
        rows += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(
        fault.expect_err("no name").to_string(),
        "no column names a machine; the columns are \"owner\", \"floor\""
    );
    assert_eq!(rows, 0);
    let fault = read_all(b"[{\"owner\": \"Jane\"}]", &Mapping::default()).expect_err("no name");
    assert!(matches!(fault, RosterFileError::NoNamingColumn { .. }), "{fault}");
    // A preset for another system.
    let fault = read_all(include_bytes!("../fixtures/sccm-views.csv"), &preset(Preset::Entra)).expect_err("no name");
    assert!(matches!(fault, RosterFileError::NoNamingColumn { .. }), "{fault}");
}

#[test]
fn a_value_comes_from_the_best_column_that_has_one() {
    let file = b"cn,Name,SamAccountName\nCN-1,NAME-1,SAM-1$\nCN-2,,SAM-2$\n,,CORP\\SAM-3$\n";
    let (rows, _) = read_all(file, &preset(Preset::Ad)).expect("a list");
    let found: Vec<_> = rows.iter().map(|(_, row)| row.name.as_str()).collect();
    assert_eq!(found, ["name-1", "cn-2", "sam-3"]);
}

#[test]
fn the_caller_can_stop() {
    for file in [&b"name\na\nb\nc\n"[..], b"[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]"] {
        let mut seen = Vec::new();
        let report = read(file, &Mapping::default(), &mut |_, row| {
            seen.push(row.name);
            if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = report.expect("stopped");
        assert_eq!((seen, report.is_stopped, report.rows_read), (vec!["a".to_owned(), "b".to_owned()], true, 2));
    }
}

#[test]
fn refused_rows_have_line_column_and_reason_and_the_others_are_read() {
    let file = b"Name,UUID,MAC,Last seen,Owner\n\
        PC-1,,,,\n\
        PC-2,4c4c,,,\n\
        PC-3,,001b638445e6 xyz,,\n\
        PC-4,,,28/11/2026,\n\
        ,,,,Jane\n\
        PC-5,,,\n\
        PC-6,,,,\n";
    let (rows, report) = read_all(file, &Mapping::default()).expect("a list");
    let accepted: Vec<_> = rows.iter().map(|(line, row)| (*line, row.name.as_str())).collect();
    assert_eq!(accepted, [(2, "pc-1"), (8, "pc-6")]);
    assert_eq!((report.rows_read, report.rows_refused), (7, 5));
    let expected = [
        "line 3, column \"UUID\": \"4c4c\" is no UUID",
        "line 4, column \"MAC\": \"xyz\" is no address of a network card",
        "line 5, column \"Last seen\": \"28/11/2026\" is no time that can be read: day and month are in the other order",
        "line 6: no name, full name, serial number, hardware UUID or network card names a machine",
        "line 7: the row has 4 cells, and the header has 5",
    ];
    assert_eq!(refusals(&report), expected);
    let day_first = Mapping { slash_dates: SlashDates::DayFirst, ..Mapping::default() };
    let (rows, _) = read_all(file, &day_first).expect("a list");
    assert!(rows.iter().any(|(_, row)| row.last_seen == at("2026-11-28T00:00:00Z")));
    let json = b"[1, {\"name\": \"pc\"}, [\"x\"], \"y\", null, {\"name\": \"pc\", \"uuid\": 7}]";
    let (rows, report) = read_all(json, &Mapping::default()).expect("a list");
    assert_eq!((rows.len(), report.rows_read, report.rows_refused), (1, 6, 5));
    assert_eq!(refusals(&report)[0], "line 1: the entry is no JSON object");
    assert_eq!(refusals(&report)[4], "line 1, column \"uuid\": \"7\" is no UUID");
}
