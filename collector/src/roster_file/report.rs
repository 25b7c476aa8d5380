//! What reading a file found, beside its rows.

use super::encoding::TextEncoding;
use super::times::UnreadableTime;
use muster_proto::model::{RosterField, RosterRowFault};

/// What a file is, how its columns were understood, and which rows were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterFileReport {
    /// The format.
    pub format: RosterFileFormat,
    /// The encoding.
    pub encoding: TextEncoding,
    /// Bytes that were read.
    pub bytes: u64,
    /// The columns that are used, in the order of the file. A column can be used for several fields.
    pub columns_used: Vec<UsedColumn>,
    /// The columns that are not used, in the order of the file.
    pub columns_ignored: Vec<String>,
    /// Rows with content, accepted or refused.
    pub rows_read: u64,
    /// Rows that were refused.
    pub rows_refused: u64,
    /// The first of them, at most [`super::Limits::refused_listed`].
    pub refused: Vec<RefusedRow>,
    /// Whether the caller stopped the reading before the end. Columns that follow in JSON are then unknown.
    pub is_stopped: bool,
    /// Whether the last page in the file names a next page that is not in it (`@odata.nextLink`,
    /// <https://learn.microsoft.com/graph/paging>): the file is only a part of the list.
    pub is_one_page_of_several: bool,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterFileFormat {
    /// Rows with a header.
    Csv {
        /// What is between two cells.
        delimiter: char,
    },
    /// Objects: in an array, in the `value` of a page of Microsoft Graph, or one after another.
    Json,
}

impl std::fmt::Display for RosterFileFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Csv { delimiter: '\t' } => f.pad("CSV with tabs"),
            Self::Csv { delimiter } => f.pad(&format!("CSV with {delimiter:?}")),
            Self::Json => f.pad("JSON"),
        }
    }
}

/// A column that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedColumn {
    /// Its name in the file.
    pub column: String,
    /// What it is used as.
    pub field: RosterField,
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The line of the file where it begins, counted from 1.
    pub line: u64,
    /// The column with the fault; `None` if it is the row as a whole.
    pub column: Option<String>,
    /// Why.
    pub reason: RowRefusal,
}

impl std::fmt::Display for RefusedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, column, reason } = self;
        match column {
            Some(column) => write!(f, "line {line}, column {column:?}: {reason}"),
            None => write!(f, "line {line}: {reason}"),
        }
    }
}

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowRefusal {
    /// A value has no known spelling, or nothing names a machine.
    #[error(transparent)]
    Row(#[from] RosterRowFault),
    /// A time cannot be read.
    #[error(transparent)]
    Time(#[from] UnreadableTime),
    /// The row has not as many cells as the header.
    #[error("the row has {cells} cells, and the header has {header}")]
    Cells {
        /// Cells of the row.
        cells: usize,
        /// Cells of the header.
        header: usize,
    },
    /// An entry of a JSON list is no object.
    #[error("the entry is no JSON object")]
    NotAnObject,
}
