//! Why a whole file cannot be read.

use super::encoding::TextEncoding;
use super::limits::RosterLimit;
use super::mapping::MappedColumn;
use super::other_format::OtherFormat;

/// Names of columns that an error lists. Exports have up to 60.
const LISTED_COLUMNS: usize = 60;

/// A file that cannot be read as a list of machines.
#[derive(Debug, thiserror::Error)]
pub enum RosterFileError {
    /// The bytes cannot be read.
    #[error("cannot read the file")]
    Read(#[source] std::io::Error),
    /// There is no text.
    #[error("the file is empty")]
    Empty,
    /// The file has another format.
    #[error("the file is {0}, and neither CSV nor JSON")]
    OtherFormat(OtherFormat),
    /// Bytes that are no text in the encoding of the file: half a character of UTF-16, or bytes that are not UTF-8.
    #[error("line {line} is not valid {encoding}")]
    Encoding {
        /// The encoding, as far as the file shows it.
        encoding: TextEncoding,
        /// The line, counted from 1.
        line: u64,
    },
    /// The text has a NUL character.
    #[error("line {line} has a NUL character, so the file is not text")]
    Nul {
        /// The line, counted from 1.
        line: u64,
    },
    /// The file exceeds a limit.
    #[error("{limit} (line {line})")]
    Limit {
        /// The limit.
        limit: RosterLimit,
        /// The line where the row begins that exceeds it, or where reading stopped.
        line: u64,
    },
    /// A quoted cell has no end.
    #[error("the row that begins in line {line} opens a quote that is never closed")]
    UnclosedQuote {
        /// The line, counted from 1.
        line: u64,
    },
    /// The JSON is damaged.
    #[error("cannot read the JSON in line {line}")]
    Json {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A CSV row cannot be read.
    #[error("cannot read the row that begins in line {line}")]
    Csv {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        source: csv::Error,
    },
    /// The file lacks columns that the mapping names.
    #[error("the file has no column {}; its columns are {}", quoted_mapped(.missing), quoted(.existing))]
    MissingColumns {
        /// The columns of the mapping.
        missing: Vec<MappedColumn>,
        /// The columns that exist.
        existing: Vec<String>,
    },
    /// No column has a name, full name, serial number, hardware UUID or network card.
    #[error("no column names a machine; the columns are {}", quoted(.existing))]
    NoNamingColumn {
        /// The columns that exist.
        existing: Vec<String>,
    },
}

impl RosterFileError {
    /// What to do about it, if anything can be said.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::OtherFormat(format) => Some(format.advice()),
            Self::Encoding { .. } | Self::Nul { .. } => Some("save the list as CSV UTF-8"),
            Self::MissingColumns { .. } => Some("name a column as the file spells it: --map FIELD=COLUMN"),
            Self::NoNamingColumn { .. } => {
                Some("name the system that the file comes from with --preset, or the columns with --map FIELD=COLUMN")
            }
            Self::UnclosedQuote { .. } => Some("export the file again, or close the quote"),
            Self::Limit { limit: RosterLimit::RowBytes(_) | RosterLimit::CellBytes(_), .. } => {
                Some("a quote before this line may not be closed; export the file again with the columns that you need")
            }
            Self::Limit { limit: RosterLimit::FileBytes(_) | RosterLimit::Columns(_), .. } => {
                Some("export only the columns that you need")
            }
            Self::Limit { limit: RosterLimit::Rows(_), .. } => Some("split the list, one file for each source"),
            Self::Read(_) | Self::Empty | Self::Json { .. } | Self::Csv { .. } => None,
        }
    }
}

fn quoted(columns: &[String]) -> String {
    let named = columns.iter().filter(|column| !column.is_empty());
    let listed: Vec<String> = named.clone().take(LISTED_COLUMNS).map(|column| format!("{column:?}")).collect();
    match named.count() - listed.len() {
        0 if listed.is_empty() => "without names".to_owned(),
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

fn quoted_mapped(columns: &[MappedColumn]) -> String {
    let listed: Vec<String> =
        columns.iter().map(|MappedColumn { field, column }| format!("{column:?} (for {field})")).collect();
    listed.join(" and no column ")
}
