//! Tests of the SQLite reader itself; those with package databases are in `rpm_tests`.

use super::*;

#[test]
fn integers_of_every_length_are_decoded() {
    for (bytes, value) in [
        (&[0_u8][..], 0),
        (&[0x7f], 127),
        (&[0x81, 0], 128),
        (&[0x82, 0x80, 0], 0x8000),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -1),
    ] {
        assert_eq!(varint(bytes), Some((value, bytes.len())), "{bytes:x?}");
    }
    assert_eq!(varint(&[0x80, 0x80]), None);
    assert_eq!(varint(&[]), None);
}

#[test]
fn the_columns_of_a_record_are_decoded() {
    // NULL, 1 byte, 2 bytes, the constants 0 and 1, a float, text of 3 bytes, a blob of 2.
    let record = [9, 0, 1, 2, 8, 9, 7, 19, 16, 0xfe, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c', 5, 6];
    let lazy = Lazy::new("row".to_owned(), record.len(), record.to_vec(), Box::new(|_| Ok(())));
    let mut row = Row { key: 1, record: lazy };
    let columns = row.columns().expect("a record");
    let bytes = |place, length| Column::Bytes { place, length };
    assert_eq!(
        columns,
        [
            Column::Other,
            Column::Integer(-2),
            Column::Integer(0x102),
            Column::Integer(0),
            Column::Integer(1),
            Column::Other,
            bytes(20, 3),
            bytes(23, 2),
        ]
    );
    assert_eq!(row.text(columns.get(6)).as_deref(), Ok("abc"));
    assert_eq!(row.text(columns.get(9)).as_deref(), Ok(""));
}

#[test]
fn a_truncated_record_is_a_fault() {
    let record = [4, 0, 19, 16, b'a', b'b', b'c', 5, 6];
    for cut in 0..record.len() {
        let lazy = Lazy::new("row".to_owned(), cut, record[..cut].to_vec(), Box::new(|_| Ok(())));
        assert!(Row { key: 1, record: lazy }.columns().is_err(), "cut at {cut}");
    }
}

#[test]
fn a_missing_table_is_named() {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/linux/rpm/rpmdb.sqlite");
    let bytes = std::fs::read(place).expect("the fixture is there");
    let database = Database::open(&bytes, None).expect("a database");
    let fault = database.table("Nothing", &mut |_| Ok(())).expect_err("no such table");
    assert_eq!(fault.to_string(), "table Nothing: is missing");
}
