//! Tokens: for hosts that enroll (`id.secret.ca-pin`), and for people who ask (`id.secret`).
//!
//! A secret is 32 random bytes, shown once and kept as a SHA-256: with that much chance in it, a slow hash adds nothing.

use std::time::Duration;

use muster_proto::model::{InvalidId, SiteId, Timestamp, TokenId, TokenReport};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest as _, Sha256};

use crate::store::{AccountToken, NewToken, Role, Store, StoreError};

/// The longest life of an enrollment token.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 86_400);

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The token would live too long, or not at all.
    #[error("an enrollment token lives between one second and 366 days, and {seconds} seconds were asked for")]
    Lifetime {
        /// What was asked for.
        seconds: u64,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoChance,
    /// A text is not a token.
    #[error("{what} is not an operator's token of the form id.secret")]
    NotAToken {
        /// Where it stands.
        what: String,
    },
    /// An id is none.
    #[error("the token id is not valid")]
    Id(#[source] InvalidId),
    /// The store could not do it.
    #[error("the store could not do it")]
    Store(#[source] StoreError),
}

/// What a new enrollment token is for.
#[derive(Debug, Clone)]
pub struct NewEnrollment {
    /// The site for which it enrolls.
    pub site: SiteId,
    /// How long it lives.
    pub lifetime: Duration,
    /// How often it may be used; 0 is without limit.
    pub max_uses: u64,
}

/// A new operator's token.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountSecret {
    /// Public half.
    pub id: TokenId,
    /// `id.secret`.
    pub text: String,
}

/// Makes an enrollment token. The text is shown once; the store knows a hash.
///
/// # Errors
/// The life asked for is out of bounds, or the store refuses.
pub async fn enrollment_token_create(
    store: &dyn Store,
    ca_pin: &str,
    new: NewEnrollment,
    now: Timestamp,
) -> Result<(String, TokenReport), ActionError> {
    if new.lifetime < Duration::from_secs(1) || new.lifetime > LONGEST_LIFE {
        return Err(ActionError::Lifetime { seconds: new.lifetime.as_secs() });
    }
    let id = TokenId::new(public_half()?).map_err(ActionError::Id)?;
    let secret = random_text(32)?;
    let expires_at = now.plus(new.lifetime);
    let token = NewToken {
        id: id.clone(),
        secret_hash: secret_hash(&secret),
        site: new.site.clone(),
        created_at: now,
        expires_at,
        max_uses: new.max_uses,
    };
    store.token_create(token).await.map_err(ActionError::Store)?;
    let report = TokenReport {
        id: id.clone(),
        site: new.site,
        created_at: now,
        expires_at,
        max_uses: new.max_uses,
        uses: 0,
        revoked_at: None,
    };
    Ok((format!("{id}.{secret}.{ca_pin}"), report))
}

/// Makes a token for a person; one of the same id is replaced.
///
/// # Errors
/// The store refuses.
pub async fn account_token_create(
    store: &dyn Store,
    id: &str,
    person: &str,
    role: Role,
    now: Timestamp,
) -> Result<AccountSecret, ActionError> {
    let id = TokenId::new(id).map_err(ActionError::Id)?;
    let secret = random_text(32)?;
    let text = format!("{id}.{secret}");
    keep(store, &id, &secret, person, role, now).await?;
    Ok(AccountSecret { id, text })
}

/// Makes a token known that is kept in a file, where the store has lost it or never had it. Says whether it was new.
///
/// # Errors
/// The text is no token, or the store refuses.
pub async fn account_token_keep(
    store: &dyn Store,
    text: &str,
    what: &str,
    person: &str,
    role: Role,
    now: Timestamp,
) -> Result<bool, ActionError> {
    let not_a_token = || ActionError::NotAToken { what: what.to_owned() };
    let (id, secret) = text.trim().split_once('.').ok_or_else(not_a_token)?;
    let id = TokenId::new(id).map_err(|_| not_a_token())?;
    if secret.len() < 26 {
        return Err(not_a_token());
    }
    let known = store.account_token_get(&id).await.map_err(ActionError::Store)?;
    if known.is_some_and(|known| known.secret_hash == secret_hash(secret) && known.revoked_at.is_none()) {
        return Ok(false);
    }
    keep(store, &id, secret, person, role, now).await.map(|()| true)
}

/// What is kept of a secret.
#[must_use]
pub fn secret_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

async fn keep(
    store: &dyn Store,
    id: &TokenId,
    secret: &str,
    person: &str,
    role: Role,
    now: Timestamp,
) -> Result<(), ActionError> {
    let token = AccountToken {
        id: id.clone(),
        secret_hash: secret_hash(secret),
        person: person.to_owned(),
        role,
        created_at: now,
        revoked_at: None,
    };
    store.account_token_put(token).await.map_err(ActionError::Store)
}

/// The public half of a token: twelve characters, which is what agents take for one.
fn public_half() -> Result<String, ActionError> {
    let mut text = random_text(8)?;
    text.truncate(12);
    Ok(text)
}

/// So many random bytes as lower-case base32, which has no dot in it.
fn random_text(bytes: usize) -> Result<String, ActionError> {
    let mut random = vec![0_u8; bytes];
    SystemRandom::new().fill(&mut random).map_err(|_| ActionError::NoChance)?;
    Ok(data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_has_the_twelve_characters_that_agents_take() {
        let id = public_half().expect("chance");
        assert_eq!(id.len(), 12);
        assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    }
}
