//! Access checks: who calls, by an account's token or by a session of the web board, and whether the rule of what is asked
//! admits the caller.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use muster_proto::model::{Role, Token};
use tonic::Status;

use super::methods::SiteRule;
use super::status::of_action;
use crate::actions::{self, ActionError, Caller, LoginLinkFound, Session, SessionTimes, account_by_token};
use crate::clock::Clock;
use crate::store::{SiteScope, Store};
use crate::telemetry::Metrics;
use crate::tls::PeerHandle;

/// The longest `authorization` header that is read.
const LONGEST: usize = 512;

/// Checks tokens and roles.
#[derive(Clone)]
pub struct Access {
    store: Arc<dyn Store>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Access {
    /// Checks against this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { store, clock, metrics }
    }

    /// Returns the caller if the token is valid and the role suffices. The connection then counts as the account's.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a valid token, `PERMISSION_DENIED` without the role, `RESOURCE_EXHAUSTED` after too many wrong
    /// tokens or with too many calls at once. None repeats the token.
    pub async fn admit(&self, headers: &HeaderMap, needed: Role, peer: Option<&PeerHandle>) -> Result<Caller, Status> {
        let caller = self.by_token(&bearer_token(headers)?, peer).await?;
        may_role(&caller, needed)?;
        Ok(caller)
    }

    /// The account of a token. The connection then counts as the account's.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a valid token, `RESOURCE_EXHAUSTED` after too many wrong tokens or with too many calls at once.
    pub async fn by_token(&self, token: &Token, peer: Option<&PeerHandle>) -> Result<Caller, Status> {
        let find = account_by_token(self.store.as_ref(), token, (self.clock)());
        let found = self.proven(token, peer, find, itself).await?;
        // One text for every case, so that the answer does not reveal which ids exist.
        found.ok_or_else(|| Status::unauthenticated("the token is unknown, expired or revoked"))
    }

    /// The session of a token; `None` if it is over. The connection then counts as that of the session's account.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` after too many wrong tokens or with too many calls at once.
    pub async fn by_session(
        &self,
        token: &Token,
        times: SessionTimes,
        peer: Option<&PeerHandle>,
    ) -> Result<Option<Session>, Status> {
        let find = actions::session_find(self.store.as_ref(), token, times, (self.clock)());
        self.proven(token, peer, find, |session| Some(&session.caller)).await
    }

    /// The login link of a token; `None` if it is unknown. If it can be used, the connection then counts as its account's.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` after too many wrong tokens or with too many calls at once.
    pub async fn by_login_link(
        &self,
        token: &Token,
        peer: Option<&PeerHandle>,
    ) -> Result<Option<LoginLinkFound>, Status> {
        let find = actions::login_link_find(self.store.as_ref(), token, (self.clock)());
        self.proven(token, peer, find, LoginLinkFound::caller).await
    }

    /// What a token stands for. Wrong ones are counted and too many of them not tried.
    async fn proven<T>(
        &self,
        token: &Token,
        peer: Option<&PeerHandle>,
        find: impl Future<Output = Result<Option<T>, ActionError>>,
        caller: impl Fn(&T) -> Option<&Caller>,
    ) -> Result<Option<T>, Status> {
        let hash = token.secret.hash();
        peer.map_or(Ok(()), |peer| peer.may_try(&hash)).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            Status::resource_exhausted(format!("too many wrong tokens from this address; try again in {seconds} s"))
        })?;
        let found = find.await.map_err(|error| of_action(&error, &self.metrics))?;
        if let Some(peer) = peer {
            peer.tried(hash, found.is_some());
        }
        if let (Some(peer), Some(caller)) = (peer, found.as_ref().and_then(caller)) {
            peer.prove(caller.name.as_bytes());
            if peer.has_too_many_calls() {
                let text = "more calls of this account at once than listeners.calls_per_account; try again later";
                return Err(Status::resource_exhausted(text));
            }
        }
        Ok(found)
    }
}

const fn itself(caller: &Caller) -> Option<&Caller> {
    Some(caller)
}

/// Refuses a caller whose role does not suffice. It comes after the secret, so that a stranger cannot find out what an id may do.
fn may_role(caller: &Caller, needed: Role) -> Result<(), Status> {
    if caller.role >= needed {
        return Ok(());
    }
    let text = format!("the role {} does not allow this; {needed} is required", caller.role);
    Err(Status::permission_denied(text))
}

/// Refuses a caller who is bound to sites what cannot be divided by site.
pub(super) fn may_sites(caller: &Caller, sites: SiteRule) -> Result<(), Status> {
    if sites != SiteRule::WholeFleet || caller.scope == SiteScope::All {
        return Ok(());
    }
    let text = format!("this needs an account for the whole fleet; your account is bound to {}", caller.scope);
    Err(Status::permission_denied(text))
}

/// Refuses a caller whom the rule of a method does not admit.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub(super) fn may(caller: &Caller, (needed, sites): (Role, SiteRule)) -> Result<(), Status> {
    may_role(caller, needed)?;
    may_sites(caller, sites)
}

/// The token in the header of a request.
///
/// # Errors
/// `UNAUTHENTICATED` if there is none, or it has not the form of one.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<Token, Status> {
    let demand =
        || Status::unauthenticated("this call needs a token in the metadata `authorization: Bearer id.secret`");
    let value = headers.get(AUTHORIZATION).ok_or_else(demand)?.to_str().map_err(|_| demand())?;
    if value.len() > LONGEST {
        return Err(demand());
    }
    let (scheme, token) = value.split_once(' ').ok_or_else(demand)?;
    // RFC 9110: the name of the scheme is case-insensitive.
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(demand());
    }
    token.parse().map_err(|_| demand())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().expect("a value"));
        headers
    }

    #[test]
    fn a_token_is_read_from_the_header_and_from_nothing_else() {
        let token = format!("admin.{}", "a".repeat(52));
        let read = bearer_token(&headers(&format!("Bearer {token}"))).expect("a token");
        assert_eq!(read.to_string(), token);
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            &format!("Basic {token}"),
            "Bearer admin.secret",
            "Bearer admin",
            "Bearer ADMIN.x",
            "Bearer .x",
            &"x".repeat(600),
        ] {
            let refused = bearer_token(&headers(wrong)).expect_err(wrong);
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
            assert!(refused.message().contains("token"), "{refused}");
        }
        assert!(bearer_token(&HeaderMap::new()).is_err());
    }
}
