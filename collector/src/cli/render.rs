//! Output: tables for people; JSON, NDJSON and CSV for programs. The only place that writes to standard output.
//!
//! Texts come from hosts. Pages, JSON and CSV are escaped here, so that a command cannot forget it; see
//! `muster_proto::terminal`. JSON keeps its meaning. CSV does not: it is for spreadsheets, and gets hidden characters as
//! `\u{202e}` and formulas with an apostrophe.

use std::io::{self, Write};
use std::time::Duration;

use muster_proto::model::Timestamp;
use muster_proto::terminal::{Escaping, PipeSafe, page as escaped_page, printable, spreadsheet_cell};

use super::args::Output;
use crate::config::format_span;

pub(super) use muster_proto::terminal::{Cell, Paint, Table};

/// What all formats of an answer share.
pub(super) struct Answer<'a, T> {
    /// The JSON document.
    pub(super) whole: &'a T,
    /// The header of the CSV.
    pub(super) header: &'a [&'a str],
}

/// Standard output and the format to write.
pub(super) struct Screen<'w> {
    out: PipeSafe<&'w mut (dyn Write + Send)>,
    output: Option<Output>,
    paint: Paint,
    now: Timestamp,
}

impl<'w> Screen<'w> {
    pub(super) fn new(out: &'w mut (dyn Write + Send), output: Option<Output>, paint: Paint, now: Timestamp) -> Self {
        Self { out: PipeSafe::new(out), output, paint, now }
    }

    /// Whether the reader of the output has gone away.
    pub(super) const fn is_closed(&self) -> bool {
        self.out.is_closed()
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
            Output::Table => {
                let text = page(&self.paint);
                self.out.write_all(escaped_page(&text, self.paint.has_colour()).as_bytes())?;
            }
            Output::Json => {
                serde_json::to_writer_pretty(Escaping::json(&mut self.out), answer.whole)?;
                self.out.write_all(b"\n")?;
            }
            Output::Ndjson => {
                for line in lines {
                    serde_json::to_writer(Escaping::json(&mut self.out), line)?;
                    self.out.write_all(b"\n")?;
                }
            }
            Output::Csv => {
                let mut csv = csv::Writer::from_writer(&mut self.out);
                csv.write_record(answer.header)?;
                for row in rows() {
                    csv.write_record(row.iter().map(|cell| spreadsheet_cell(cell)))?;
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
pub(crate) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A text from a host or a file, with its hidden characters escaped. [`Screen::show`] does it too; it is needed here where
/// the text is measured or gets colours.
pub(super) fn clean(text: &str) -> String {
    printable(text).into_owned()
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

/// `1.5 GiB`, `312 KiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let steps = (count.max(1).ilog2() / 10).min(5);
    // One digit after the point, and none for whole bytes and large numbers.
    let tenths = (u128::from(count) * 10) >> (10 * steps);
    let unit = UNITS[steps as usize];
    if steps == 0 || tenths >= 100 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
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
    fn bytes_have_a_unit_that_fits() {
        let shown = [0, 1023, 1024, 1536, 10 * 1024, 312 * 1024, (1 << 30) + (1 << 29), u64::MAX].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 KiB", "312 KiB", "1.5 GiB", "16383 PiB"]);
    }

    #[test]
    fn people_read_plurals_and_whole_seconds() {
        assert_eq!([0_usize, 1, 2].map(|count| counted(count, "host")), ["0 hosts", "1 host", "2 hosts"]);
        let at = Timestamp::from_millis(1_500);
        assert_eq!(when(at, at), "1970-01-01T00:00:01Z (just now)");
    }

    /// What `show` writes for a host with this name.
    fn shown(output: Output, name: &str, paint: Paint) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, Some(output), paint, Timestamp::default());
        let whole = serde_json::json!({ "name": name });
        let answer = Answer { whole: &whole, header: &["name"] };
        let page = |paint: &Paint| format!("{} {}\n", paint.bold("host"), name);
        screen.show(&answer, std::slice::from_ref(&whole), || vec![vec![name.to_owned()]], page).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_host_name_cannot_control_a_terminal_or_spreadsheet() {
        // `page` above forgets to escape the name.
        let name = "=web\u{202e}\u{2066}\u{200b}\u{1b}[2J\u{7}";
        for output in [Output::Table, Output::Json, Output::Ndjson, Output::Csv] {
            let text = shown(output, name, Paint::plain());
            assert!(!text.chars().any(|c| c != '\n' && muster_proto::terminal::is_hidden(c)), "{text:?}");
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
                assert_eq!(value["name"], name, "JSON keeps the name");
            }
        }
        assert_eq!(
            shown(Output::Csv, name, Paint::plain()),
            "name\n'=web\\u{202e}\\u{2066}\\u{200b}\\u{1b}[2J\\u{7}\n"
        );
        let coloured = shown(Output::Table, name, Paint::new(true, Some(80)));
        assert!(coloured.starts_with("\u{1b}[1mhost\u{1b}[0m =web\\u{202e}"), "{coloured:?}");
        assert!(coloured.contains("\\u{1b}[2J"), "{coloured:?}");
        assert_eq!(spreadsheet_cell("web-1"), "web-1");
    }
}
