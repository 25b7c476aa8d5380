//! Logging in and out.
//!
//! A person shows the token of an account once; the browser then has a session. Passwords and a provider (OIDC) will have their
//! own forms here, and open a session in the same way (`actions::session_open`).

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, State as Extract};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use muster_proto::model::Token;
use tonic::Code;
use tracing::info;

use super::assets::{ICON, SCRIPT, STYLE};
use super::chrome::page;
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::{COOKIE_GONE, cookie, session_of, token_of};
use crate::actions;
use crate::tls::PeerHandle;

/// The longest form, in bytes.
const FORM: usize = 16 * 1024;

/// The form.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    style: &'static str,
    script: &'static str,
    icon: &'static str,
    /// Where to go afterwards.
    next: String,
    /// Why the last attempt failed.
    failed: String,
}

impl LoginPage {
    fn new(next: &str, failed: &str) -> Self {
        let (next, failed) = (next.to_owned(), failed.to_owned());
        Self { style: &STYLE.path, script: &SCRIPT.path, icon: &ICON.path, next, failed }
    }
}

/// `GET /login`.
pub(super) async fn form(RawQuery(raw): RawQuery) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &["next"])?;
    page(&LoginPage::new(place(query.get("next")), ""))
}

/// `POST /login`: opens a session for a valid token.
pub(super) async fn login(Extract(state): Extract<State>, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let form = read_form(&parts.headers, body).await?;
    let next = place(form.get("next"));
    let again = |failed: &str| {
        let mut response = page(&LoginPage::new(next, failed))?;
        *response.status_mut() = StatusCode::OK;
        Ok(response)
    };
    let Ok(token) = form.get("token").parse::<Token>() else {
        return again("That is no token. A token has an id, a dot and 52 characters.");
    };
    let peer = parts.extensions.get::<PeerHandle>();
    let caller = match state.access.by_token(&token, peer).await {
        Ok(caller) => caller,
        Err(refused) if refused.code() == Code::Unauthenticated => {
            info!(token.id = %token.id, "a login to the web board failed");
            return again("The token is unknown, expired or revoked.");
        }
        Err(refused) => return Err(refused.into()),
    };
    // The session that this browser had before must not go on beside the new one.
    if token_of(&parts.headers).is_some() {
        end(&state, &parts).await?;
    }
    let opened = actions::session_open(state.store.as_ref(), &caller, state.sessions, state.now()).await;
    let session = state.or_refused(opened)?;
    info!(session.id = %session.id, account = %caller.name, "logged in to the web board");
    redirect(next, &cookie(&session, state.sessions.whole.as_secs()))
}

/// `POST /logout`.
pub(super) async fn logout(Extract(state): Extract<State>, parts: Parts) -> Result<Response, Refusal> {
    end(&state, &parts).await?;
    redirect("/login", COOKIE_GONE)
}

/// Ends the session of the request, if it has one.
async fn end(state: &State, parts: &Parts) -> Result<(), Refusal> {
    match session_of(parts, state).await {
        Ok(session) => {
            let ended = actions::session_end(state.store.as_ref(), &session, state.now()).await;
            state.or_refused(ended)?;
            info!(session.id = %session.id, account = %session.caller.name, "logged out of the web board");
            Ok(())
        }
        // Nobody is logged in, which is what was asked for.
        Err(refused) if refused.status == StatusCode::UNAUTHORIZED => Ok(()),
        Err(refused) => Err(refused),
    }
}

async fn read_form(headers: &HeaderMap, body: Body) -> Result<Query, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not what the form sends."));
    }
    let bytes = to_bytes(body, FORM).await.map_err(|_| Refusal::of_code(StatusCode::PAYLOAD_TOO_LARGE))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::asked("The form is no text."))?;
    Query::read(Some(text), &["token", "next"])
}

/// A page of this board; for everything else the board itself, so that a link to the form leads nowhere else.
fn place(next: &str) -> &str {
    let is_page = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_page { next } else { "/" }
}

fn redirect(to: &str, cookie: &str) -> Result<Response, Refusal> {
    let header =
        |text: &str| HeaderValue::try_from(text).map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR));
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, header(to)?);
    response.headers_mut().insert(SET_COOKIE, header(cookie)?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_this_board_only() {
        for page in ["/", "/findings?lane=replace", "/hosts/7?a=b%2F"] {
            assert_eq!(place(page), page);
        }
        for elsewhere in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nset-cookie: x", "evil"]
        {
            assert_eq!(place(elsewhere), "/", "{elsewhere}");
        }
    }
}
