//! Conversions between the wire and the model, one file for each subject. From model to wire cannot fail. From wire to
//! model names the field that is wrong.

mod account;
mod agent;
mod ambiguous;
mod attestation;
mod bulk;
mod disposition;
mod duty;
mod fleet;
mod host_action;
mod order;
mod order_change;
mod past;
mod resources;
mod roster;
pub mod stored;
mod timeline;
mod waiver;

pub use agent::{RefusalDetail, SectionUpload};
pub use ambiguous::{ambiguous_host, hosts_meant};

use crate::model::{HostId, InvalidId, InvalidSubject, Timestamp, UnknownName, is_visible_text};

/// A message that cannot be converted to the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A required field is missing.
    #[error("{field} is missing")]
    Missing {
        /// The field with its message: `CheckInRequest.run_id`.
        field: &'static str,
    },
    /// An invalid identifier or digest.
    #[error("{field} is not valid")]
    Id {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        source: InvalidId,
    },
    /// A name that is not in its closed list.
    #[error("{field} has a name that this version does not know")]
    Name {
        /// The field.
        field: &'static str,
        /// The received value.
        #[source]
        source: UnknownName,
    },
    /// A code that is not in its closed list.
    #[error("{field} has the code {code}, which this version does not know")]
    Code {
        /// The field.
        field: &'static str,
        /// The received value.
        code: u32,
    },
    /// A text that people read, and that is not what it looks like.
    #[error("{field} has control characters, invisible characters, or space at an end")]
    Text {
        /// The field.
        field: &'static str,
    },
    /// A text that is none of those that its field can have.
    #[error("{field} is not valid")]
    Subject {
        /// The field.
        field: &'static str,
        /// What it can be.
        #[source]
        source: InvalidSubject,
    },
    /// A limit of the contract is exceeded.
    #[error("{field} has {value}; the limit {limit_name} is {limit}")]
    Limit {
        /// The field.
        field: &'static str,
        /// The number of bytes or elements.
        value: usize,
        /// The limit's name in `limits`.
        limit_name: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl ConvertError {
    /// Whether a limit is exceeded; otherwise the message is malformed.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::Limit { .. })
    }
}

fn code<T>(field: &'static str, code: u32, from_code: impl Fn(u8) -> Option<T>) -> Result<T, ConvertError> {
    u8::try_from(code).ok().and_then(from_code).ok_or(ConvertError::Code { field, code })
}

fn id<T>(field: &'static str, parsed: Result<T, InvalidId>) -> Result<T, ConvertError> {
    parsed.map_err(|source| ConvertError::Id { field, source })
}

fn host_id(field: &'static str, bytes: &[u8]) -> Result<HostId, ConvertError> {
    id(field, HostId::try_from(bytes))
}

fn present<T>(field: &'static str, value: Option<T>) -> Result<T, ConvertError> {
    value.ok_or(ConvertError::Missing { field })
}

const fn within(field: &'static str, value: usize, limit_name: &'static str, limit: usize) -> Result<(), ConvertError> {
    if value > limit { Err(ConvertError::Limit { field, value, limit_name, limit }) } else { Ok(()) }
}

fn visible(field: &'static str, text: &str) -> Result<(), ConvertError> {
    if is_visible_text(text) { Ok(()) } else { Err(ConvertError::Text { field }) }
}

fn instant(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}
