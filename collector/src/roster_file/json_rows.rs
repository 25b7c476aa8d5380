//! The rows of JSON: an array of objects, pages of Microsoft Graph (`{"value": […]}`), or objects one after another.
//!
//! The columns of an object are its keys. Those of an object within it are joined with a dot: `registeredOwners.mail`. A key
//! `value` within it is the value itself, as in the dates and collections that PowerShell writes. An array is a cell with several
//! values.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::RosterFileError;
use super::report::RowRefusal;
use super::row::Cells;
use super::rows::Rows;
use super::text::{Progress, Text};

/// How deep cells are looked for in an object. Nothing that a roster needs is deeper.
const DEPTH: u8 = 4;
/// The key of the rows of a page, and of the value of an object that PowerShell has wrapped.
const VALUE: &str = "value";
/// The key of a page with the address of the next one.
const NEXT_PAGE: &str = "@odata.nextLink";
/// How keys begin that say something about an object and not about a machine (OData JSON Format 4.01, 4.6:
/// <https://docs.oasis-open.org/odata/odata-json-format/v4.01/odata-json-format-v4.01.html>).
const ANNOTATION: &str = "@odata.";

/// Reads the rows of a text.
pub(super) fn read<R: Read>(
    text: &mut Text<'_, R>,
    rows: &mut Rows<'_>,
    progress: &Progress,
) -> Result<(), RosterFileError> {
    let mut json = serde_json::Deserializer::from_reader(text);
    let mut list = List { rows, progress, is_stopped: false };
    loop {
        progress.begin_row(progress.line());
        match json.end() {
            Ok(()) => return Ok(()),
            // Another value begins.
            Err(fault) if !fault.is_io() => {}
            Err(fault) => return Err(fault_of(progress, fault)),
        }
        let entry = Entry { list: &mut list, may_be_list: true };
        match entry.deserialize(&mut json) {
            Ok(()) => {}
            Err(_) if list.is_stopped => return Ok(()),
            Err(fault) => return Err(fault_of(progress, fault)),
        }
    }
}

/// What stopped the parser: the text, a limit, or the JSON.
fn fault_of(progress: &Progress, source: serde_json::Error) -> RosterFileError {
    progress.take_fault().unwrap_or_else(|| RosterFileError::Json { line: progress.line(), source })
}

struct List<'l, 'a> {
    rows: &'l mut Rows<'a>,
    progress: &'l Progress,
    /// Whether the caller stopped the reading.
    is_stopped: bool,
}

impl List<'_, '_> {
    fn take(&mut self, line: u64, cells: &Cells) -> Result<(), RosterFileError> {
        self.is_stopped = self.rows.take(line, cells)?.is_break();
        Ok(())
    }

    /// The number of a column, which is added if it is new.
    fn column<E: Error>(&mut self, path: &str) -> Result<usize, E> {
        let line = self.progress.row_line();
        self.check_cell(path.len())?;
        let place = self.rows.columns.place(path);
        let place = place.map_err(|limit| self.progress.stop(RosterFileError::Limit { limit, line }));
        place.map_err(|()| E::custom("stopped"))
    }

    /// Runs what can stop the file, within a parser that has errors of its own.
    fn within<E: Error>(&mut self, result: Result<(), RosterFileError>) -> Result<(), E> {
        match result {
            Ok(()) if self.is_stopped => Err(E::custom("stopped")),
            Ok(()) => Ok(()),
            Err(fault) => {
                self.progress.stop(fault);
                Err(E::custom("stopped"))
            }
        }
    }

    fn check_cell<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        let result = self.rows.check_cell(self.progress.row_line(), bytes);
        self.within(result)
    }
}

/// One value of the text: a list, a page, a row, or something that is refused.
struct Entry<'e, 'l, 'a> {
    list: &'e mut List<'l, 'a>,
    /// Whether the value can be a list. Within a list it is none.
    may_be_list: bool,
}

impl<'de> DeserializeSeed<'de> for Entry<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        // The parser has seen the first character of the value, and nothing after it.
        self.list.progress.begin_row(self.list.progress.line());
        value.deserialize_any(self)
    }
}

impl Entry<'_, '_, '_> {
    fn refuse<E: Error>(self) -> Result<(), E> {
        let refused = self.list.rows.refuse(self.list.progress.row_line(), RowRefusal::NotAnObject);
        self.list.within(refused)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if !self.may_be_list {
            while entries.next_element::<IgnoredAny>()?.is_some() {}
            return self.refuse();
        }
        while entries.next_element_seed(Entry { list: &mut *self.list, may_be_list: false })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let line = self.list.progress.row_line();
        let mut cells = Cells::new();
        let (mut is_page, mut names_next) = (false, false);
        while let Some(key) = object.next_key::<String>()? {
            if key == NEXT_PAGE {
                names_next |= object.next_value::<Option<IgnoredAny>>()?.is_some();
            } else if key.starts_with(ANNOTATION) {
                object.next_value::<IgnoredAny>()?;
            } else if key == VALUE {
                is_page |= object.next_value_seed(PageOrCell { list: &mut *self.list, cells: &mut cells })?;
            } else {
                let column = self.list.column(&key)?;
                let list = &mut *self.list;
                object.next_value_seed(Cell { list, cells: &mut cells, path: &key, column, depth: 1 })?;
            }
        }
        if is_page {
            self.list.rows.end_page(names_next);
            return Ok(());
        }
        let taken = self.list.take(line, &cells);
        self.list.within(taken)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.refuse()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.refuse()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.refuse()
    }
}

/// The `value` of an object: the rows of a page if it is a list, otherwise a cell. Tells which.
struct PageOrCell<'e, 'l, 'a> {
    list: &'e mut List<'l, 'a>,
    cells: &'e mut Cells,
}

impl<'e, 'l, 'a> PageOrCell<'e, 'l, 'a> {
    fn cell<E: Error>(self) -> Result<Cell<'e, 'l, 'a>, E> {
        let column = self.list.column(VALUE)?;
        Ok(Cell { list: self.list, cells: self.cells, path: VALUE, column, depth: 1 })
    }
}

impl<'de> DeserializeSeed<'de> for PageOrCell<'_, '_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<bool, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PageOrCell<'_, '_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, or a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<bool, A::Error> {
        Entry { list: self.list, may_be_list: true }.visit_seq(entries).map(|()| true)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<bool, A::Error> {
        self.cell()?.visit_map(object).map(|()| false)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        self.cell()?.visit_bool(value).map(|()| false)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.cell()?.visit_i64(value).map(|()| false)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.cell()?.visit_u64(value).map(|()| false)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.cell()?.visit_f64(value).map(|()| false)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        self.cell()?.visit_str(value).map(|()| false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        self.cell()?.visit_unit().map(|()| false)
    }
}

/// A value of a row: a cell, or an object or array with cells.
struct Cell<'e, 'l, 'a> {
    list: &'e mut List<'l, 'a>,
    cells: &'e mut Cells,
    /// The name of the column, and its number.
    path: &'e str,
    column: usize,
    depth: u8,
}

impl Cell<'_, '_, '_> {
    fn put<E: Error>(self, value: &str) -> Result<(), E> {
        self.list.check_cell(value.len())?;
        if self.list.rows.columns.is_used(self.column) {
            self.cells.push((self.column, value.to_owned()));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        if self.depth > DEPTH {
            return value.deserialize_ignored_any(IgnoredAny).map(|_| ());
        }
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { list, cells, path, column, depth } = self;
        let mut next =
            || values.next_element_seed(Cell { list: &mut *list, cells: &mut *cells, path, column, depth: depth + 1 });
        while next()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { list, cells, path, column, depth } = self;
        while let Some(key) = object.next_key::<String>()? {
            if key == VALUE {
                let (list, cells) = (&mut *list, &mut *cells);
                object.next_value_seed(Cell { list, cells, path, column, depth: depth + 1 })?;
                continue;
            }
            let path = format!("{path}.{key}");
            let column = list.column(&path)?;
            let (list, cells) = (&mut *list, &mut *cells);
            object.next_value_seed(Cell { list, cells, path: &path, column, depth: depth + 1 })?;
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.put(&value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}
