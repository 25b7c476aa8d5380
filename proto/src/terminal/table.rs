//! Tables with aligned columns and no lines, so that `cut` and `grep` work on them.
//!
//! On a terminal no row is wider than the terminal: first the columns that a table can do without are left out, then long
//! cells are cut with `…`. A pipe or a file gets every column and every cell in full.

use super::escape::printable;
use super::paint::Paint;
use super::width::{cut, width};
use crate::model::Lane;

/// Between two columns.
const GAP: &str = "  ";
/// A column is not cut below this width while other columns can be left out. `replace (overdue)` fits.
const READABLE: usize = 18;
/// The least width of a column.
const LEAST: usize = 3;
/// In a pipe or a file no column is padded beyond this width. A longer cell moves the rest of its own row only, so that one
/// long name does not fill every row with spaces.
const PADDED: usize = 80;

/// A cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    is_right: bool,
    lane: Option<Lane>,
}

impl Cell {
    /// A text, escaped, on one line.
    pub fn text(text: impl AsRef<str>) -> Self {
        // A line break would split the row.
        Self { text: printable(text.as_ref()).replace('\n', " "), is_right: false, lane: None }
    }

    /// A number, on the right of its column.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self { text: number.to_string(), is_right: true, lane: None }
    }

    /// A lane in its colour.
    #[must_use]
    pub fn lane(lane: Lane) -> Self {
        Self { text: lane.name().to_owned(), is_right: false, lane: Some(lane) }
    }

    /// A lane, marked if the host is overdue in it.
    #[must_use]
    pub fn marked_lane(lane: Lane, overdue: bool) -> Self {
        let mark = if overdue { " (overdue)" } else { "" };
        Self { text: format!("{lane}{mark}"), ..Self::lane(lane) }
    }
}

/// A table. Each row has as many cells as the header.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
    /// The widest cell of each column, and whether it is on the right in the first row.
    natural: Vec<usize>,
    is_right: Vec<bool>,
    indent: &'static str,
    dispensable: Vec<String>,
}

impl Table {
    /// A table with these column names; they are shown in capitals.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        let header: Vec<String> = header.iter().map(|name| printable(name).to_uppercase()).collect();
        let natural = header.iter().map(|name| width(name)).collect();
        Self { header, rows: Vec::new(), natural, is_right: Vec::new(), indent: "", dispensable: Vec::new() }
    }

    /// The same table two spaces further in.
    #[must_use]
    pub fn indented(mut self) -> Self {
        self.indent = GAP;
        self
    }

    /// Columns that may be left out on a narrow terminal, the least important first.
    #[must_use]
    pub fn dispensable(mut self, columns: &[&str]) -> Self {
        self.dispensable = columns.iter().map(|name| name.to_uppercase()).collect();
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.measure(&cells);
        self.rows.push(cells);
    }

    /// Makes place for a row without keeping it. For tables that are too large for memory: first measure each row, then give
    /// it to the printer.
    pub fn measure(&mut self, cells: &[Cell]) {
        if self.is_right.is_empty() {
            self.is_right = cells.iter().map(|cell| cell.is_right).collect();
        }
        for (natural, cell) in self.natural.iter_mut().zip(cells) {
            *natural = width(&cell.text).max(*natural);
        }
    }

    /// Prints rows in the widths that were measured.
    #[must_use]
    pub fn printer<'t>(&'t self, paint: &'t Paint) -> Printer<'t> {
        let layout = match paint.width() {
            Some(terminal) => self.fit(&self.natural, terminal),
            None => Layout {
                columns: self.natural.iter().enumerate().map(|(at, width)| (at, (*width).min(PADDED))).collect(),
                left_out: Vec::new(),
            },
        };
        Printer { table: self, paint, layout }
    }

    /// The table as text. A last line names the columns that were left out.
    #[must_use]
    pub fn text(&self, paint: &Paint) -> String {
        let printer = self.printer(paint);
        let rows = self.rows.iter().map(|row| printer.row(row));
        [printer.head()].into_iter().chain(rows).chain([printer.foot()]).collect()
    }

    /// Chooses columns and their widths for a terminal.
    fn fit(&self, natural: &[usize], terminal: usize) -> Layout {
        let mut shown: Vec<usize> = (0..natural.len()).collect();
        let mut left_out = Vec::new();
        let space = |columns: usize| terminal.saturating_sub(self.indent.len() + GAP.len() * columns.saturating_sub(1));
        let total = |shown: &[usize], cap: usize| shown.iter().map(|at| natural[*at].min(cap)).sum::<usize>();
        for name in &self.dispensable {
            if total(&shown, READABLE) <= space(shown.len()) {
                break;
            }
            if shown.iter().any(|at| self.header[*at] == *name) {
                shown.retain(|at| self.header[*at] != *name);
                left_out.push(name.to_lowercase());
            }
        }
        let space = space(shown.len());
        // The widest columns are cut first, all to the same width.
        let cap = (LEAST..=space).rev().find(|cap| total(&shown, *cap) <= space).unwrap_or(LEAST);
        let mut columns: Vec<(usize, usize)> = shown.iter().map(|at| (*at, natural[*at].min(cap))).collect();
        let spare = space.saturating_sub(total(&shown, cap));
        // What division leaves over goes to the last cut column, which usually has a sentence.
        if let Some((at, width)) = columns.iter_mut().rev().find(|(at, width)| natural[*at] > *width) {
            *width = (*width + spare).min(natural[*at]);
        }
        Layout { columns, left_out }
    }
}

/// Prints the rows of a table one by one.
#[derive(Debug)]
pub struct Printer<'t> {
    table: &'t Table,
    paint: &'t Paint,
    layout: Layout,
}

impl Printer<'_> {
    /// The line with the names of the columns.
    #[must_use]
    pub fn head(&self) -> String {
        let Table { header, is_right, indent, .. } = self.table;
        let is_right = |at: usize| is_right.get(at).copied().unwrap_or_default();
        let is_cut = self.paint.width().is_some();
        let columns = &self.layout.columns;
        let cells = columns.iter().map(|(at, width)| padded(&header[*at], *width, is_right(*at), is_cut));
        format!("{indent}{}\n", self.paint.dim(cells.collect::<Vec<_>>().join(GAP).trim_end()))
    }

    /// The line of a row.
    #[must_use]
    pub fn row(&self, row: &[Cell]) -> String {
        let is_cut = self.paint.width().is_some();
        let cells = self.layout.columns.iter().filter_map(|(at, width)| {
            let cell = row.get(*at)?;
            // Pad before colouring: colour codes count as characters but have no width.
            let padded = padded(&cell.text, *width, cell.is_right, is_cut);
            Some(cell.lane.map_or(padded.clone(), |lane| self.paint.lane(lane, &padded)))
        });
        let line = cells.collect::<Vec<_>>().join(GAP);
        format!("{}{}\n", self.table.indent, line.trim_end())
    }

    /// A last line that names the columns that were left out; empty if there are none.
    #[must_use]
    pub fn foot(&self) -> String {
        let left_out = &self.layout.left_out;
        if left_out.is_empty() {
            return String::new();
        }
        let note = format!("(not shown here: {}; a wider terminal or -o csv has all)", left_out.join(", "));
        format!("{}{}\n", self.table.indent, self.paint.dim(&note))
    }
}

#[derive(Debug)]
struct Layout {
    /// The columns to show, with their widths.
    columns: Vec<(usize, usize)>,
    left_out: Vec<String>,
}

fn padded(text: &str, columns: usize, is_right: bool, is_cut: bool) -> String {
    let text = if is_cut { cut(text, columns) } else { text.into() };
    let fill = " ".repeat(columns.saturating_sub(width(&text)));
    if is_right { format!("{fill}{text}") } else { format!("{text}{fill}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(width: usize) -> Paint {
        Paint::new(false, Some(width))
    }

    fn findings(host: &str) -> Table {
        let header = ["lane", "host", "site", "platform", "presence", "protection", "since", "reason"];
        let mut table = Table::new(&header).indented().dispensable(&["platform", "protection", "presence", "site"]);
        for host in [host, "plant-7"] {
            let mut row = vec![Cell::marked_lane(Lane::Replace, true)];
            row.extend([host, "hq", "linux", "installed", "none", "3d 4h ago"].map(Cell::text));
            row.push(Cell::text("Kaspersky Endpoint Security 12.0 is installed; no accepted protection is active."));
            table.row(row);
        }
        table
    }

    #[test]
    fn columns_align_and_numbers_are_on_the_right() {
        let mut table = Table::new(&["lane", "hosts"]);
        table.row(vec![Cell::lane(Lane::Replace), Cell::number(3)]);
        table.row(vec![Cell::text("clear"), Cell::number(12_000)]);
        assert_eq!(table.text(&Paint::plain()), "LANE     HOSTS\nreplace      3\nclear    12000\n");
        let mut wide = Table::new(&["name", "of"]);
        wide.row(vec![Cell::text("卡巴"), Cell::text("a")]);
        wide.row(vec![Cell::text("kesl"), Cell::text("b")]);
        assert_eq!(wide.text(&Paint::plain()), "NAME  OF\n卡巴  a\nkesl  b\n", "two columns for each character");
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        let table = findings(&"n".repeat(255));
        for terminal in [40, 60, 80, 100, 120, 200, 400] {
            let text = table.text(&on(terminal));
            for line in text.lines().filter(|line| !line.contains("not shown here")) {
                assert!(width(line) <= terminal, "{} columns on {terminal}: {line}", width(line));
            }
        }
        let text = table.text(&on(80));
        assert!(
            text.contains("replace (overdue)  plant-7") && text.contains("Kaspersky Endpoi") && text.contains('…'),
            "{text}"
        );
        assert!(text.contains("(not shown here: platform"), "{text}");
        assert!(!findings("web-1").text(&on(200)).contains('…'));
    }

    #[test]
    fn a_pipe_gets_every_cell_in_full_and_few_spaces() {
        let text = findings(&"n".repeat(255)).text(&Paint::plain());
        assert!(text.contains(&"n".repeat(255)) && !text.contains('…'), "{text}");
        let row = text.lines().find(|line| line.contains("plant-7")).expect("a row");
        assert!(width(row) < 260, "{} columns: {row}", width(row));
    }

    #[test]
    fn a_cell_cannot_split_its_row_or_control_the_terminal() {
        let mut table = Table::new(&["name"]);
        table.row(vec![Cell::text("a\nb\u{202e}\u{1b}[2J")]);
        assert_eq!(table.text(&Paint::plain()), "NAME\na b\\u{202e}\\u{1b}[2J\n");
    }
}
