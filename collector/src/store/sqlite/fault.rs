//! What can go wrong inside this backend, and what the outside is told of it.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// The result of a step within a deed.
pub(super) type Step<T> = Result<T, Fault>;

/// Why a step failed. Can be told to several deeds: when a commit fails, all of its deeds have failed.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// No space left.
    Full,
    /// The store was closed.
    Closed,
    /// Stored bytes are not what they should be.
    Damaged { what: String, reason: String },
    /// Anything else that SQLite says.
    Other(String),
}

impl Fault {
    pub(super) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), reason: reason.into() }
    }

    /// The fault as callers of the store see it.
    pub(super) fn into_error(self, deed: &'static str, place: &str) -> StoreError {
        match self {
            Self::Full => StoreError::Full { deed, place: place.to_owned() },
            Self::Closed => StoreError::Closed { deed },
            Self::Damaged { what, reason } => StoreError::Damaged { what, reason },
            Self::Other(reason) => StoreError::Deed { deed, reason },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        if code == Some(ErrorCode::DiskFull) {
            Self::Full
        } else if matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) {
            Self::damaged("the database file", error.to_string())
        } else if matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
        ) {
            Self::damaged("a row", error.to_string())
        } else {
            Self::Other(error.to_string())
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::damaged("a stored record", error.to_string())
    }
}
