//! Why a step inside a backend failed, before the caller's operation is known.

use super::StoreError;
use super::search_budget::SearchStop;

/// The result of one step of an operation: one statement, or one value that is read from a row. A step that fails ends
/// the operation, and its transaction is rolled back.
pub type Step<T> = Result<T, StoreFault>;

/// Why a step failed. It can be cloned, because one failed commit fails all operations that it was to commit.
#[derive(Debug, Clone)]
pub enum StoreFault {
    /// No space is left on the disk.
    Full,
    /// The dictionary has as many editions as it may have.
    EditionsFull,
    /// A search has ended without an answer.
    Stopped(SearchStop),
    /// The store is closed.
    Closed,
    /// Stored bytes are not what they should be.
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Any other error of the database.
    Other(String),
}

impl StoreFault {
    /// A record whose stored bytes are not what they should be.
    pub fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), reason: reason.into() }
    }

    /// The error that the caller of `operation` gets. `place` is the path or address of the database, without secrets.
    pub(in crate::store) fn into_error(self, operation: &'static str, place: &str) -> StoreError {
        match self {
            Self::Full => StoreError::Full { operation, place: place.to_owned() },
            Self::EditionsFull => StoreError::EditionsFull { operation },
            Self::Stopped(stop) => StoreError::SearchStopped { stop },
            Self::Closed => StoreError::Closed { operation },
            Self::Damaged { what, reason } => StoreError::Damaged { what, reason },
            Self::Other(reason) => StoreError::Operation { operation, reason },
        }
    }
}

impl From<SearchStop> for StoreFault {
    fn from(stop: SearchStop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<serde_json::Error> for StoreFault {
    fn from(error: serde_json::Error) -> Self {
        Self::damaged("a stored record", error.to_string())
    }
}
