//! What can go wrong between agent and collector, and what an agent may conclude from it.

use muster_proto::convert::{ConvertError, RefusalDetail};
use muster_proto::model::{Pace, RefusalClass, Timestamp};
use muster_proto::wire;
use prost::Message;

use super::connect::{ConnectError, is_about_us, tls_fault};
use super::delivery::ParcelError;
use super::trust::TlsError;
use crate::identity::IdentityError;

/// A call that did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// No connection.
    #[error("the collector cannot be reached")]
    Connect(#[from] ConnectError),
    /// TLS cannot be prepared.
    #[error("no secure connection can be prepared")]
    Tls(#[from] TlsError),
    /// The collector refused, and said what may be concluded.
    #[error("the collector refused ({class}): {message}")]
    Refused {
        /// Why.
        class: RefusalClass,
        /// In words.
        message: String,
        /// When to come back.
        pace: Pace,
        /// The collector's clock.
        server_time: Timestamp,
    },
    /// The call failed without a refusal: the collector is in trouble, or something between.
    #[error("{method} failed ({code}): {message}")]
    Call {
        /// Which method.
        method: &'static str,
        /// gRPC's code.
        code: String,
        /// In words.
        message: String,
    },
    /// The collector refused our certificate after the handshake.
    #[error("the collector refused this host's certificate ({alert})")]
    CertificateRefused {
        /// TLS' word for it.
        alert: String,
    },
    /// An answer that does not keep the contract.
    #[error("the collector's answer to {method} is not valid: {what}")]
    Answer {
        /// Which method.
        method: &'static str,
        /// What is wrong.
        what: String,
    },
    /// What was spooled cannot be read.
    #[error("what was kept for the collector cannot be read")]
    Delivery(#[from] ParcelError),
    /// The key or identity cannot be used.
    #[error("the identity cannot be used")]
    Identity(#[from] IdentityError),
}

impl UplinkError {
    /// What to do about it, where a person can do something.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Connect(error) => Some(error.advice()),
            Self::Refused { class: RefusalClass::Revoked, .. } => {
                Some("enroll again with a new token, if the host should report")
            }
            Self::Refused { class: RefusalClass::Unknown, .. } | Self::CertificateRefused { .. } => Some(
                "make a new token (muster tokens create) and enroll with it: the collector does not know this host, or does \
                 not take its token",
            ),
            Self::Refused { class: RefusalClass::ClockSkewed, .. } => Some("set the clock of this machine"),
            Self::Refused { class: RefusalClass::TooOld, .. } => Some("install a newer agent"),
            Self::Refused { .. }
            | Self::Call { .. }
            | Self::Answer { .. }
            | Self::Tls(_)
            | Self::Delivery(_)
            | Self::Identity(_) => None,
        }
    }

    /// The class of a refusal.
    #[must_use]
    pub const fn class(&self) -> Option<RefusalClass> {
        if let Self::Refused { class, .. } = self { Some(*class) } else { None }
    }

    /// When the collector wants to be asked again, if it said so.
    #[must_use]
    pub const fn pace(&self) -> Option<Pace> {
        if let Self::Refused { pace, .. } = self { Some(*pace) } else { None }
    }

    pub(super) fn of_status(method: &'static str, status: &tonic::Status) -> Self {
        if let Some(detail) = refusal(status) {
            return Self::Refused {
                class: detail.class,
                message: status.message().to_owned(),
                pace: detail.pace,
                server_time: detail.server_time,
            };
        }
        if let Some(alert) = certificate_alert(status) {
            return Self::CertificateRefused { alert };
        }
        let code = format!("{:?}", status.code());
        Self::Call { method, code, message: status.message().to_owned() }
    }

    pub(super) fn answer(method: &'static str) -> impl Fn(ConvertError) -> Self {
        move |error| Self::Answer { method, what: error.to_string() }
    }
}

fn refusal(status: &tonic::Status) -> Option<RefusalDetail> {
    if status.details().is_empty() {
        return None;
    }
    RefusalDetail::try_from(wire::Refusal::decode(status.details()).ok()?).ok()
}

/// In TLS 1.3 the client learns only with the first answer that its certificate was not taken.
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
    fn a_refusal_brings_its_class_and_pace_and_anything_else_is_only_trouble() {
        let detail = RefusalDetail {
            class: RefusalClass::Revoked,
            pace: Pace { byte_budget: 7, ..Pace::default() },
            server_time: Timestamp::from_millis(1),
        };
        let details = wire::Refusal::from(detail).encode_to_vec().into();
        let refused = UplinkError::of_status("CheckIn", &Status::with_details(Code::PermissionDenied, "gone", details));
        assert_eq!(refused.class(), Some(RefusalClass::Revoked));
        // As which a token is refused that has expired, is used up, or was never one.
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
}
