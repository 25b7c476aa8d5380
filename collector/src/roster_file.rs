//! Reads a file that lists the machines of an organisation: an export of Active Directory, Entra ID, Intune or Configuration
//! Manager, or any CSV or JSON. Pure: bytes and a mapping in, rows and a report out; it opens no file and reads no clock.
//!
//! ```text
//!  bytes ─► encoding ─► text ─┬─► csv_rows ──┬─► rows ─► row (columns, times) ─► RosterRow
//!           (to UTF-8)        └─► json_rows ─┘     └─► report: columns, refused rows
//! ```
//!
//! The file is streamed. Nothing holds more of it than one row, so a file of any size costs the same memory; every limit is in
//! [`Limits`]. A row that cannot be understood is refused with its line and the reason, and the others are read. Duplicates are
//! not looked for.

mod columns;
mod csv_rows;
mod encoding;
mod error;
mod json_rows;
mod limits;
mod list;
mod mapping;
mod other_format;
mod presets;
mod report;
mod row;
mod rows;
mod text;
mod times;

use std::io::Read;
use std::ops::ControlFlow;

pub use encoding::TextEncoding;
pub use error::RosterFileError;
pub use limits::{Limits, RosterLimit};
pub use list::{CheckedList, check_list, read_machines};
pub use mapping::{InvalidMappedColumn, MappedColumn, Mapping, SlashDates};
pub use muster_proto::model::{RosterField, RosterRow, RosterRowFault};
pub use other_format::OtherFormat;
pub use presets::{Preset, UnknownPreset};
pub use report::{RefusedRow, RosterFileFormat, RosterFileReport, RowRefusal, UsedColumn};
pub use times::UnreadableTime;

use rows::Rows;
use text::{Progress, Text};

/// Reads a file and hands over each of its machines with the line where its row begins. `each` can stop the reading.
///
/// A row whose cells are all empty is no row.
///
/// # Errors
/// The file is no CSV or JSON, its text is damaged, it exceeds a limit, or its columns name no machine. Rows that were handed over
/// before the error are a part of the list only: the caller drops them.
pub fn read(
    source: impl Read,
    mapping: &Mapping,
    each: &mut dyn FnMut(u64, RosterRow) -> ControlFlow<()>,
) -> Result<RosterFileReport, RosterFileError> {
    read_within(source, mapping, &Limits::DEFAULT, each)
}

/// The same within other limits.
///
/// # Errors
/// As [`read`].
pub fn read_within(
    source: impl Read,
    mapping: &Mapping,
    limits: &Limits,
    each: &mut dyn FnMut(u64, RosterRow) -> ControlFlow<()>,
) -> Result<RosterFileReport, RosterFileError> {
    let progress = Progress::default();
    let mut text = Text::open(source, limits, &progress)?;
    let mut rows = Rows::new(mapping, limits, each);
    let format = match text.first_visible()? {
        None => return Err(RosterFileError::Empty),
        Some(b'<') => return Err(RosterFileError::OtherFormat(OtherFormat::Markup)),
        Some(b'{' | b'[') => {
            json_rows::read(&mut text, &mut rows, &progress)?;
            RosterFileFormat::Json
        }
        Some(_) => RosterFileFormat::Csv { delimiter: csv_rows::read(&mut text, &mut rows, &progress)? },
    };
    rows.finish(format, text.encoding(), text.bytes_read())
}

#[cfg(test)]
mod tests;
