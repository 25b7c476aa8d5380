//! Creates tokens: for hosts that enroll (`id.secret.ca-pin`) and for accounts (`id.secret`). The store gets the hash of
//! the secret only.

use std::time::Duration;

use muster_proto::model::{
    CaPin, EnrollmentToken, InvalidId, Role, SiteId, Timestamp, Token, TokenId, TokenReport, TokenSecret,
};
use ring::rand::{SecureRandom, SystemRandom};

use crate::store::{AccountToken, NewToken, Store, StoreError};

/// The longest lifetime of an enrollment token.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 86_400);

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The lifetime is out of bounds.
    #[error("an enrollment token can be valid for 1 second to 366 days, not for {seconds} seconds")]
    Lifetime {
        /// The requested lifetime.
        seconds: u64,
    },
    /// The operating system returned no random numbers.
    #[error("the operating system returned no random numbers")]
    NoRandom,
    /// The random id of a new token is not valid.
    #[error("create a token id")]
    Id(#[source] InvalidId),
    /// The store failed.
    #[error("the token could not be stored")]
    Store(#[source] StoreError),
}

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
/// The lifetime is out of bounds, or the store fails.
pub async fn enrollment_token_create(
    store: &dyn Store,
    ca_pin: CaPin,
    new: NewEnrollment,
    now: Timestamp,
) -> Result<(EnrollmentToken, TokenReport), ActionError> {
    if new.lifetime < Duration::from_secs(1) || new.lifetime > MAX_LIFETIME {
        return Err(ActionError::Lifetime { seconds: new.lifetime.as_secs() });
    }
    let id = random_id()?;
    let secret = random_secret()?;
    let expires_at = now.plus(new.lifetime);
    let token = NewToken {
        id: id.clone(),
        secret_hash: secret.hash(),
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
    Ok((EnrollmentToken { id, secret, ca_pin }, report))
}

/// Creates an account's token. It replaces one with the same id.
///
/// # Errors
/// The store fails.
pub async fn account_token_create(
    store: &dyn Store,
    id: TokenId,
    person: &str,
    role: Role,
    now: Timestamp,
) -> Result<Token, ActionError> {
    let token = Token { id, secret: random_secret()? };
    put(store, &token, person, role, now).await?;
    Ok(token)
}

/// Stores an account's token that exists in a file, unless the store has it already. Returns whether it was stored.
///
/// # Errors
/// The store fails.
pub async fn account_token_keep(
    store: &dyn Store,
    token: &Token,
    person: &str,
    role: Role,
    now: Timestamp,
) -> Result<bool, ActionError> {
    let stored = store.account_token_get(&token.id).await.map_err(ActionError::Store)?;
    if stored.is_some_and(|stored| token.secret.matches(&stored.secret_hash) && stored.revoked_at.is_none()) {
        return Ok(false);
    }
    put(store, token, person, role, now).await.map(|()| true)
}

async fn put(store: &dyn Store, token: &Token, person: &str, role: Role, now: Timestamp) -> Result<(), ActionError> {
    let row = AccountToken {
        id: token.id.clone(),
        secret_hash: token.secret.hash(),
        person: person.to_owned(),
        role,
        created_at: now,
        revoked_at: None,
    };
    store.account_token_put(row).await.map_err(ActionError::Store)
}

/// The id of a new enrollment token: twelve characters, which are easy to compare and to type.
fn random_id() -> Result<TokenId, ActionError> {
    // Eight bytes give 13 characters. Twelve of them are 60 random bits, enough for an id, which is no secret.
    let mut text = data_encoding::BASE32_NOPAD.encode(&random::<8>()?).to_ascii_lowercase();
    text.truncate(12);
    TokenId::new(text).map_err(ActionError::Id)
}

fn random_secret() -> Result<TokenSecret, ActionError> {
    random().map(TokenSecret::from_random)
}

fn random<const N: usize>() -> Result<[u8; N], ActionError> {
    let mut bytes = [0_u8; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| ActionError::NoRandom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_new_token_has_twelve_letters_and_digits() {
        let id = random_id().expect("random numbers");
        assert_eq!(id.as_str().len(), 12);
        assert!(id.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    }
}
