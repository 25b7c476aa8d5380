//! What SQLite says, as a fault of the store.

use rusqlite::ErrorCode;

pub(super) use crate::store::fault::{Step, StoreFault};

impl From<rusqlite::Error> for StoreFault {
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
