//! Refusals: the class for the agent, the message for people, and details for the log only.

use std::time::Duration;

use bytes::Bytes;
use muster_proto::canonical::NotCanonical;
use muster_proto::convert::{ConvertError, RefusalDetail};
use muster_proto::model::{Budget, HostId, InvalidId, Pace, RefusalClass, SiteId, Timestamp};
use muster_proto::{error_chain, wire};
use prost::Message as _;
use tonic::{Code, Status};

use super::enrollment_rate::{ComeBack, TooMany};
use crate::store::StoreError;
use crate::tls::SignError;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    code: Code,
    class: RefusalClass,
    message: String,
    /// For the log only.
    inner: Option<String>,
    /// When to come back, if it differs from the usual pace: the time, and the random part that is added.
    come_back: Option<(Duration, Duration)>,
}

impl Refused {
    fn new(code: Code, class: RefusalClass, message: impl Into<String>) -> Self {
        Self { code, class, message: message.into(), inner: None, come_back: None }
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
        Self::too_much(format!("a message is larger than the limit MESSAGE_BYTES ({limit})"))
    }

    /// The collector is busy; the agent should try again later.
    pub(super) fn later(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, RefusalClass::Later, message)
    }

    /// Too many hosts enroll.
    pub(super) fn too_many_enrollments(too_many: TooMany) -> Self {
        let (setting, ComeBack { next, spread }) = match too_many {
            TooMany::WithToken(come_back) => ("enrollment.token_per_minute", come_back),
            TooMany::AtAddress(come_back) => ("enrollment.address_per_minute", come_back),
        };
        let message = format!("too many hosts enroll at once ({setting}); try again in {} s", next.as_secs().max(1));
        Self { come_back: Some((next, spread)), ..Self::later(message) }
    }

    /// The dictionary of editions is full.
    pub(super) fn dictionary_full() -> Self {
        let settings = "editions.most or editions.text_bytes";
        Self::later(format!("the collector knows as much different software as {settings} allows; try again later"))
    }

    /// A budget is spent.
    pub(super) fn over_budget(budget: Budget, until: Timestamp) -> Self {
        Self::later(format!("{} is spent; try again after {}", budget.setting(), until.to_rfc3339()))
    }

    /// An unknown host, key or token.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, RefusalClass::Unknown, message)
    }

    /// A certificate that must be renewed.
    pub(super) fn re_key(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, RefusalClass::ReKey, message)
    }

    /// A host whose keys an operator revoked.
    pub(super) fn host_revoked() -> Self {
        Self::revoked("the keys of this host are revoked; an operator can release it")
    }

    /// The key is not accepted any more.
    fn revoked(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, RefusalClass::Revoked, message)
    }

    /// A report that the host's later reports contradict: its machine was rolled back, or its key is used twice.
    pub(super) fn new_run(host: HostId) -> Self {
        tracing::info!(host.id = %host, "a host reports something else under a number that it has used; it is asked for a new run");
        let message = "this host has reported something else since; draw a new run id and report everything again";
        Self::new(Code::Aborted, RefusalClass::NewRun, message)
    }

    /// A key that was replaced by a newer one of the same host.
    pub(super) fn superseded() -> Self {
        Self::revoked("the host of this key has used a newer key; enroll this machine again, with a new key")
    }

    /// A host that is enrolled in another site than the token's.
    pub(super) fn other_site(site: &SiteId, token_site: &SiteId) -> Self {
        let message = format!("this host is enrolled in site {site}, and the token is for site {token_site}");
        Self::new(Code::FailedPrecondition, RefusalClass::OtherSite, message)
    }

    /// A token that is no longer valid.
    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, RefusalClass::Unknown, message)
    }

    /// A field that is not a valid identifier.
    pub(super) fn id(field: &'static str) -> impl Fn(InvalidId) -> Self {
        move |source| ConvertError::Id { field, source }.into()
    }

    /// Bytes that are not in canonical form; `what` names the field.
    pub(super) fn canonical(what: &str, error: &NotCanonical) -> Self {
        let message = format!("{what} is not canonical: {error}");
        if error.is_limit() { Self::too_much(message) } else { Self::malformed(message) }
    }

    /// The stream failed, or a message was too large.
    pub(super) fn stream(status: &Status) -> Self {
        if status.code() == Code::OutOfRange {
            return Self::too_large();
        }
        if status.code() == Code::Internal {
            return Self::malformed("a message of the upload is not valid protobuf");
        }
        let inner = Some(status.to_string());
        Self { inner, ..Self::new(Code::Unavailable, RefusalClass::Later, "the upload was interrupted") }
    }

    /// The gRPC status with class, pace and the collector's time. Logs the inner error.
    pub(super) fn into_status(self, method: &'static str, pace: Pace, now: Timestamp) -> Status {
        if let Some(inner) = &self.inner {
            // Agents lose connections every day, so this is no error of the collector.
            if self.code == Code::Unavailable {
                tracing::debug!(method, error = inner, "a call of an agent was interrupted");
            } else {
                tracing::error!(method, error = inner, "a call of an agent failed");
            }
        }
        let pace = self.come_back.map_or(pace, |(next, jitter)| Pace { next, jitter, ..pace });
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
            StoreError::EditionsFull { .. } => return Self::dictionary_full(),
            StoreError::Full { .. } => "the collector's disk is full; try again later",
            StoreError::Closed { .. } => "the collector is stopping",
            StoreError::Unreachable { .. } => "the collector cannot reach its database; try again later",
            StoreError::Open { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::OlderSchema { .. }
            | StoreError::Empty { .. }
            | StoreError::OtherSchema { .. }
            | StoreError::Operation { .. }
            | StoreError::SearchStopped { .. }
            | StoreError::Damaged { .. } => "the collector could not store the request",
        };
        // The fault is the collector's, so the agent keeps its data and tries again. Details of the store go to the log
        // only.
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
            SignError::Sign { .. } | SignError::Record { .. } => {
                let message = "the collector could not sign the certificate";
                Self { inner: Some(error_chain(&error)), ..Self::new(Code::Internal, RefusalClass::Later, message) }
            }
        }
    }
}
