//! Who looks at a page: the session in the cookie, and the rules of the methods that the page answers like.

use axum::extract::FromRequestParts;
use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use muster_proto::model::Token;
use tracing::warn;

use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use crate::actions::{self, Caller, Session};
use crate::api::access::may;
use crate::api::methods::rule_of_method;
use crate::reports::ReportContext;
use crate::tls::PeerHandle;

/// The cookie. The prefix makes browsers refuse it without TLS, for another path, and from another host (RFC 6265bis).
const COOKIE_NAME: &str = "__Host-muster";
/// The header that ends the cookie.
pub(super) const COOKIE_GONE: &str = "__Host-muster=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
/// The script's requests for newer numbers have it. They do not count as use, or a forgotten page would keep a session alive.
const REFRESH: &str = "x-muster-refresh";

/// The methods of FleetService that a route answers like. A route without them is shown to nobody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers(pub(super) &'static [&'static str]);

/// Somebody who is logged in and may see the page.
pub(super) struct Visitor {
    pub(super) session: Session,
    pub(super) context: ReportContext,
}

impl Visitor {
    pub(super) const fn caller(&self) -> &Caller {
        &self.session.caller
    }

    /// Whether the visitor may have what a method answers, for parts of a page and links.
    pub(super) fn may(&self, method: &str) -> bool {
        may(self.caller(), rule_of_method(method)).is_ok()
    }
}

impl FromRequestParts<State> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Refusal> {
        let Some(Answers(methods)) = parts.extensions.get::<Answers>().copied() else {
            return Err(Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let session = session_of(parts, state).await?;
        for method in methods {
            may(&session.caller, rule_of_method(method))?;
        }
        if !parts.headers.contains_key(REFRESH)
            && let Err(failed) = actions::session_seen(state.store.as_ref(), &session, state.now()).await
        {
            // The page itself needs no writes.
            warn!(error = %muster_proto::error_chain(&failed), "that a session was used could not be noted");
        }
        let context = state.context(&session.caller);
        Ok(Self { session, context })
    }
}

/// The session of a request; without one, the way to log in and back.
pub(super) async fn session_of(parts: &Parts, state: &State) -> Result<Session, Refusal> {
    let back = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let login = || if back == "/" { "/login".to_owned() } else { Query::default().with("next", back).link("/login") };
    let Some(token) = token_of(&parts.headers) else { return Err(Refusal::nobody(login(), false)) };
    let peer = parts.extensions.get::<PeerHandle>();
    let found = state.access.by_session(&token, state.sessions, peer).await?;
    found.ok_or_else(|| Refusal::nobody(login(), true))
}

/// The token of the session in the cookies.
pub(super) fn token_of(headers: &HeaderMap) -> Option<Token> {
    let pairs = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).find_map(|(_, value)| value.parse().ok())
}

/// The header that sets the cookie of a new session.
pub(super) fn cookie(token: &Token, seconds: u64) -> String {
    format!("{COOKIE_NAME}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_from_its_cookie_and_from_nothing_else() {
        let token = format!("abc.{}", "a".repeat(52));
        let read = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, cookie.parse().expect("a header"));
            }
            token_of(&headers).map(|token| token.to_string())
        };
        let named = format!("__Host-muster={token}");
        assert_eq!(read(&[&named]), Some(token.clone()));
        assert_eq!(read(&[&format!("a=b; {named}; c=d")]), Some(token.clone()));
        assert_eq!(read(&["a=b", &named]), Some(token.clone()), "HTTP/2 may split cookies");
        assert_eq!(read(&[&format!("muster={token}"), "__Host-muster=x", "__Host-muster", ""]), None);
    }
}
