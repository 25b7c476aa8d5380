//! Logging in and out.
//!
//! A person shows the token of an account once; the browser then has a session. Other ways to log in have their own forms on the page,
//! and open a session in the same way: `login_password`, and `provider` for the identity provider.

use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State as Extract};
use axum::response::{IntoResponse, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use muster_proto::model::Token;
use tonic::Code;
use tracing::info;

use super::assets::{ICON, SCRIPT, STYLE};
use super::away;
use super::chrome::page;
use super::form::{Form, place};
use super::format::span;
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::session_of;
use crate::actions::{self, Caller};
use crate::ledger::actor::Actor;
use crate::tls::PeerHandle;

/// The form.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    style: &'static str,
    script: &'static str,
    icon: &'static str,
    /// Where to go afterwards.
    next: String,
    /// Why the last attempt failed, or why the token is asked for again.
    failed: String,
    /// The host of the identity provider; empty without one.
    provider: String,
    /// Whether the provider must ask the person again who they are.
    again: bool,
}

/// Why somebody who is logged in is asked for the token.
const BY_LINK: &str =
    "You came in by a login link. This action needs more than that. Log in, and then repeat the action.";
const ENDED: &str = "Your session had ended, so nothing was done. Log in, and then repeat it.";
const AGAIN: &str = "This action requires a login within the last 15 minutes. Log in again, then repeat it.";

impl LoginPage {
    fn new(state: &State, next: &str, failed: &str) -> Self {
        let again = [BY_LINK, AGAIN].contains(&failed);
        let (next, failed, provider) = (next.to_owned(), failed.to_owned(), away::name_of(state));
        Self { style: &STYLE.path, script: &SCRIPT.path, icon: &ICON.path, next, failed, provider, again }
    }
}

/// `GET /login`.
pub(super) async fn form(Extract(state): Extract<State>, RawQuery(raw): RawQuery) -> Result<Response, Refusal> {
    // A wrong address to go back to must not keep anybody from the form.
    let query = Query::read(raw.as_deref(), &["next", "again", "ended"]).unwrap_or_default();
    let has = |flag: &str| raw.as_deref().unwrap_or_default().split('&').any(|pair| pair == flag);
    let why = if has("again=link") {
        BY_LINK
    } else if has("again=1") {
        AGAIN
    } else if has("ended=1") {
        ENDED
    } else {
        ""
    };
    page(&LoginPage::new(&state, place(query.get("next")), why))
}

/// `POST /login`: opens a session for a valid token.
pub(super) async fn login(Extract(state): Extract<State>, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers, body).await?.fields(&["token", "next"])?;
    let next = place(form.get("next"));
    let again = |failed: &str| again(&state, next, failed);
    let Ok(token) = form.get("token").parse::<Token>() else {
        return again("That is not a token. A token has an id, a dot and 52 characters.");
    };
    let peer = parts.extensions.get::<PeerHandle>();
    let caller = match state.access.by_token(&token, peer).await {
        Ok(caller) => caller,
        Err(refused) if refused.code() == Code::Unauthenticated => {
            if let Some(left_out) = state.refused_lines.line(state.now()) {
                let client = peer.map(|peer| peer.address().to_string());
                info!(token.id = %token.id, client, left_out, "a login to the web board failed");
            }
            return again("The token is unknown, expired or revoked.");
        }
        Err(refused) => return Err(refused.into()),
    };
    may_log_in(&state, &caller)?;
    open(&state, &parts, &caller, next).await
}

/// The form again, with why the attempt failed.
pub(super) fn again(state: &State, next: &str, failed: &str) -> Result<Response, Refusal> {
    page(&LoginPage::new(state, next, failed))
}

/// Opens a session for somebody who has shown who they are, and leads to the page.
pub(super) async fn open(state: &State, parts: &Parts, caller: &Caller, next: &str) -> Result<Response, Refusal> {
    let peer = parts.extensions.get::<PeerHandle>();
    // The session that this browser had before must not go on beside the new one.
    end(state, parts).await?;
    let opened = actions::session_open(state.store.as_ref(), caller, state.sessions, state.now()).await;
    let session = state.or_refused(opened)?;
    // Wrong tokens from the same address, perhaps of other people, must not lock this one out.
    if let Some(peer) = peer {
        peer.tried(session.secret.hash(), true);
    }
    let client = peer.map(|peer| peer.address().to_string());
    info!(session.id = %session.id, account = %caller.name, client, "logged in to the web board");
    redirect(next, &state.cookie.set(&session, state.sessions.whole.as_secs()))
}

/// Counts a login. Each is an entry of the ledger, which nobody may fill.
pub(super) fn may_log_in(state: &State, caller: &Caller) -> Result<(), Refusal> {
    let Actor::Account { account, .. } = &caller.actor else { return Ok(()) };
    state.logins.count(account, state.now()).map_err(|wait| {
        let text = format!(
            "The account \"{}\" has logged in 20 times within an hour. It can log in again in {}. Its sessions go on. \
             A program needs no session: it sends the header \"Authorization: Bearer TOKEN\" with each request.",
            caller.name,
            span(wait.max(Duration::from_secs(1)))
        );
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, text)
    })
}

/// `POST /logout`.
pub(super) async fn logout(Extract(state): Extract<State>, parts: Parts) -> Result<Response, Refusal> {
    let is_from_provider = matches!(session_of(&parts, &state).await, Ok((_, session)) if session.is_from_provider);
    end(&state, &parts).await?;
    out(&state, is_from_provider).await
}

/// The answer to who has logged out. The provider may go on to know the person, and asks there whether to end that, too.
async fn out(state: &State, is_from_provider: bool) -> Result<Response, Refusal> {
    let gone = state.cookie.gone();
    let at_provider = if is_from_provider { away::logged_out(state, &gone).await? } else { None };
    at_provider.map_or_else(|| redirect("/login", &gone), Ok)
}

/// `POST /logout/everywhere`: ends all sessions of the account, also those of other browsers.
pub(super) async fn logout_everywhere(Extract(state): Extract<State>, parts: Parts) -> Result<Response, Refusal> {
    let (_, session) = session_of(&parts, &state).await?;
    let ended = actions::session_end_all(state.store.as_ref(), &session.caller, state.now()).await;
    let ended = state.or_refused(ended)?;
    info!(account = %session.caller.name, sessions = ended, "logged out of the web board everywhere");
    out(&state, session.is_from_provider).await
}

/// Ends the session of the request, if it has one.
pub(super) async fn end(state: &State, parts: &Parts) -> Result<(), Refusal> {
    match session_of(parts, state).await {
        Ok((_, session)) => {
            let ended = actions::session_end(state.store.as_ref(), &session, state.now()).await;
            state.or_refused(ended)?;
            info!(session.id = %session.id, account = %session.caller.name, "logged out of the web board");
            Ok(())
        }
        // Nobody is logged in, which is what was asked for.
        Err(refused) if refused.status == StatusCode::UNAUTHORIZED => Ok(()),
        // Too much comes from this address to look for the session. It ends by itself, and the browser forgets it now.
        Err(refused) if refused.status == StatusCode::TOO_MANY_REQUESTS => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// Leads to a page, and sets a cookie.
pub(super) fn redirect(to: &str, cookie: &str) -> Result<Response, Refusal> {
    let header =
        |text: &str| HeaderValue::try_from(text).map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR));
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, header(to)?);
    response.headers_mut().insert(SET_COOKIE, header(cookie)?);
    Ok(response)
}
