//! What a form of a page sends.

use axum::body::{Body, to_bytes};
use axum::extract::FromRequest;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};

use super::query::Query;
use super::refusal::Refusal;
use super::state::State;

/// The longest form, in bytes. A note of the greatest length fits, with all of its characters escaped.
const LONGEST: usize = 32 * 1024;
/// The longest address of a page to which a form leads, in bytes.
const NEXT: usize = 4_000;

/// What a form sends, not read yet.
pub(super) struct Form(String);

impl Form {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// It is not of a form, or too long.
    pub(super) async fn of(headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not what the form sends."));
        }
        let bytes = to_bytes(body, LONGEST).await.map_err(|_| Refusal::of_code(StatusCode::PAYLOAD_TOO_LARGE))?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| Refusal::asked("The form is no text."))?;
        Ok(Self(text))
    }

    /// The fields of the form.
    ///
    /// # Errors
    /// There is one that the form does not have, a control character other than a new line, or too much.
    pub(super) fn fields(&self, known: &[&str]) -> Result<Query, Refusal> {
        Query::of_form(&self.0, known)
    }
}

impl FromRequest<State> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, _: &State) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        Self::of(&parts.headers, body).await
    }
}

/// A page of this board; for everything else the board itself, so that a link to a form leads nowhere else.
pub(super) fn place(next: &str) -> &str {
    let is_page = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= NEXT
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_page { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_to_pages_of_this_board_only() {
        for page in ["/", "/findings?lane=replace", "/hosts/7?a=b%2F"] {
            assert_eq!(place(page), page);
        }
        for elsewhere in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nset-cookie: x", "evil"]
        {
            assert_eq!(place(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(place(&format!("/hosts?where={}", "x".repeat(4_000))), "/", "too long for a header");
    }
}
