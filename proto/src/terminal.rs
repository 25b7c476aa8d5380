//! What every program needs to print for a person: escaped invisible characters, tables that fit the terminal, output that
//! survives a closed pipe, and the progress of long work.
//!
//! Names come from hosts, and a host may be hostile. Nothing that a host sent reaches a terminal, a JSON document or a
//! spreadsheet unless it went through [`printable`] or [`Escaping`].

mod escape;
mod output;
mod paint;
mod progress;
mod table;
mod width;

pub use crate::model::is_hidden;
pub use escape::{Escaping, json_text, page, printable, spreadsheet_cell};
pub use output::PipeSafe;
pub use paint::Paint;
pub use progress::{Progress, ShownProgress, StderrAboveProgress};
pub use table::{Cell, Table};
pub use width::{columns, cut, width};
