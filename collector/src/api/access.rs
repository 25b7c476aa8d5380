//! Who may ask: an operator's token in `authorization: Bearer id.secret`, and a role that is enough for the method.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use muster_proto::model::TokenId;
use tonic::Status;

use super::status::store_failed;
use crate::actions::secret_hash;
use crate::store::{Role, Store};
use crate::telemetry::Metrics;

/// The longest `authorization` that is looked at.
const LONGEST: usize = 512;

/// The person behind a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub person: String,
    /// What the person may do.
    pub role: Role,
}

/// Knows whose token it is.
#[derive(Clone)]
pub struct Access {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Access {
    /// Over this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    /// The caller, if the token is good and the role is enough.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a good token, `PERMISSION_DENIED` without the role. Neither repeats the token.
    pub async fn admit(&self, headers: &HeaderMap, needed: Role) -> Result<Caller, Status> {
        let (id, secret) = token_of(headers)?;
        let known = self.store.account_token_get(&id).await.map_err(|error| store_failed(&error, &self.metrics))?;
        // Compared also when there is none, so that the time taken does not tell which ids exist.
        let expected = known.as_ref().map_or([0_u8; 32], |known| known.secret_hash);
        let same = equal_in_constant_time(&secret_hash(secret), &expected);
        match known {
            Some(known) if same && known.revoked_at.is_none() => {
                if known.role < needed {
                    let text = format!("the role {} may not do this: {} is needed", name(known.role), name(needed));
                    return Err(Status::permission_denied(text));
                }
                Ok(Caller { person: known.person, role: known.role })
            }
            _ => Err(Status::unauthenticated("the operator token is not known, or was withdrawn")),
        }
    }
}

fn token_of(headers: &HeaderMap) -> Result<(TokenId, &str), Status> {
    let demand =
        || Status::unauthenticated("an operator token is needed in the metadata `authorization: Bearer id.secret`");
    let value = headers.get(AUTHORIZATION).ok_or_else(demand)?.to_str().map_err(|_| demand())?;
    if value.len() > LONGEST {
        return Err(demand());
    }
    let (scheme, token) = value.split_once(' ').ok_or_else(demand)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(demand());
    }
    let (id, secret) = token.trim().split_once('.').ok_or_else(demand)?;
    Ok((TokenId::new(id).map_err(|_| demand())?, secret))
}

const fn name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn equal_in_constant_time(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differing = one.iter().zip(other).fold(0_u8, |differing, (a, b)| differing | (a ^ b));
    std::hint::black_box(differing) == 0
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
        let good = headers("Bearer admin.secret");
        assert_eq!(
            token_of(&good).map(|(id, secret)| (id.to_string(), secret.to_owned())).ok(),
            Some(("admin".into(), "secret".into()))
        );
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Basic admin.secret",
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

    #[test]
    fn comparing_finds_every_single_difference() {
        let one = [7_u8; 32];
        assert!(equal_in_constant_time(&one, &one));
        for at in 0..32 {
            let mut other = one;
            other[at] ^= 0x80;
            assert!(!equal_in_constant_time(&one, &other), "byte {at}");
        }
    }
}
