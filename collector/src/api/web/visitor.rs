//! Who asks for a page, and whether they may: the session of the cookie or the token of the header, and the rules of the page.

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, StatusCode};
use muster_proto::model::Token;

use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use crate::actions::{self, Caller, Session};
use crate::api::access::{bearer_token, may};
use crate::api::methods::rule_of_method;
use crate::reports::ReportContext;
use crate::tls::PeerHandle;

/// The script's requests for newer numbers have it. They do not count as use, or a forgotten page would keep a session alive.
const REFRESH: &str = "x-muster-refresh";
/// The longest address of a page to which a login leads back, in bytes.
const BACK: usize = 2_000;

/// The methods of FleetService that a route answers like. A route without them is shown to nobody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers(pub(super) &'static [&'static str]);

/// Somebody who may see the page.
pub(super) struct Visitor {
    caller: Caller,
    proof: Proof,
    answers: Answers,
    pub(super) context: ReportContext,
}

/// What shows who the visitor is.
enum Proof {
    /// A session, with the token in its cookie.
    Session(Token, Session),
    /// The token of the account, in the header of each request. Programs need no session.
    Account(Token),
}

impl Visitor {
    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether the visitor has a session, which can end.
    pub(super) const fn has_session(&self) -> bool {
        matches!(self.proof, Proof::Session(..))
    }

    /// The session, if the visitor has one.
    pub(super) const fn session(&self) -> Option<&Session> {
        match &self.proof {
            Proof::Session(_, session) => Some(session),
            Proof::Account(_) => None,
        }
    }

    /// Refuses what is sensitive to somebody who logged in long ago; `back` is the page with its form.
    ///
    /// # Errors
    /// The login is older than 15 minutes. The refusal leads to a new one, and from there to the page.
    pub(super) fn must_have_proved_lately(&self, state: &State, back: &str) -> Result<(), Refusal> {
        match &self.proof {
            Proof::Session(_, session) if !session.is_proved_lately(state.now()) => {
                let why = if session.by_link { "link" } else { "1" };
                Err(Refusal::nobody(Query::default().with("next", back).with("again", why).link("/login"), false))
            }
            Proof::Session(..) | Proof::Account(_) => Ok(()),
        }
    }

    /// Whether the visitor may have what a method answers, for parts of a page and links.
    pub(super) fn may(&self, method: &str) -> bool {
        may(self.caller(), rule_of_method(method)).is_ok()
    }

    /// Whether the visitor may still see the page, some time after it was asked for. The time counts as use of the session.
    ///
    /// # Errors
    /// The session or the token is over, the account may no longer see the page, or the store failed.
    pub(super) async fn check_again(&self, state: &State) -> Result<(), Refusal> {
        let now = state.now();
        let caller = match &self.proof {
            Proof::Session(token, _) => {
                let found = actions::session_find(state.store.as_ref(), token, state.sessions, now).await;
                state.or_refused(found)?.map(|session| {
                    state.last_use.note(&state.store, session.clone(), state.sessions, now);
                    session.caller
                })
            }
            Proof::Account(token) => {
                state.or_refused(actions::account_by_token(state.store.as_ref(), token, now).await)?
            }
        };
        let over = || Refusal::new(StatusCode::UNAUTHORIZED, "the session or the token is over");
        let caller = caller.ok_or_else(over)?;
        if caller.scope != self.caller.scope {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the account is bound to other sites now"));
        }
        self.answers.admit(&caller)
    }
}

impl Answers {
    fn admit(self, caller: &Caller) -> Result<(), Refusal> {
        for method in self.0 {
            may(caller, rule_of_method(method))?;
        }
        Ok(())
    }
}

impl FromRequestParts<State> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Refusal> {
        let Some(answers) = parts.extensions.get::<Answers>().copied() else {
            return Err(Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let (caller, proof) = if parts.headers.contains_key(AUTHORIZATION) {
            let token = bearer_token(&parts.headers)?;
            let caller = state.access.by_token(&token, parts.extensions.get::<PeerHandle>()).await?;
            (caller, Proof::Account(token))
        } else {
            let (token, session) = session_of(parts, state).await?;
            (session.caller.clone(), Proof::Session(token, session))
        };
        answers.admit(&caller)?;
        if let Proof::Session(_, session) = &proof
            && !parts.headers.contains_key(REFRESH)
        {
            state.last_use.note(&state.store, session.clone(), state.sessions, state.now());
        }
        let context = state.context(&caller);
        Ok(Self { caller, proof, answers, context })
    }
}

/// The session of a request with its token; without one, the way to log in and back.
pub(super) async fn session_of(parts: &Parts, state: &State) -> Result<(Token, Session), Refusal> {
    let back = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let is_page = parts.method == Method::GET && back != "/" && back.len() <= BACK;
    let is_form = parts.method == Method::POST && !parts.uri.path().starts_with("/logout");
    let login = || {
        if is_form {
            return Query::default().with("next", &page_of(parts.uri.path())).with("ended", "1").link("/login");
        }
        if is_page { Query::default().with("next", back).link("/login") } else { "/login".to_owned() }
    };
    let Some(token) = state.cookie.token_of(&parts.headers) else { return Err(Refusal::nobody(login(), false)) };
    let peer = parts.extensions.get::<PeerHandle>();
    let found = state.access.by_session(&token, state.sessions, peer).await?;
    let session = found.ok_or_else(|| Refusal::nobody(login(), true))?;
    Ok((token, session))
}

/// The page to which the address of a form belongs: its first part.
pub(super) fn page_of(path: &str) -> String {
    format!("/{}", path.split('/').nth(1).unwrap_or_default())
}
