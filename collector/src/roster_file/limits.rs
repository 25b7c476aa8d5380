//! What a roster file may cost. Each limit has its reason; a file beyond one is refused by the limit's name.

use muster_proto::limits::ROSTER_ROWS;

/// The limits of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. A million rows with the 60 columns of the largest known export (Intune, all devices) have 250 bytes each
    /// in the columns that are used by somebody, and fit.
    pub file_bytes: u64,
    /// Rows of the file: the largest fleet that a collector serves.
    pub rows: u64,
    /// Bytes of one row. It bounds what is held in memory, and how much an unclosed quote swallows.
    pub row_bytes: u64,
    /// Bytes of one cell. Exports of directories have lists of groups and certificates in cells beside those that are used.
    pub cell_bytes: usize,
    /// Columns: more than all attributes of a computer in Active Directory.
    pub columns: usize,
    /// Refused rows that the report lists; the rest is counted. Nobody reads more of them.
    pub refused_listed: usize,
}

impl Limits {
    /// The limits in use.
    pub const DEFAULT: Self = Self {
        file_bytes: 256 << 20,
        rows: ROSTER_ROWS as u64,
        row_bytes: 1 << 20,
        cell_bytes: 16 << 10,
        columns: 512,
        refused_listed: 1_000,
    };
}

/// A limit that a file exceeds, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RosterLimit {
    /// [`Limits::file_bytes`].
    #[error("the file is larger than {0} bytes")]
    FileBytes(u64),
    /// [`Limits::rows`].
    #[error("the file has more than {0} rows")]
    Rows(u64),
    /// [`Limits::row_bytes`].
    #[error("a row is longer than {0} bytes")]
    RowBytes(u64),
    /// [`Limits::cell_bytes`].
    #[error("a cell is longer than {0} bytes")]
    CellBytes(usize),
    /// [`Limits::columns`].
    #[error("the file has more than {0} columns")]
    Columns(usize),
}
