//! Files at and beyond each limit.

use std::io::Read;

use super::*;

const SMALL: Limits =
    Limits { file_bytes: 4096, rows: 3, row_bytes: 512, cell_bytes: 64, columns: 4, refused_listed: 2 };

fn read_small(file: &[u8]) -> Result<RosterFileReport, RosterFileError> {
    read_within(file, &Mapping::default(), &SMALL, &mut |_, _| ControlFlow::Continue(()))
}

/// The limit that a file exceeds, and the line.
fn exceeded(file: &str) -> (RosterLimit, u64) {
    let fault = read_small(file.as_bytes()).expect_err(file);
    let RosterFileError::Limit { limit, line } = fault else { panic!("{fault}: {file}") };
    (limit, line)
}

#[test]
fn the_limits_in_use_are_those_that_are_documented() {
    let Limits { file_bytes, rows, row_bytes, cell_bytes, columns, refused_listed } = Limits::DEFAULT;
    assert_eq!((file_bytes, rows, row_bytes), (268_435_456, 1_000_000, 1_048_576));
    assert_eq!((cell_bytes, columns, refused_listed), (16_384, 512, 1_000));
}

#[test]
fn rows_beyond_the_limit_stop_the_reading_and_refused_rows_count() {
    assert_eq!(read_small(b"name,uuid\na,\nb,x\nc,\n").expect("three rows").rows_read, 3);
    assert_eq!(exceeded("name,uuid\na,\nb,x\n\nc,\nd,\n"), (RosterLimit::Rows(3), 6));
    let rows = |count: usize| vec!["{\"name\":\"a\"}"; count];
    assert_eq!(read_small(rows(3).join("\n").as_bytes()).expect("three rows").rows_read, 3);
    assert_eq!(exceeded(&rows(4).join("\n")), (RosterLimit::Rows(3), 4));
    assert_eq!(exceeded("[1,2,3,\n4]"), (RosterLimit::Rows(3), 2));
}

#[test]
fn refused_rows_beyond_the_limit_are_counted() {
    let report = read_small(b"name,uuid\na,x\nb,x\nc,x\n").expect("a list");
    assert_eq!((report.refused.len(), report.rows_refused), (2, 3));
}

#[test]
fn a_cell_beyond_the_limit_stops_the_reading_also_if_nobody_uses_it() {
    let (most, more) = ("x".repeat(64), "x".repeat(65));
    assert!(read_small(format!("name,note\na,{most}\n").as_bytes()).is_ok());
    assert_eq!(exceeded(&format!("name,note\na,b\nc,{more}\n")), (RosterLimit::CellBytes(64), 3));
    assert_eq!(exceeded(&format!("name,{more}\n")), (RosterLimit::CellBytes(64), 1));
    assert!(read_small(format!("[{{\"name\":\"a\",\"note\":\"{most}\"}}]").as_bytes()).is_ok());
    assert_eq!(exceeded(&format!("[{{\"name\":\"a\"}},\n{{\"note\":\"{more}\"}}]")), (RosterLimit::CellBytes(64), 2));
    assert_eq!(exceeded(&format!("[{{\"{more}\":1}}]")), (RosterLimit::CellBytes(64), 1));
}

#[test]
fn columns_beyond_the_limit_stop_the_reading() {
    assert!(read_small(b"name,b,c,d\n1,2,3,4\n").is_ok());
    assert_eq!(exceeded("name,b,c,d,e\n"), (RosterLimit::Columns(4), 1));
    assert_eq!(exceeded("{\"name\":1,\"b\":2}\n{\"c\":1,\"d\":{\"e\":2}}"), (RosterLimit::Columns(4), 2));
}

#[test]
fn a_file_beyond_the_limit_stops_the_reading() {
    let file = format!("name\na\n{}", "\n".repeat(4096));
    assert!(matches!(exceeded(&file), (RosterLimit::FileBytes(4096), _)));
    assert!(read_small(&file.as_bytes()[..4096]).is_ok());
    assert!(matches!(exceeded(&" ".repeat(5000)), (RosterLimit::FileBytes(4096), _)));
}

/// A file without an end, that counts what was read of it.
struct Endless {
    begin: &'static [u8],
    rest: u8,
    read: usize,
}

impl Read for &mut Endless {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        for byte in space.iter_mut() {
            *byte = self.begin.get(self.read).copied().unwrap_or(self.rest);
            self.read += 1;
        }
        Ok(space.len())
    }
}

#[test]
fn a_row_without_an_end_is_read_only_up_to_the_limit_of_a_row() {
    let limits = Limits { row_bytes: 64 << 10, ..Limits::DEFAULT };
    for (begin, rest) in [
        (&b"name,owner\nPC-1,x\nPC-2,\"never closed"[..], b'x'),
        (b"name,owner\nPC-1,x\nPC-2,", b'x'),
        (b"name,owner\nPC-1,x\nPC-2,", b','),
        (b"[{\"name\":\"PC-1\"},\n\n{\"name\":\"", b'x'),
        (b"[{\"name\":\"PC-1\"},\n\n{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":", b'['),
        (b"[{\"name\":\"PC-1\"},\n\n{\"name\":", b'1'),
        (b"[{\"name\":\"PC-1\"},\n\n{\"mac\":[\"001b638445e6\"", b' '),
    ] {
        let mut file = Endless { begin, rest, read: 0 };
        let mut each = |_, _| ControlFlow::Continue(());
        let fault = read_within(&mut file, &Mapping::default(), &limits, &mut each).expect_err("endless");
        let expected = RosterLimit::RowBytes(64 << 10);
        assert!(matches!(fault, RosterFileError::Limit { limit, line: 3 } if limit == expected), "{fault}");
        assert!(file.read < 128 << 10, "{} bytes were read", file.read);
    }
}
