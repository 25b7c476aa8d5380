//! The rows of CSV (RFC 4180), and of its relatives with semicolons and tabs.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord};

use super::error::RosterFileError;
use super::other_format::OtherFormat;
use super::report::RowRefusal;
use super::row::Cells;
use super::rows::Rows;
use super::text::{Progress, Text};

/// Bytes of the header in which the delimiter is looked for.
const HEADER_BYTES: usize = 64 * 1024;
/// Delimiters that are looked for. If two are as frequent, it is the first one.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// Lines that can come before the header.
const PREAMBLE_LINES: usize = 3;
/// A row after the last one. If an unclosed quote swallows it, the file is damaged; the parser would take what is there as a row.
const END_MARK: &str = "\n\u{fdd0}end of file\u{fdd0}\n";

/// Reads the rows of a text; the delimiter.
pub(super) fn read<R: Read>(
    text: &mut Text<'_, R>,
    rows: &mut Rows<'_>,
    progress: &Progress,
) -> Result<char, RosterFileError> {
    let delimiter = preamble(text)?;
    text.end_with(END_MARK);
    let mut table = Table {
        lines_before: progress.line() - 1,
        bytes_before: progress.bytes(),
        reader: ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text),
        record: StringRecord::new(),
        progress,
    };
    let line = table.next()?.ok_or(RosterFileError::Empty)?;
    for name in &table.record {
        rows.check_cell(line, name.len())?;
        rows.columns.add(name).map_err(|limit| RosterFileError::Limit { limit, line })?;
    }
    rows.columns.check()?;
    while let Some(line) = table.next()? {
        if take(&table.record, line, rows)? {
            break;
        }
    }
    Ok(char::from(delimiter))
}

/// Takes one row; whether the reading stops.
fn take(record: &StringRecord, line: u64, rows: &mut Rows<'_>) -> Result<bool, RosterFileError> {
    for cell in record {
        rows.check_cell(line, cell.len())?;
    }
    if record.iter().all(|cell| cell.trim().is_empty()) {
        return Ok(false);
    }
    let (cells, header) = (record.len(), rows.columns.count());
    if cells != header {
        rows.refuse(line, RowRefusal::Cells { cells, header })?;
        return Ok(false);
    }
    let used = record.iter().enumerate().filter(|(column, _)| rows.columns.is_used(*column));
    let cells: Cells = used.map(|(column, cell)| (column, cell.to_owned())).collect();
    Ok(rows.take(line, &cells)?.is_break())
}

/// A table that is read row by row.
struct Table<'t, 'a, R> {
    reader: csv::Reader<&'t mut Text<'a, R>>,
    record: StringRecord,
    progress: &'t Progress,
    /// Lines and bytes of the text before the header.
    lines_before: u64,
    bytes_before: u64,
}

impl<R: Read> Table<'_, '_, R> {
    /// Reads the next row; the line where it begins, or `None` at the end.
    fn next(&mut self) -> Result<Option<u64>, RosterFileError> {
        self.progress.begin_row(self.lines_before + self.reader.position().line());
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {}
            // The row after the last one was swallowed.
            Ok(false) => return Err(RosterFileError::UnclosedQuote { line: self.progress.row_line() }),
            Err(fault) => return Err(self.fault(fault)),
        }
        // The parser skips empty lines before a row, so its end is what is known.
        let within: usize = self.record.iter().map(|cell| cell.bytes().filter(|byte| *byte == b'\n').count()).sum();
        let line = (self.lines_before + self.reader.position().line()).saturating_sub(within as u64 + 1);
        let mark = END_MARK.trim();
        let is_last = self.progress.has_ended()
            && self.bytes_before + self.reader.position().byte() >= self.progress.bytes()
            && self.record.iter().next_back().is_some_and(|cell| cell.trim().ends_with(mark));
        match is_last {
            false => Ok(Some(line)),
            true if self.record.len() == 1 && self.record.get(0) == Some(mark) => Ok(None),
            true => Err(RosterFileError::UnclosedQuote { line: self.progress.row_line() }),
        }
    }

    fn fault(&self, source: csv::Error) -> RosterFileError {
        let line = self.progress.row_line();
        self.progress.take_fault().unwrap_or(RosterFileError::Csv { line, source })
    }
}

/// Skips what comes before the header, and finds the delimiter.
///
/// `Export-Csv` of Windows PowerShell begins with `#TYPE …`
/// (<https://learn.microsoft.com/powershell/module/microsoft.powershell.utility/export-csv>), and `sep=;` tells Excel the delimiter.
fn preamble<R: Read>(text: &mut Text<'_, R>) -> Result<u8, RosterFileError> {
    let mut named = None;
    for _ in 0..PREAMBLE_LINES {
        text.skip_blank()?;
        let start = text.peek(HEADER_BYTES)?;
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.starts_with(b"dn: ") || line.starts_with(b"version: 1") {
            return Err(RosterFileError::OtherFormat(OtherFormat::Ldif));
        }
        let separator = separator(line);
        if separator.is_none() && !line.starts_with(b"#TYPE ") {
            break;
        }
        named = separator.or(named);
        let bytes = line.len();
        text.hand_out(bytes);
    }
    Ok(match named {
        Some(delimiter) => delimiter,
        None => most_frequent(text.peek(HEADER_BYTES)?),
    })
}

/// The delimiter that a line `sep=;` names.
fn separator(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, delimiter) = line.split_at_checked(4)?;
    let [delimiter] = delimiter else { return None };
    let is_delimiter = *delimiter == b'\t' || (delimiter.is_ascii_punctuation() && *delimiter != b'"');
    (name.eq_ignore_ascii_case(b"sep=") && is_delimiter).then_some(*delimiter)
}

/// The delimiter that is most frequent in the header outside of quotes.
fn most_frequent(text: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in text {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            byte if !is_quoted => {
                counts.iter_mut().zip(DELIMITERS).filter(|(_, of)| of == byte).for_each(|(count, _)| *count += 1);
            }
            _ => {}
        }
    }
    let best = counts.iter().zip(DELIMITERS).rev().max_by_key(|(count, _)| **count);
    best.map_or(b',', |(_, delimiter)| delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_most_frequent_one_outside_of_quotes() {
        for (header, delimiter) in [
            ("Name,Serial,OS\nx;y;z;;;;", b','),
            ("Name;Serial;OS", b';'),
            ("Name\tSerial\tOS, version", b'\t'),
            ("\"Name, full;\"\",,,\";Serial", b';'),
            ("\"Name\nof, the, machine\";Serial", b';'),
            ("Name", b','),
            ("a,b;c", b','),
        ] {
            assert_eq!(most_frequent(header.as_bytes()), delimiter, "{header}");
        }
    }

    #[test]
    fn a_line_for_excel_names_the_delimiter() {
        assert_eq!(separator(b"sep=;"), Some(b';'));
        assert_eq!(separator(b"\"SEP=|\""), Some(b'|'));
        assert_eq!(separator(b"sep=\t"), Some(b'\t'));
        for line in [&b"sep=\""[..], b"sep=", b"sep=ab", b"sepx;", b"separator"] {
            assert_eq!(separator(line), None);
        }
    }
}
