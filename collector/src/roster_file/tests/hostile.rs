//! Damaged and hostile files.

use proptest::prelude::*;

use super::*;

fn fault(file: &[u8]) -> RosterFileError {
    read_all(file, &Mapping::default()).expect_err("damaged")
}

#[test]
fn other_formats_are_named_with_what_to_do() {
    let utf16_workbook = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0";
    for (file, expected) in [
        (&b"PK\x03\x04\x14\0\x06\0[Content_Types].xml"[..], OtherFormat::Zip),
        (utf16_workbook, OtherFormat::Xls),
        (b"\x1F\x8B\x08\0", OtherFormat::Gzip),
        (b"%PDF-1.7\n", OtherFormat::Pdf),
        (b"\xFF\xFE\0\0n\0\0\0", OtherFormat::Utf32),
        (b"\n <!DOCTYPE html>", OtherFormat::Markup),
        (b"<?xml version=\"1.0\"?>", OtherFormat::Markup),
        (b"dn: CN=PC-1,DC=example,DC=org\nchangetype: add\n", OtherFormat::Ldif),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0", OtherFormat::Binary),
    ] {
        let fault = fault(file);
        assert!(matches!(fault, RosterFileError::OtherFormat(format) if format == expected), "{fault}");
        assert!(fault.advice().is_some());
    }
    let zip = fault(b"PK\x03\x04\0\0");
    assert_eq!(zip.to_string(), "the file is an Excel workbook or a ZIP archive, and neither CSV nor JSON");
    assert_eq!(zip.advice(), Some("save the workbook as CSV UTF-8, or unpack the archive"));
}

#[test]
fn an_empty_file_is_named() {
    for file in [&b""[..], b"\xEF\xBB\xBF", b"\xFF\xFE", b" \r\n\n\t\n", b"#TYPE System.String\n"] {
        assert!(matches!(fault(file), RosterFileError::Empty), "{file:?}");
    }
}

#[test]
fn damaged_text_is_named_with_its_line() {
    let mut lone: Vec<u8> = "\u{feff}name\r\nPC-1\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let odd = [lone.as_slice(), b"P"].concat();
    lone.extend([0x3D, 0xD8, b'x', 0]);
    for file in [&lone, &odd] {
        let fault = fault(file);
        assert_eq!(fault.to_string(), "line 3 is not valid UTF-16 (little endian)");
        assert_eq!(fault.advice(), Some("save the list as CSV UTF-8"));
    }
    let mixed = fault(b"name\nB\xC3\xBCro\nB\xFCro\n");
    assert_eq!(mixed.to_string(), "line 3 is not valid UTF-8");
    let marked = fault(b"\xEF\xBB\xBFname\nB\xFCro\n");
    assert_eq!(marked.to_string(), "line 2 is not valid UTF-8 with a byte order mark");
    // The NUL is beyond what tells the encoding.
    let nul = [b"name\n".as_slice(), &b"pc\n".repeat(2000), b"p\0c\n"].concat();
    assert!(matches!(fault(&nul), RosterFileError::Nul { line: 2002 }));
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_rest_of_the_list() {
    for file in [
        &b"name,owner\nPC-1,a\nPC-2,\"b\nPC-3,c\nPC-4,d\n"[..],
        b"name,owner\nPC-1,a\nPC-2,\"b",
        b"name,owner\nPC-1,a\n\"PC-2",
    ] {
        let mut seen = Vec::new();
        let fault = read(file, &Mapping::default(), &mut |_, row| {
            seen.push(row.name);
            ControlFlow::Continue(())
        });
        let fault = fault.expect_err("unclosed");
        assert_eq!(fault.to_string(), "the row that begins in line 3 opens a quote that is never closed");
        assert_eq!(seen, ["pc-1"]);
    }
    // A single column, so that the swallowed rows would have the right number of cells.
    assert!(matches!(fault(b"name\n\"PC-1\nPC-2\n"), RosterFileError::UnclosedQuote { line: 2 }));
    // What looks like the end is none before the end.
    let file = "name\nPC-1\n\u{fdd0}end of file\u{fdd0}\nPC-2\n\u{fdd0}end of file\u{fdd0}\n";
    assert_eq!(names(file.as_bytes()).len(), 4);
}

#[test]
fn damaged_json_is_named_with_its_line_after_the_rows_before_it() {
    for file in [
        &b"[{\"name\":\"a\"},\n{\"name\":\"b\""[..],
        b"[{\"name\":\"a\"},\n{\"name\" \"b\"}]",
        b"{\"name\":\"a\"}\nname",
        b"[{\"name\":\"a\"},\n{\"name\":\"\\ud800\"}]",
    ] {
        let mut seen = 0;
        let result = read(file, &Mapping::default(), &mut |_, _| {
            seen += 1;
            ControlFlow::Continue(())
        });
        let fault = result.expect_err("damaged");
        assert!(matches!(fault, RosterFileError::Json { line: 2, .. }), "{fault}");
        assert_eq!(seen, 1);
    }
    let deep = [b"[{\"name\":\"a\",\"b\":".as_slice(), &b"[".repeat(100_000)].concat();
    assert!(matches!(fault(&deep), RosterFileError::Json { .. }));
}

#[test]
fn a_source_that_fails_is_named_and_an_interrupted_one_is_read_on() {
    struct Failing(Vec<std::io::Result<Vec<u8>>>);
    impl std::io::Read for Failing {
        fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
            let mut piece = self.0.pop().unwrap_or(Ok(Vec::new()))?;
            if piece.len() > space.len() {
                self.0.push(Ok(piece.split_off(space.len())));
            }
            space[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }
    let piece = |text: &str| Ok(text.as_bytes().to_vec());
    let broken = || Err(std::io::ErrorKind::BrokenPipe.into());
    let interrupted = || Err(std::io::ErrorKind::Interrupted.into());
    let mapping = Mapping::default();
    let mut each = |_, _| ControlFlow::Continue(());
    let report = read(Failing(vec![piece("pc\n"), interrupted(), piece("name\n")]), &mapping, &mut each);
    assert_eq!(report.expect("a list").rows_read, 1);
    let fault = read(Failing(vec![broken(), piece("name\npc\n")]), &mapping, &mut each).expect_err("broken");
    assert!(matches!(fault, RosterFileError::Read(_)), "{fault}");
    // Beyond the beginning, within each parser.
    for row in ["{\"name\":\"pc\"}\n", "name\n"] {
        let begin = || piece(&row.repeat(4096 / row.len()));
        let fault = read(Failing(vec![broken(), begin(), begin()]), &mapping, &mut each).expect_err("broken");
        assert!(matches!(fault, RosterFileError::Read(_)), "{fault}");
    }
}

/// Reads a file and checks what holds for every file.
fn check(file: &[u8], mapping: &Mapping) -> Result<(), TestCaseError> {
    let limits = Limits { rows: 20, refused_listed: 3, row_bytes: 4096, ..Limits::DEFAULT };
    let mut rows = Vec::new();
    let result = read_within(file, mapping, &limits, &mut |line, row| {
        rows.push((line, row));
        ControlFlow::Continue(())
    });
    for (_, row) in &rows {
        prop_assert_eq!(row.clone().normalized(), Ok(row.clone()));
    }
    prop_assert!(rows.len() <= 20);
    prop_assert!(rows.windows(2).all(|pair| pair[0].0 <= pair[1].0), "lines are in order");
    match result {
        Ok(report) => {
            prop_assert_eq!(report.rows_read, rows.len() as u64 + report.rows_refused);
            prop_assert!(report.refused.len() <= 3 && report.bytes == file.len() as u64);
            let columns = report.columns_used.iter().map(|used| &used.column).chain(&report.columns_ignored);
            prop_assert!(columns.count() <= limits.columns * RosterField::ALL.len());
        }
        Err(fault) => prop_assert!(fault.to_string().len() < 16_384),
    }
    Ok(())
}

const FIXTURES: &[(&[u8], Preset)] = &[
    (include_bytes!("../fixtures/ad-get-adcomputer.csv"), Preset::Ad),
    (include_bytes!("../fixtures/ad-csvde.csv"), Preset::Ad),
    (include_bytes!("../fixtures/entra-portal.csv"), Preset::Entra),
    (include_bytes!("../fixtures/entra-graph.json"), Preset::Entra),
    (include_bytes!("../fixtures/intune-export.csv"), Preset::Intune),
    (include_bytes!("../fixtures/intune-graph.json"), Preset::Intune),
    (include_bytes!("../fixtures/sccm-views.csv"), Preset::Sccm),
    (include_bytes!("../fixtures/sccm-get-cmdevice.json"), Preset::Sccm),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_read_or_refused(file in prop::collection::vec(any::<u8>(), 0..2048)) {
        check(&file, &Mapping::default())?;
    }

    #[test]
    fn any_table_is_read_or_refused(file in "(name|serial|mac|uuid|last seen|[a-z\"=;,\t\r\n ]){1,8}\n([A-Za-z0-9éß\"'=:;,{}\\[\\]/.\t\r\n $-]|\r\n){0,400}") {
        check(file.as_bytes(), &Mapping::default())?;
        let utf16: Vec<u8> = file.encode_utf16().flat_map(u16::to_le_bytes).collect();
        check(&utf16, &Mapping::default())?;
    }

    #[test]
    fn any_json_like_text_is_read_or_refused(file in "[\\[{]([\\[\\]{},: \n]|\"name\":|\"value\":|\"a\"|\"@odata.nextLink\":|null|true|1e9|-7){0,200}") {
        check(file.as_bytes(), &Mapping::default())?;
    }

    #[test]
    fn a_changed_export_is_read_or_refused(
        fixture in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let (bytes, of) = FIXTURES[fixture];
        let mut file = bytes.to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        check(&file, &preset(of))?;
    }
}
