//! `/login/provider`: logs in with the identity provider of the settings.
//!
//! ```text
//!  POST /login/provider ─► cookie, row ─► page that leads to the provider ─► … ─► GET /login/provider/callback ─► session
//! ```
//!
//! The callback is the one GET that changes something. It is bound to the browser by the cookie of the login, from which `state` and
//! `nonce` are made, and to one use by the row. The way to the provider is a page and no redirect, because the policy of our pages lets no
//! form lead to another site.

use axum::body::Body;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Request, StatusCode};
use muster_proto::model::{AccountId, Digest, Token, TokenId};
use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

use super::away::{away, header};
use super::form::{Form, place};
use super::format::clean;
use super::login::{end, may_log_in, redirect};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use crate::actions::{self, Caller, ProviderPerson, ProviderRefusal};
use crate::oidc::{Grant, NoGrant, Person, Provider, ProviderFault, state_of};
use crate::store::SiteScope;
use crate::tls::PeerHandle;

/// How long the browser keeps the cookie of a login, in seconds; as long as the row is kept.
const LIFETIME: u64 = 600;
/// The longest page to go to, in bytes. Strangers can make rows with one.
const NEXT: usize = 1_000;
/// What a provider may send back.
const ANSWER: [&str; 7] = ["code", "state", "iss", "session_state", "error", "error_description", "error_uri"];

/// `POST /login/provider`: begins a login.
pub(super) async fn begin(Extract(state): Extract<State>, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers, body).await?.fields(&["next", "again"])?;
    let provider = provider(&state)?;
    let (again, next) = (!form.get("again").is_empty(), place(form.get("next")));
    let next = if next.len() > NEXT { "/" } else { next };
    if let Some(peer) = parts.extensions.get::<PeerHandle>()
        && state.begun.count(&peer.address().to_string(), state.now()).is_err()
    {
        let text = "Too many logins were begun at your address. Try again in a few minutes.";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, text));
    }
    // Nothing is kept for a provider that does not answer.
    provider.must_answer().await.map_err(|fault| told(&state, &fault))?;
    let begun = actions::provider_login_begin(state.store.as_ref(), next, again, state.now()).await;
    let login = state.or_refused(begun)?;
    let address = provider.login_address(&login, again).await.map_err(|fault| told(&state, &fault))?;
    away(&state, "Log in", &address, &state.login_cookie.set(&login, LIFETIME))
}

/// `GET /login/provider/callback`: the provider has sent the browser back.
pub(super) async fn callback(
    Extract(state): Extract<State>,
    RawQuery(raw): RawQuery,
    parts: Parts,
) -> Result<Response, Refusal> {
    let provider = provider(&state)?;
    let query =
        Query::read(raw.as_deref(), &ANSWER).map_err(|_| refused(&state, "its answer has other parts", foreign()))?;
    let login = state.login_cookie.token_of(&parts.headers).ok_or_else(|| refused(&state, "no cookie", no_cookie()))?;
    if !bool::from(state_of(&login).as_bytes().ct_eq(query.get("state").as_bytes())) {
        return Err(refused(&state, "another state than the cookie's", foreign()));
    }
    // Somebody who invents cookies is stopped like somebody who invents tokens.
    let (peer, guess) = (parts.extensions.get::<PeerHandle>(), login.secret.hash());
    if peer.is_some_and(|peer| peer.may_try(&guess).is_err()) {
        return Err(Refusal::of_code(StatusCode::TOO_MANY_REQUESTS));
    }
    let taken = actions::provider_login_take(state.store.as_ref(), &login, state.now()).await;
    let Some(taken) = state.or_refused(taken)? else {
        if let Some(peer) = peer {
            peer.tried(guess, false);
        }
        return Err(refused(&state, "used or over", over()));
    };
    if query.has("iss") && query.get("iss") != provider.issuer() {
        return Err(refused(&state, "the answer of another issuer", foreign()));
    }
    if query.has("error") || query.get("code").is_empty() {
        return Err(said_no(&state, query.get("error")));
    }
    let since = taken.again.then_some(taken.begun_at);
    let person = provider.person(&login, query.get("code"), since).await.map_err(|fault| told(&state, &fault))?;
    let grant = match provider.grant(&person) {
        Ok(grant) => grant,
        Err(why) => return Err(not_let_in(&state, provider, &person, why).await?),
    };
    let session = open(&state, provider, person, grant).await?;
    // The session that this browser had before must not go on beside the new one, which must not be lost if that fails.
    if let Err(failed) = end(&state, &parts).await {
        warn!(session.id = %session.id, error = %failed.text, "the session before could not be ended");
    }
    if let Some(peer) = parts.extensions.get::<PeerHandle>() {
        peer.tried(session.secret.hash(), true);
    }
    let mut response = redirect(place(&taken.next), &state.cookie.set(&session, state.sessions.whole.as_secs()))?;
    response.headers_mut().append(SET_COOKIE, header(&state.login_cookie.gone())?);
    Ok(response)
}

/// Opens a session for the person.
async fn open(state: &State, provider: &Provider, person: Person, grant: Grant) -> Result<Token, Refusal> {
    let new = ProviderPerson {
        issuer: provider.issuer().to_owned(),
        subject: person.subject,
        name: person.name,
        role: grant.role,
        sites: grant.sites,
        proved_at: person.proved_at,
    };
    may_log_in(state, &known_as(&new)?)?;
    let opened = actions::provider_login_open(state.store.as_ref(), &new, state.sessions, state.now()).await;
    let (session, caller) = state.or_refused(opened)?.map_err(|refusal| match refusal {
        ProviderRefusal::Revoked(name) => {
            let text = format!("An administrator has revoked the account \"{name}\", so you are not let in.");
            refused(state, "the account is revoked", Refusal::new(StatusCode::FORBIDDEN, text))
        }
        ProviderRefusal::Account(why) => {
            let text = "No account can be made for you: there are too many, or your groups name more than 100 sites.";
            refused(state, &format!("{why:?}"), Refusal::new(StatusCode::FORBIDDEN, text))
        }
    })?;
    info!(session.id = %session.id, account = %caller.name, "logged in to the web board with the identity provider");
    Ok(session)
}

/// The person as logins are counted, before the account is known.
fn known_as(person: &ProviderPerson) -> Result<Caller, Refusal> {
    let digest = Digest::of(format!("{}\n{}", person.issuer, person.subject).as_bytes()).to_string();
    let id: String = digest.chars().filter(char::is_ascii_hexdigit).take(32).collect();
    let broken = |_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR);
    let (account, token) = (AccountId::new(id).map_err(broken)?, TokenId::new("provider").map_err(broken)?);
    Ok(Caller::account(account, token, person.name.to_string(), person.role, SiteScope::of(&person.sites)))
}

/// The person is nobody's, so sessions from better days end.
async fn not_let_in(state: &State, provider: &Provider, person: &Person, why: NoGrant) -> Result<Refusal, Refusal> {
    let (issuer, now) = (provider.issuer(), state.now());
    let ended = actions::provider_login_refused(state.store.as_ref(), issuer, &person.subject, now).await;
    let ended = state.or_refused(ended)?;
    let (reason, text) = match why {
        NoGrant::NoGroups => (
            "the provider says nothing about groups",
            "The identity provider does not say in which groups you are, so you are not let in. Ask its administrators to send Muster your \
             groups (the settings oidc.groups_claim and oidc.scopes).",
        ),
        NoGrant::NoRole => (
            "no group with a role",
            "None of your groups is let in to Muster. Ask the administrators of your organisation to add you to one.",
        ),
        NoGrant::NoSite => (
            "no group with a site",
            "You may use Muster, but none of your groups has a site. Ask the administrators of your organisation to add you to one.",
        ),
    };
    if let Some(left_out) = state.refused_lines.line(now) {
        info!(account = %person.name, reason, sessions = ended, left_out, "did not let in a person of the identity provider");
    }
    Ok(Refusal::new(StatusCode::FORBIDDEN, text))
}

fn provider(state: &State) -> Result<&Provider, Refusal> {
    let none = || {
        let text = "This collector has no identity provider (the settings [oidc]). Log in with a token or a password.";
        Refusal::new(StatusCode::NOT_FOUND, text)
    };
    state.provider.as_deref().ok_or_else(none)
}

/// What a provider's fault is for people, with a line for the log.
fn told(state: &State, fault: &ProviderFault) -> Refusal {
    if let Some(left_out) = state.refused_lines.line(state.now()) {
        warn!(error = %fault, left_out, "a login with the identity provider failed");
    }
    const TOKEN: &str = "Ask an administrator: the reason is in the collector's log. If you also have an account of Muster itself, log in with its token or password.";
    let (status, text) = match fault {
        ProviderFault::Down(_) => {
            let text =
                "The identity provider cannot be reached. Try again in a minute, or log in with a token or a password.";
            (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
        ProviderFault::Refused(_) => {
            (StatusCode::BAD_GATEWAY, format!("The identity provider did not accept this login. {TOKEN}"))
        }
        ProviderFault::Malformed(_) => {
            (StatusCode::BAD_GATEWAY, format!("The identity provider's answer cannot be read. {TOKEN}"))
        }
        ProviderFault::OtherIssuer(_) => {
            let text =
                format!("The issuer of the identity provider does not match the settings (oidc.issuer). {TOKEN}");
            (StatusCode::BAD_GATEWAY, text)
        }
        ProviderFault::Lie(lie) => (
            StatusCode::BAD_GATEWAY,
            format!("What the identity provider says about you is not accepted: {lie}. {TOKEN}"),
        ),
        ProviderFault::Secret(_) => {
            let text =
                format!("The collector cannot read the secret that it shares with the identity provider. {TOKEN}");
            (StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    };
    Refusal::new(status, text)
}

/// The provider has let nobody in.
fn said_no(state: &State, error: &str) -> Refusal {
    let error: String = clean(error, 60).chars().filter(|letter| letter.is_ascii_graphic()).collect();
    let why = if error.is_empty() { "no code and no reason".to_owned() } else { error };
    let text = format!(
        "The identity provider has not logged you in ({why}). Try again, or log in with the token of an account."
    );
    refused(state, &why, Refusal::new(StatusCode::FORBIDDEN, text))
}

fn refused(state: &State, reason: &str, refusal: Refusal) -> Refusal {
    if let Some(left_out) = state.refused_lines.line(state.now()) {
        info!(reason, left_out, "refused an answer of the identity provider");
    }
    refusal
}

fn no_cookie() -> Refusal {
    let text = "This login was not begun in this browser, or more than ten minutes ago. Log in again.";
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

fn foreign() -> Refusal {
    let text = "This answer of the identity provider does not belong to the login that this browser has begun last. Perhaps two were begun in \
                two windows. Log in again.";
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

fn over() -> Refusal {
    let text = "This login was finished already, or took longer than ten minutes. Log in again.";
    Refusal::new(StatusCode::GONE, text)
}
