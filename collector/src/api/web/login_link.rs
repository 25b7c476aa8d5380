//! `/login/link`: logs in with a link that `muster login-link` has made.
//!
//! Programs that show a preview of a link ask for its page, too. So the page has a button only, and the button uses up the link.

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use http::{Request, StatusCode};
use muster_proto::model::Token;
use tracing::{info, warn};

use super::assets::{ICON, SCRIPT, STYLE};
use super::chrome::page;
use super::form::Form;
use super::login::{end, may_log_in, redirect};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use crate::actions::{self, LoginLinkFound};
use crate::tls::PeerHandle;

/// The page with the button.
#[derive(Template)]
#[template(path = "login_link.html")]
struct LoginLinkPage {
    style: &'static str,
    script: &'static str,
    icon: &'static str,
    token: String,
}

/// `GET /login/link`. It does not look for the link, so it tells nothing about it.
pub(super) async fn show(RawQuery(raw): RawQuery) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &["token"]).map_err(|_| unknown())?;
    let token: Token = query.get("token").parse().map_err(|_| unknown())?;
    page(&LoginLinkPage { style: &STYLE.path, script: &SCRIPT.path, icon: &ICON.path, token: token.to_string() })
}

/// `POST /login/link`: uses up the link and opens a session.
pub(super) async fn login(Extract(state): Extract<State>, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers, body).await?.fields(&["token"])?;
    let link: Token = form.get("token").parse().map_err(|_| unknown())?;
    let peer = parts.extensions.get::<PeerHandle>();
    let caller = match state.access.by_login_link(&link, peer).await? {
        Some(LoginLinkFound::Valid(caller)) => caller,
        Some(LoginLinkFound::Used) => return Err(told(&state, &link, used())),
        Some(LoginLinkFound::Over) => return Err(told(&state, &link, over())),
        None => return Err(told(&state, &link, unknown())),
    };
    may_log_in(&state, &caller)?;
    let opened = actions::login_link_use(state.store.as_ref(), &link, &caller, state.sessions, state.now()).await;
    let Some(session) = state.or_refused(opened)? else { return Err(told(&state, &link, used())) };
    // The session that this browser had before must not go on beside the new one. The link is used up, so a failure must not lose
    // the session that it has opened; the other one ends by itself.
    if let Err(failed) = end(&state, &parts).await {
        warn!(session.id = %session.id, error = %failed.text, "the session before could not be ended");
    }
    // Wrong tokens from the same address, perhaps of other people, must not lock this one out.
    if let Some(peer) = peer {
        peer.tried(session.secret.hash(), true);
    }
    info!(session.id = %session.id, link.id = %link.id, account = %caller.name, "logged in to the web board with a link");
    redirect("/", &state.cookie.set(&session, state.sessions.whole.as_secs()))
}

fn told(state: &State, link: &Token, refusal: Refusal) -> Refusal {
    if let Some(left_out) = state.refused_lines.line(state.now()) {
        info!(link.id = %link.id, left_out, "a login link was refused");
    }
    refusal
}

/// What to do about a link that does not work.
const MAKE: &str = "Make a new one with \"muster login-link\".";

fn unknown() -> Refusal {
    let text = format!(
        "This login link is not known. Perhaps it was cut when it was copied, or the token that made it is no longer accepted. {MAKE}"
    );
    Refusal::new(StatusCode::NOT_FOUND, text)
}

fn used() -> Refusal {
    Refusal::new(StatusCode::GONE, format!("This login link was used. Each link logs in once. {MAKE}"))
}

fn over() -> Refusal {
    Refusal::new(StatusCode::GONE, format!("This login link is too old. Each link can be used for ten minutes. {MAKE}"))
}
