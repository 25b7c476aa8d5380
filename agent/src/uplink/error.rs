//! What can go wrong between agent and collector, and what the agent may conclude from it.

use muster_proto::convert::{ConvertError, RefusalDetail};
use muster_proto::error_chain;
use muster_proto::model::{Pace, RefusalClass, Timestamp, clean_text};
use muster_proto::wire;
use prost::Message;

use super::connect::{ConnectError, is_about_us, tls_fault};
use super::delivery::DeliveryError;
use super::trust::TlsError;
use crate::identity::IdentityError;

/// The most bytes of a message of the collector that are shown.
const MESSAGE_BYTES: usize = 1024;

/// Why a call to the collector failed.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The connection could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The TLS settings could not be built.
    #[error("cannot prepare the TLS connection")]
    Tls(#[from] TlsError),
    /// The collector refused, with a class that says what may be concluded.
    #[error("the collector refused ({class}): {message}")]
    Refused {
        /// The class of the refusal.
        class: RefusalClass,
        /// The message of the status.
        message: String,
        /// When to try again.
        pace: Pace,
        /// The collector's time.
        server_time: Timestamp,
    },
    /// The call failed without a refusal: the collector or something on the way is in trouble.
    #[error("{}", call_text(.method, *.code, .message))]
    Call {
        /// The RPC method.
        method: &'static str,
        /// The gRPC status code.
        code: tonic::Code,
        /// The message of the status.
        message: String,
    },
    /// The collector rejected our certificate after the handshake.
    #[error("the collector rejected this host's certificate ({alert})")]
    CertificateRefused {
        /// The TLS alert.
        alert: String,
    },
    /// The answer breaks the contract.
    #[error("the collector's answer to {method} is invalid: {what}")]
    Answer {
        /// The RPC method.
        method: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A spooled delivery cannot be decoded.
    #[error("cannot decode a spooled delivery")]
    Delivery(#[from] DeliveryError),
    /// The key or the identity cannot be used.
    #[error("cannot use this host's identity")]
    Identity(#[from] IdentityError),
}

impl UplinkError {
    /// What to do about it, if a person can do something.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Connect(error) => Some(error.advice()),
            Self::Refused { class, .. } => Self::refusal_advice(*class),
            Self::CertificateRefused { .. } => Self::refusal_advice(RefusalClass::Unknown),
            // The agents' listener has no such answers: it authenticates by certificate and has every method.
            Self::Call { code: tonic::Code::Unauthenticated | tonic::Code::Unimplemented, .. } => {
                Some("use the agents' port in the collector's URL (7443 by default)")
            }
            Self::Call { .. } | Self::Answer { .. } | Self::Tls(_) | Self::Delivery(_) | Self::Identity(_) => None,
        }
    }

    /// What to do about a refusal of this class, if a person can do something.
    #[must_use]
    pub const fn refusal_advice(class: RefusalClass) -> Option<&'static str> {
        match class {
            RefusalClass::Revoked => {
                Some("if this host should report, ask an operator to release it, or enroll it again with a new token")
            }
            RefusalClass::Unknown => Some("create a new token with `muster tokens create` and enroll again"),
            RefusalClass::ClockSkewed => Some("correct this machine's clock"),
            RefusalClass::TooOld => Some("install a newer agent version"),
            RefusalClass::OtherSite => Some(
                "use a token for the site of this host; or, to enroll this machine as a new host, stop the agent, \
                 delete its state directory and enroll again",
            ),
            RefusalClass::ReKey
            | RefusalClass::Later
            | RefusalClass::Limit
            | RefusalClass::Malformed
            | RefusalClass::NewRun => None,
        }
    }

    /// The class of the refusal, if it is one.
    #[must_use]
    pub const fn class(&self) -> Option<RefusalClass> {
        if let Self::Refused { class, .. } = self { Some(*class) } else { None }
    }

    /// When the collector allows the next call, if it said so.
    #[must_use]
    pub const fn pace(&self) -> Option<Pace> {
        if let Self::Refused { pace, .. } = self { Some(*pace) } else { None }
    }

    pub(super) fn of_status(method: &'static str, status: &tonic::Status) -> Self {
        // The text comes from the network and goes to a terminal.
        let message = clean_text(status.message(), MESSAGE_BYTES);
        if let Some(detail) = refusal(status) {
            return Self::Refused { class: detail.class, message, pace: detail.pace, server_time: detail.server_time };
        }
        if let Some(alert) = certificate_alert(status) {
            return Self::CertificateRefused { alert };
        }
        Self::Call { method, code: status.code(), message }
    }

    pub(super) fn answer(method: &'static str) -> impl Fn(ConvertError) -> Self {
        move |error| Self::Answer { method, what: error_chain(&error) }
    }
}

/// A method that does not exist means a wrong port. The answer names the right one, so method and code would only distract.
fn call_text(method: &str, code: tonic::Code, message: &str) -> String {
    if code == tonic::Code::Unimplemented && !message.is_empty() {
        return message.to_owned();
    }
    format!("{method} failed ({code:?}): {message}")
}

fn refusal(status: &tonic::Status) -> Option<RefusalDetail> {
    // A proxy can answer with the same status code. Only the detail makes it a refusal of the collector.
    if status.details().is_empty() {
        return None;
    }
    RefusalDetail::try_from(wire::Refusal::decode(status.details()).ok()?).ok()
}

/// In TLS 1.3 the client learns only with the first answer that the server rejected its certificate.
fn certificate_alert(status: &tonic::Status) -> Option<String> {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let fault = error.downcast_ref::<std::io::Error>().and_then(tls_fault);
        if let Some(rustls::Error::AlertReceived(alert)) = fault
            && is_about_us(*alert)
        {
            return Some(format!("{alert:?}"));
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};

    use super::*;

    #[test]
    fn a_refusal_has_class_and_pace_and_any_other_status_has_neither() {
        let detail = RefusalDetail {
            class: RefusalClass::Revoked,
            pace: Pace { byte_budget: 7, ..Pace::default() },
            server_time: Timestamp::from_millis(1),
        };
        let details = wire::Refusal::from(detail).encode_to_vec().into();
        let refused = UplinkError::of_status("CheckIn", &Status::with_details(Code::PermissionDenied, "gone", details));
        assert_eq!(refused.class(), Some(RefusalClass::Revoked));
        // The collector refuses an expired, used-up or unknown token with this class.
        let unknown = wire::Refusal::from(RefusalDetail { class: RefusalClass::Unknown, ..detail }).encode_to_vec();
        let status = Status::with_details(Code::PermissionDenied, "the enrollment token has expired", unknown.into());
        let advice = UplinkError::of_status("Enroll", &status).advice();
        assert!(advice.is_some_and(|advice| advice.contains("muster tokens create")), "{advice:?}");
        assert_eq!(refused.pace().map(|pace| pace.byte_budget), Some(7));
        for status in [
            Status::permission_denied("a proxy says so"),
            Status::with_details(Code::PermissionDenied, "x", bytes::Bytes::from_static(b"\xff\xff")),
            Status::with_details(
                Code::PermissionDenied,
                "x",
                wire::Refusal { class: 99, ..Default::default() }.encode_to_vec().into(),
            ),
        ] {
            assert_eq!(UplinkError::of_status("CheckIn", &status).class(), None, "{status:?}");
        }
    }

    #[test]
    fn a_message_of_the_collector_cannot_command_the_terminal() {
        let status = tonic::Status::internal(format!("\u{1b}[2Jgone{}", "x".repeat(5000)));
        let text = UplinkError::of_status("CheckIn", &status).to_string();
        assert!(!text.contains('\u{1b}') && text.len() < 1200, "{text}");
    }
}
