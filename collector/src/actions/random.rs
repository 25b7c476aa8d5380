//! Random ids and secrets.

use muster_proto::model::{AccountId, TokenId, TokenSecret};
use ring::rand::{SecureRandom, SystemRandom};

use super::ActionError;

/// The id of a new token.
pub(super) fn token_id() -> Result<TokenId, ActionError> {
    TokenId::new(twelve_characters()?).map_err(ActionError::Id)
}

/// The id of a new account.
pub(super) fn account_id() -> Result<AccountId, ActionError> {
    AccountId::new(twelve_characters()?).map_err(ActionError::Id)
}

/// The secret of a new token.
pub(super) fn secret() -> Result<TokenSecret, ActionError> {
    bytes().map(TokenSecret::from_random)
}

/// The salt of a password.
pub(super) fn salt() -> Result<[u8; 16], ActionError> {
    bytes()
}

/// Twelve letters and digits, which are easy to compare and to type.
fn twelve_characters() -> Result<String, ActionError> {
    // Eight bytes give 13 characters. Twelve of them are 60 random bits, enough for an id, which is no secret.
    let mut text = data_encoding::BASE32_NOPAD.encode(&bytes::<8>()?).to_ascii_lowercase();
    text.truncate(12);
    Ok(text)
}

fn bytes<const N: usize>() -> Result<[u8; N], ActionError> {
    let mut bytes = [0_u8; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| ActionError::NoRandom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_twelve_letters_and_digits() {
        let id = token_id().expect("random numbers");
        assert_eq!(id.as_str().len(), 12);
        assert!(id.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_ne!(id, token_id().expect("random numbers"));
    }
}
