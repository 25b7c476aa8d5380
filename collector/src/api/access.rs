//! Access checks: an account's token in `authorization: Bearer id.secret`, and the role that the method needs.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use muster_proto::model::{Role, Token};
use tonic::Status;

use super::status::of_action;
use crate::actions::{Caller, account_by_token};
use crate::clock::Clock;
use crate::store::Store;
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
        let token = token_of(headers)?;
        let hash = token.secret.hash();
        peer.map_or(Ok(()), |peer| peer.may_try(&hash)).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            Status::resource_exhausted(format!("too many wrong tokens from this address; try again in {seconds} s"))
        })?;
        let found = account_by_token(self.store.as_ref(), &token, (self.clock)()).await;
        let found = found.map_err(|error| of_action(&error, &self.metrics))?;
        if let Some(peer) = peer {
            peer.tried(hash, found.is_some());
        }
        // One text for every case, so that the answer does not reveal which ids exist.
        let caller = found.ok_or_else(|| Status::unauthenticated("the token is unknown, expired or revoked"))?;
        if let Some(peer) = peer {
            peer.prove(caller.name.as_bytes());
            if peer.has_too_many_calls() {
                let text = "more calls of this account at once than listeners.calls_per_account; try again later";
                return Err(Status::resource_exhausted(text));
            }
        }
        // The role comes after the secret, so that a stranger cannot find out what an id may do.
        if caller.role < needed {
            let text = format!("the role {} does not allow this; {needed} is required", caller.role);
            return Err(Status::permission_denied(text));
        }
        Ok(caller)
    }
}

fn token_of(headers: &HeaderMap) -> Result<Token, Status> {
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
        let read = token_of(&headers(&format!("Bearer {token}"))).expect("a token");
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
            let refused = token_of(&headers(wrong)).expect_err(wrong);
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
            assert!(refused.message().contains("token"), "{refused}");
        }
        assert!(token_of(&HeaderMap::new()).is_err());
    }
}
