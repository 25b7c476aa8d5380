//! Enrollment tokens (`id.secret.ca-pin`): created, listed, revoked. The store gets the hash of the secret only.

use std::time::Duration;

use muster_proto::model::{CaPin, EnrollmentToken, SiteId, Timestamp, TokenId, TokenReport};

use super::{ActionError, Caller, random};
use crate::store::{NewToken, Store, admin};

/// The longest lifetime of an enrollment token.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 86_400);

/// What a new enrollment token is for.
#[derive(Debug, Clone)]
pub struct NewEnrollment {
    /// The site for which it enrolls.
    pub site: SiteId,
    /// How long it is valid.
    pub lifetime: Duration,
    /// How many hosts it may enroll; 0 is without limit.
    pub max_uses: u64,
}

/// Creates an enrollment token.
///
/// # Errors
/// The lifetime is out of bounds, the caller is bound to other sites, or the store fails.
pub async fn enrollment_token_create(
    store: &dyn Store,
    caller: &Caller,
    ca_pin: CaPin,
    new: NewEnrollment,
    now: Timestamp,
) -> Result<(EnrollmentToken, TokenReport), ActionError> {
    caller.must_admit(&new.site)?;
    if new.lifetime < Duration::from_secs(1) || new.lifetime > MAX_LIFETIME {
        return Err(ActionError::Lifetime { seconds: new.lifetime.as_secs() });
    }
    let (id, secret) = (random::token_id()?, random::secret()?);
    let expires_at = now.plus(new.lifetime);
    let token = NewToken {
        id: id.clone(),
        secret_hash: secret.hash(),
        site: new.site.clone(),
        created_at: now,
        expires_at,
        max_uses: new.max_uses,
    };
    let create = move |tx: &mut dyn admin::AdminTx| {
        if !admin::tokens::has_space(tx, now)? {
            return Ok(false);
        }
        admin::tokens::create(tx, &token).map(|()| true)
    };
    if !admin::write(store, "token_create", caller.acting(now), create).await? {
        return Err(ActionError::TooManyTokens);
    }
    let (max_uses, uses) = (new.max_uses, 0);
    let report =
        TokenReport { id: id.clone(), site: new.site, created_at: now, expires_at, max_uses, uses, revoked_at: None };
    Ok((EnrollmentToken { id, secret, ca_pin }, report))
}

/// The enrollment tokens of the caller's sites, newest first.
///
/// # Errors
/// The store fails.
pub async fn enrollment_token_list(store: &dyn Store, caller: &Caller) -> Result<Vec<TokenReport>, ActionError> {
    let mut tokens = admin::read(store, "token_list", admin::tokens::list).await?;
    tokens.retain(|token| caller.scope.contains(&token.site));
    Ok(tokens)
}

/// Revokes an enrollment token; `false` if there is none with this id at the caller's sites. Hosts that enrolled with it
/// stay enrolled.
///
/// # Errors
/// The store fails.
pub async fn enrollment_token_revoke(
    store: &dyn Store,
    caller: &Caller,
    id: TokenId,
    now: Timestamp,
) -> Result<bool, ActionError> {
    let scope = caller.scope.clone();
    let revoke = move |tx: &mut dyn admin::AdminTx| admin::tokens::revoke(tx, &id, &|site| scope.contains(site), now);
    Ok(admin::write(store, "token_revoke", caller.acting(now), revoke).await?)
}
