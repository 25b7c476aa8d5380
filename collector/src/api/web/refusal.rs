//! Why a page is not shown.

use axum::response::{IntoResponse, Response};
use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use tonic::{Code, Status};

/// Why a page is not shown.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What went wrong, in one or two sentences.
    pub(super) text: String,
    /// Where to log in, if that is the way out.
    login: Option<String>,
    /// Whether to take the cookie of a session that is over away.
    pub(super) is_over: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), login: None, is_over: false }
    }

    /// What the address asks for is not understood.
    pub(super) fn asked(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Nobody is logged in. `login` is the address of the form; `is_over` says that there was a session.
    pub(super) fn nobody(login: String, is_over: bool) -> Self {
        let text = "Please log in first.".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, text, login: Some(login), is_over }
    }

    /// The refusal for a status that has no text of ours.
    pub(super) fn of_code(status: StatusCode) -> Self {
        let text = match status {
            StatusCode::BAD_REQUEST => "The address is not valid. Perhaps it was cut or changed.",
            StatusCode::NOT_FOUND => "There is no such page.",
            StatusCode::METHOD_NOT_ALLOWED => "This page cannot be used that way.",
            StatusCode::PAYLOAD_TOO_LARGE => "What was sent is too long.",
            _ => "The page failed. The collector's log has the reason.",
        };
        Self::new(status, text)
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let code = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable | Code::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Ok | Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(code, sentence(status.message()))
    }
}

/// An error text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        if let Some(place) = self.login.as_ref().and_then(|login| HeaderValue::try_from(login).ok()) {
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(LOCATION, place);
        } else {
            *response.status_mut() = self.status;
            if self.status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
        }
        // The page is made where the number of the request is known.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_grpc_is_a_sentence_with_the_code_of_http() {
        let refusal = Refusal::from(Status::not_found("no host \"web-1\""));
        assert_eq!((refusal.status, refusal.text.as_str()), (StatusCode::NOT_FOUND, "No host \"web-1\"."));
        let refusal = Refusal::from(Status::internal("the store failed; the collector's log has the reason"));
        assert_eq!(refusal.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
