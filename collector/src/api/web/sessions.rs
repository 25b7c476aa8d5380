//! Sessions on pages: a row for each, and a button that ends it.

use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_proto::model::{Holder, Timestamp, TokenId};
use tracing::info;

use super::format::{Moment, clean, name};
use super::login::redirect;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::{self, OpenSession};

/// A session.
pub(super) struct SessionRow {
    pub(super) account: String,
    pub(super) opened: Moment,
    pub(super) seen: Moment,
    /// `a token`, `a login link`, `the identity provider`.
    pub(super) by: &'static str,
    /// Whether the page was asked for with it.
    pub(super) is_this: bool,
    /// Where the button that ends it leads.
    pub(super) end: String,
}

impl SessionRow {
    /// `page` is the page with the button.
    pub(super) fn of(session: &OpenSession, visitor: &Visitor, page: &str, now: Timestamp) -> Self {
        Self {
            account: name(session.name.as_str()),
            opened: Moment::at(session.created_at),
            seen: Moment::ago(session.seen_at, now),
            by: match session.holder {
                _ if session.by_link => "a login link",
                Holder::ProviderPerson => "the identity provider",
                Holder::Person | Holder::Machine => "a token or a password",
            },
            is_this: visitor.session().is_some_and(|own| own.id == session.id),
            end: format!("{page}/sessions/{}/end", session.id),
        }
    }
}

/// `POST /accounts/sessions/ID/end`: ends a session of an account that the visitor manages.
pub(super) async fn end(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
) -> Result<Response, Refusal> {
    let session = id(&asked)?;
    // Who has found a browser that was left open must not log out the others.
    visitor.must_have_proved_lately(&state, "/accounts")?;
    let ended = actions::session_end_of(state.store.as_ref(), visitor.caller(), &session, state.now()).await;
    state.or_refused(ended)?;
    ended_one(&state, &visitor, &session, "/accounts")
}

/// `POST /about/sessions/ID/end`: ends a session of the visitor's own account.
pub(super) async fn end_own(
    Extract(state): Extract<State>,
    visitor: Visitor,
    Path(asked): Path<String>,
) -> Result<Response, Refusal> {
    let session = id(&asked)?;
    let ended = actions::session_end_own(state.store.as_ref(), visitor.caller(), &session, state.now()).await;
    state.or_refused(ended)?;
    ended_one(&state, &visitor, &session, "/about")
}

fn id(asked: &str) -> Result<TokenId, Refusal> {
    let none = |_| Refusal::new(StatusCode::NOT_FOUND, format!("There is no session \"{}\".", clean(asked, 64)));
    TokenId::new(asked).map_err(none)
}

/// Leads back to the page, or to the form if the visitor's own session has ended.
fn ended_one(state: &State, visitor: &Visitor, session: &TokenId, page: &str) -> Result<Response, Refusal> {
    info!(session.id = %session, by = %visitor.caller().name, "ended a session of the web board");
    if visitor.session().is_some_and(|own| own.id == *session) {
        return redirect("/login", &state.cookie.gone());
    }
    Ok(Redirect::to(page).into_response())
}
