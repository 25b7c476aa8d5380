//! What can go wrong inside a backend, and what the outside is told of it.

use super::StoreError;

/// The result of a step within an operation.
pub(in crate::store) type Step<T> = Result<T, Fault>;

/// Why a step failed. Can be told to several operations: when a commit fails, all of its operations have failed.
#[derive(Debug, Clone)]
pub(in crate::store) enum Fault {
    /// No space left.
    Full,
    /// The store was closed.
    Closed,
    /// Stored bytes are not what they should be.
    Damaged { what: String, reason: String },
    /// Anything else that the database says.
    Other(String),
}

impl Fault {
    pub(in crate::store) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), reason: reason.into() }
    }

    /// The fault as callers of the store see it.
    pub(in crate::store) fn into_error(self, operation: &'static str, place: &str) -> StoreError {
        match self {
            Self::Full => StoreError::Full { operation, place: place.to_owned() },
            Self::Closed => StoreError::Closed { operation },
            Self::Damaged { what, reason } => StoreError::Damaged { what, reason },
            Self::Other(reason) => StoreError::Operation { operation, reason },
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::damaged("a stored record", error.to_string())
    }
}
