//! What PostgreSQL says, as a fault of this backend: what may be tried again is told apart from what may not.

use tokio_postgres::error::SqlState;

use crate::store::StoreError;
use crate::store::fault;

/// The result of a step within an operation.
pub(super) type Step<T> = Result<T, Fault>;

/// Why a step failed.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Nothing was kept, because another transaction was in the way; the whole operation may be tried again.
    Again(String),
    /// The connection is lost, or the server no longer takes writes. During a commit nobody knows what became of it.
    Lost(String),
    /// What is so for every backend.
    Plain(fault::Fault),
}

impl Fault {
    pub(super) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Plain(fault::Fault::damaged(what, reason))
    }

    pub(super) fn other(reason: impl Into<String>) -> Self {
        Self::Plain(fault::Fault::Other(reason.into()))
    }

    pub(super) const fn closed() -> Self {
        Self::Plain(fault::Fault::Closed)
    }

    /// The fault as callers of the store see it.
    pub(super) fn into_error(self, operation: &'static str, place: &str) -> StoreError {
        match self {
            Self::Again(reason) => StoreError::Operation { operation, reason },
            Self::Lost(reason) => StoreError::Unreachable { operation, place: place.to_owned(), reason },
            Self::Plain(fault) => fault.into_error(operation, place),
        }
    }
}

impl From<fault::Fault> for Fault {
    fn from(fault: fault::Fault) -> Self {
        Self::Plain(fault)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Plain(error.into())
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let text = muster_proto::error_chain(&error);
            // A value that is not of the type that the schema promises, or a connection that broke.
            let is_of_a_row = text.contains("deserializing column") || text.contains("serializing parameter");
            return if is_of_a_row { Self::damaged("a row", text) } else { Self::Lost(text) };
        };
        // The details of the server's message may hold values of the row: only the message itself is told.
        let text = said.message().to_owned();
        let code = said.code();
        if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE]
            .contains(code)
        {
            Self::Again(text)
        } else if is_of_the_server(code) {
            Self::Lost(text)
        } else if [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY].contains(code) {
            Self::Plain(fault::Fault::Full)
        } else if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code) {
            Self::damaged("the database", text)
        } else {
            Self::other(text)
        }
    }
}

/// Whether it is the server that is going, coming, or no longer the writable one, and not the statement.
fn is_of_the_server(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ]
    .contains(code)
        || code.code().starts_with("08")
}
