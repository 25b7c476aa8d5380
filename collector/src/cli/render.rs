//! Output: tables for people; JSON, NDJSON and CSV for programs. The only place that writes to standard output.

use std::io::{self, Write};
use std::time::Duration;

use muster_proto::model::{Lane, Timestamp};

use super::args::Output;
use crate::config::format_span;

/// What all formats of an answer share.
pub(super) struct Answer<'a, T> {
    /// The JSON document.
    pub(super) whole: &'a T,
    /// The header of the CSV.
    pub(super) header: &'a [&'a str],
}

/// Standard output and the format to write.
pub(super) struct Screen<'w> {
    out: &'w mut (dyn Write + Send),
    output: Option<Output>,
    paint: Paint,
    now: Timestamp,
}

impl<'w> Screen<'w> {
    pub(super) fn new(out: &'w mut (dyn Write + Send), output: Option<Output>, colour: bool, now: Timestamp) -> Self {
        Self { out, output, paint: Paint { colour }, now }
    }

    /// The format, if one was given.
    pub(super) const fn asked(&self) -> Option<Output> {
        self.output
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Writes the answer in the chosen format. `lines` are the objects of NDJSON, `rows` those of CSV, `page` is for
    /// people.
    pub(super) fn show<T: serde::Serialize, L: serde::Serialize>(
        &mut self,
        answer: &Answer<'_, T>,
        lines: &[L],
        rows: impl FnOnce() -> Vec<Vec<String>>,
        page: impl FnOnce(&Paint) -> String,
    ) -> anyhow::Result<()> {
        match self.output.unwrap_or(Output::Table) {
            Output::Table => self.out.write_all(page(&self.paint).as_bytes())?,
            Output::Json => {
                // Unwrapped to an I/O error, so that a broken pipe is still recognised; the same below.
                serde_json::to_writer_pretty(&mut *self.out, answer.whole).map_err(io::Error::from)?;
                self.out.write_all(b"\n")?;
            }
            Output::Ndjson => {
                for line in lines {
                    serde_json::to_writer(&mut *self.out, line).map_err(io::Error::from)?;
                    self.out.write_all(b"\n")?;
                }
            }
            Output::Csv => {
                let mut csv = csv::Writer::from_writer(&mut *self.out);
                csv.write_record(answer.header).map_err(of_csv)?;
                for row in rows() {
                    csv.write_record(row.iter().map(|cell| harmless(cell))).map_err(of_csv)?;
                }
                csv.flush()?;
            }
        }
        Ok(())
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// `1 host`, `2 hosts`. The noun forms its plural with an s.
pub(super) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Unwraps an error of the CSV writer, so that a broken pipe is still recognised.
fn of_csv(error: csv::Error) -> io::Error {
    if error.is_io_error()
        && let csv::ErrorKind::Io(inner) = error.into_kind()
    {
        return inner;
    }
    io::Error::other("the CSV could not be written")
}

/// Quotes a cell that a spreadsheet would run as a formula. Names come from hosts, which may be hostile.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

/// Replaces control characters, which a terminal could run as commands.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Colours, if the output is a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colour: bool,
}

impl Paint {
    pub(super) const fn plain() -> Self {
        Self { colour: false }
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    pub(super) fn alarm(self, text: &str) -> String {
        self.code("1;31", text)
    }

    /// The colour of a lane: red for work, yellow for missing data, green for finished.
    pub(super) fn lane(self, lane: Lane, text: &str) -> String {
        let code = if lane.is_finished() {
            "32"
        } else if lane.is_coverage_gap() {
            "33"
        } else {
            "31"
        };
        self.code(code, text)
    }
}

/// A cell of a table.
pub(super) struct Cell {
    text: String,
    right: bool,
    lane: Option<Lane>,
}

impl Cell {
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        // `clean` keeps line breaks, which would split the row.
        Self { text: clean(text.as_ref()).replace('\n', " "), right: false, lane: None }
    }

    pub(super) fn number(number: u64) -> Self {
        Self { text: number.to_string(), right: true, lane: None }
    }

    pub(super) fn lane(lane: Lane) -> Self {
        Self { text: lane.name().to_owned(), right: false, lane: Some(lane) }
    }

    /// A lane, marked if the host is overdue in it.
    pub(super) fn marked_lane(lane: Lane, overdue: bool) -> Self {
        let mark = if overdue { " (overdue)" } else { "" };
        Self { text: format!("{lane}{mark}"), ..Self::lane(lane) }
    }
}

/// A table with aligned columns and no lines, so that `cut` and `grep` work on it. Every table of `muster` is one.
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
    indent: &'static str,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|name| name.to_uppercase()).collect(), rows: Vec::new(), indent: "" }
    }

    pub(super) fn indented(mut self) -> Self {
        self.indent = "  ";
        self
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(super) fn text(&self, paint: &Paint) -> String {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.chars().count());
            cells.chain([self.header[at].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let right = |at: usize| self.rows.first().and_then(|row| row.get(at)).is_some_and(|cell| cell.right);
        let mut text = String::new();
        let header: Vec<String> =
            self.header.iter().enumerate().map(|(at, name)| pad(name, widths[at], right(at))).collect();
        let header = paint.dim(header.join("  ").trim_end());
        text.push_str(&format!("{}{header}\n", self.indent));
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(at, cell)| {
                // Pad before colouring: colour codes count as characters but have no width.
                let padded = pad(&cell.text, widths[at], cell.right);
                cell.lane.map_or(padded.clone(), |lane| paint.lane(lane, &padded))
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(&format!("{}{}\n", self.indent, line.trim_end()));
        }
        text
    }
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let fill = " ".repeat(width.saturating_sub(text.chars().count()));
    if right { format!("{fill}{text}") } else { format!("{text}{fill}") }
}

/// Lines of names and values with the values aligned, two spaces in.
pub(super) fn fields(fields: &[(&str, &str)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    fields.iter().map(|(name, value)| format!("  {name:<width$}  {}\n", clean(value))).collect()
}

/// `2026-05-04T10:00:00Z (3m ago)`.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    let clock = at.whole_seconds();
    if at <= now {
        format!("{clock} ({})", ago(at, now))
    } else {
        format!("{clock} (in {})", format_span(at.since(now)))
    }
}

/// `3m ago`, `just now`.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let span = now.since(at);
    if span < Duration::from_secs(1) { "just now".to_owned() } else { format!("{} ago", format_span(span)) }
}

/// `-` for an unknown value in a table.
pub(super) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A timestamp for programs; empty if there is none.
pub(super) fn instant(at: Option<Timestamp>) -> String {
    at.map(Timestamp::to_rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_numbers_are_on_the_right() {
        let mut table = Table::new(&["lane", "hosts"]);
        table.row(vec![Cell::lane(Lane::Replace), Cell::number(3)]);
        table.row(vec![Cell::text("clear"), Cell::number(12_000)]);
        assert_eq!(table.text(&Paint::plain()), "LANE     HOSTS\nreplace      3\nclear    12000\n");
    }

    #[test]
    fn people_read_plurals_and_whole_seconds() {
        assert_eq!([0_usize, 1, 2].map(|count| counted(count, "host")), ["0 hosts", "1 host", "2 hosts"]);
        let at = Timestamp::from_millis(1_500);
        assert_eq!(when(at, at), "1970-01-01T00:00:01Z (just now)");
    }

    #[test]
    fn a_host_name_cannot_control_a_terminal_or_spreadsheet() {
        assert_eq!(clean("web\u{1b}[2J\u{7}"), "web\u{fffd}[2J\u{fffd}");
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("web-1"), "web-1");
    }

    #[test]
    fn colours_are_added_only_on_request() {
        assert_eq!(Paint::plain().lane(Lane::Replace, "replace"), "replace");
        assert_eq!(Paint { colour: true }.lane(Lane::Clear, "clear"), "\u{1b}[32mclear\u{1b}[0m");
    }
}
