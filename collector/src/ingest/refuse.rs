//! Why the door did not open: what an agent may conclude, what a person reads, and what only the log is told.

use bytes::Bytes;
use muster_proto::canonical::NotCanonical;
use muster_proto::convert::{ConvertError, RefusalDetail};
use muster_proto::model::{InvalidId, Pace, RefusalClass, Timestamp};
use muster_proto::{error_chain, wire};
use prost::Message as _;
use tonic::{Code, Status};

use crate::store::StoreError;
use crate::tls::SignError;

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refused {
    code: Code,
    class: RefusalClass,
    message: String,
    /// For the log alone.
    inner: Option<String>,
}

impl Refused {
    fn new(code: Code, class: RefusalClass, message: impl Into<String>) -> Self {
        Self { code, class, message: message.into(), inner: None }
    }

    /// The message is malformed; the text names the field.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, RefusalClass::Malformed, message)
    }

    /// Too much; the text names the limit.
    pub(super) fn too_much(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, RefusalClass::Limit, message)
    }

    /// A message that was not read, because of its size.
    pub(super) fn too_large() -> Self {
        let limit = muster_proto::limits::MESSAGE_BYTES;
        Self::too_much(format!("a message is larger than the limit MESSAGE_BYTES, which is {limit}"))
    }

    /// Nothing is wrong with the agent: come back later.
    pub(super) fn later(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, RefusalClass::Later, message)
    }

    /// Nobody that the collector knows.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, RefusalClass::Unknown, message)
    }

    /// A certificate that is no longer enough.
    pub(super) fn re_key(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, RefusalClass::ReKey, message)
    }

    /// The host's keys, or the token, were withdrawn.
    pub(super) fn revoked(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, RefusalClass::Revoked, message)
    }

    /// A token that was good once.
    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, RefusalClass::Unknown, message)
    }

    /// A field of the message that is not an identifier.
    pub(super) fn id(field: &'static str) -> impl Fn(InvalidId) -> Self {
        move |source| ConvertError::Id { field, source }.into()
    }

    /// Bytes that are not canonical; `what` names the field and what should be in it.
    pub(super) fn canonical(what: &str, error: &NotCanonical) -> Self {
        let message = format!("{what} is not canonical: {error}");
        if error.is_limit() { Self::too_much(message) } else { Self::malformed(message) }
    }

    /// The stream broke, or its message was too large to be read.
    pub(super) fn stream(status: &Status) -> Self {
        if status.code() == Code::OutOfRange {
            return Self::too_large();
        }
        if status.code() == Code::Internal {
            return Self::malformed("a message of the upload is not readable protobuf");
        }
        let inner = Some(status.to_string());
        Self { inner, ..Self::new(Code::Unavailable, RefusalClass::Later, "the upload broke off") }
    }

    /// The status that travels, with class, pace and the collector's time. What is inner is logged here, once.
    pub(super) fn into_status(self, method: &'static str, pace: Pace, now: Timestamp) -> Status {
        if let Some(inner) = &self.inner {
            if self.code == Code::Unavailable {
                tracing::debug!(method, error = inner, "an agent's call broke off");
            } else {
                tracing::error!(method, error = inner, "an agent's call failed here");
            }
        }
        let detail = wire::Refusal::from(RefusalDetail { class: self.class, pace, server_time: now });
        Status::with_details(self.code, self.message, Bytes::from(detail.encode_to_vec()))
    }
}

impl From<ConvertError> for Refused {
    fn from(error: ConvertError) -> Self {
        let is_limit = error.is_limit();
        let message = error_chain(&error);
        if is_limit { Self::too_much(message) } else { Self::malformed(message) }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let message = match &error {
            StoreError::Full { .. } => "the collector has no space left: it keeps nothing for now",
            StoreError::Closed { .. } => "the collector is stopping",
            StoreError::Unreachable { .. } => "the collector does not reach its database: come back later",
            StoreError::Open { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Operation { .. }
            | StoreError::Damaged { .. } => "the collector could not store it",
        };
        Self { inner: Some(error.to_string()), ..Self::new(Code::Internal, RefusalClass::Later, message) }
    }
}

impl From<SignError> for Refused {
    fn from(error: SignError) -> Self {
        match error {
            SignError::TooLong { .. } => Self::too_much(error.to_string()),
            SignError::NotARequest { .. }
            | SignError::BadSignature
            | SignError::KeyKind
            | SignError::NotACertificate { .. } => Self::malformed(error.to_string()),
            SignError::Sign { .. } => {
                let message = "the collector could not sign the certificate";
                Self { inner: Some(error_chain(&error)), ..Self::new(Code::Internal, RefusalClass::Later, message) }
            }
        }
    }
}
