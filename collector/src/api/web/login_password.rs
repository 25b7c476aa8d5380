//! `/login/password`: logs in with the name and the password of an account.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::Response;
use http::Request;
use tracing::info;

use super::form::{Form, place};
use super::login::{again, may_log_in, open};
use super::refusal::Refusal;
use super::state::State;
use crate::actions::{self, ActionError};
use crate::tls::PeerHandle;

/// Characters of a name in a line of the log.
const NAME: usize = 64;

/// `POST /login/password`: opens a session for the right password.
pub(super) async fn login(Extract(state): Extract<State>, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers, body).await?.fields(&["name", "password", "next"])?;
    let next = place(form.get("next"));
    let name = form.get("name").trim();
    let peer = parts.extensions.get::<PeerHandle>();
    let address = peer.map(PeerHandle::address);
    let password = form.get("password").to_owned();
    let checked = actions::password_check(state.store.as_ref(), &state.passwords, name, password, address).await;
    let wait = match &checked {
        Err(ActionError::PasswordWait { .. }) => "waits",
        Ok(None) => "wrong",
        Ok(Some(_)) | Err(_) => "",
    };
    if !wait.is_empty()
        && let Some(left_out) = state.refused_lines.line(state.now())
    {
        let name: String = name.chars().take(NAME).collect();
        let client = address.map(|address| address.to_string());
        info!(name = ?name, client, outcome = wait, left_out, "a login with a password to the web board failed");
    }
    let Some(caller) = state.or_refused(checked)? else {
        return again(&state, next, "The name or the password is wrong, or the account has no password.");
    };
    may_log_in(&state, &caller)?;
    if let Some(peer) = peer {
        peer.prove(caller.name.as_bytes());
    }
    open(&state, &parts, &caller, next).await
}
