//! Tokens: how hosts enroll (`id.secret.ca-pin`) and how accounts sign in (`id.secret`).
//!
//! The id is public. The secret is 32 random bytes, shown once when the token is made; the collector stores its hash.
//! The CA pin tells the agent which collector to trust before it sends anything. Secret and pin are written as 52
//! characters of lower-case base32 (RFC 4648, no padding).

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::ids::TokenId;
use crate::limits;

/// Why a text is not a token. It never contains the text: a part of it may be a secret in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`limits::TOKEN_BYTES`].
    #[error("the token is {0} bytes long; the limit is {limit}", limit = limits::TOKEN_BYTES)]
    TooLong(usize),
    /// Not the expected number of parts between dots.
    #[error("a token has the form {0}")]
    Form(&'static str),
    /// The first part is wrong.
    #[error("the token's id is not valid")]
    Id,
    /// The second part is wrong.
    #[error("the token's secret is not 52 characters of lower-case base32")]
    Secret,
    /// The third part is wrong.
    #[error("the token's CA pin is not 52 characters of lower-case base32")]
    Pin,
}

/// The secret of a token. `Debug` does not show it.
#[derive(Clone)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// A secret from 32 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(base32(&bytes))
    }

    fn parse(text: &str) -> Result<Self, TokenError> {
        // Only the form is checked: the hash is over the text, so the text is kept.
        from_base32(text).ok_or(TokenError::Secret)?;
        Ok(Self(text.to_owned()))
    }

    /// What the collector stores instead of the secret: SHA-256 of its text. The secret has 256 random bits, so a slow
    /// hash would add nothing.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Whether the stored hash belongs to this secret. Takes the same time whatever the answer is.
    #[must_use]
    pub fn matches(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

impl PartialEq for TokenSecret {
    fn eq(&self, other: &Self) -> bool {
        // In constant time, so that the duration does not reveal how much of a guess is right.
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for TokenSecret {}

/// An account's token or the token of a session, `id.secret`. `Display` shows the secret, `Debug` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The public part.
    pub id: TokenId,
    /// The secret part.
    pub secret: TokenSecret,
}

impl Token {
    const FORM: &str = "id.secret";
}

impl FromStr for Token {
    type Err = TokenError;

    /// Reads a token. White space around it, as files have it, is ignored.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let [id, secret] = parts(text, Self::FORM)?;
        Ok(Self { id: id_of(id)?, secret: TokenSecret::parse(secret)? })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.secret.0)
    }
}

/// A token with which hosts enroll, `id.secret.ca-pin`. `Display` shows the secret, `Debug` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// The public part.
    pub id: TokenId,
    /// The secret part.
    pub secret: TokenSecret,
    /// The CA that the collector must present.
    pub ca_pin: CaPin,
}

impl EnrollmentToken {
    const FORM: &str = "id.secret.ca-pin";
}

impl FromStr for EnrollmentToken {
    type Err = TokenError;

    /// Reads a token. White space around it, as files have it, is ignored.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let [id, secret, pin] = parts(text, Self::FORM)?;
        Ok(Self { id: id_of(id)?, secret: TokenSecret::parse(secret)?, ca_pin: pin.parse()? })
    }
}

impl fmt::Display for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.id, self.secret.0, self.ca_pin)
    }
}

/// The pin of a CA: SHA-256 of its public key (SubjectPublicKeyInfo in DER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaPin([u8; 32]);

impl CaPin {
    /// From the hash of the public key.
    #[must_use]
    pub const fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash of the public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for CaPin {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        from_base32(text).map(Self).ok_or(TokenError::Pin)
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base32(&self.0))
    }
}

/// The parts between dots, if there are exactly `N` of them.
fn parts<'t, const N: usize>(text: &'t str, form: &'static str) -> Result<[&'t str; N], TokenError> {
    let text = text.trim();
    if text.len() > limits::TOKEN_BYTES {
        return Err(TokenError::TooLong(text.len()));
    }
    let parts: Vec<&str> = text.split('.').collect();
    parts.try_into().map_err(|_| TokenError::Form(form))
}

fn id_of(text: &str) -> Result<TokenId, TokenError> {
    TokenId::new(text).map_err(|_| TokenError::Id)
}

fn base32(bytes: &[u8; 32]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Lower case only, so that one token has one spelling.
fn from_base32(text: &str) -> Option<[u8; 32]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    // The decoder knows the upper case of RFC 4648 only.
    BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> String {
        base32(&[7; 32])
    }

    #[test]
    fn tokens_are_read_and_printed_and_debug_hides_the_secret() {
        let text = format!("admin.{}", secret());
        let token: Token = format!(" {text}\n").parse().expect("a token");
        assert_eq!(token.to_string(), text);
        assert_eq!(token.secret, TokenSecret::from_random([7; 32]));
        let text = format!("abcdefgh1234.{}.{}", secret(), base32(&[9; 32]));
        let enrollment: EnrollmentToken = text.parse().expect("an enrollment token");
        assert_eq!(enrollment.to_string(), text);
        assert_eq!(enrollment.ca_pin.as_bytes(), &[9; 32]);
        assert!(!format!("{token:?} {enrollment:?}").contains(&secret()));
    }

    #[test]
    fn an_error_names_the_wrong_part_and_does_not_repeat_it() {
        let part = secret();
        let form = TokenError::Form("id.secret.ca-pin");
        for (text, error) in [
            (String::new(), form),
            (format!("abcdefgh1234.{part}"), form),
            (format!("abcdefgh1234.{part}.{part}.x"), form),
            (format!("ABCDEFGH1234.{part}.{part}"), TokenError::Id),
            (format!(".{part}.{part}"), TokenError::Id),
            (format!("abcdefgh1234.{}.{part}", "1".repeat(52)), TokenError::Secret),
            (format!("abcdefgh1234.{}.{part}", part.to_ascii_uppercase()), TokenError::Secret),
            (format!("abcdefgh1234.{part}.{}", &part[1..]), TokenError::Pin),
            ("a".repeat(600), TokenError::TooLong(600)),
        ] {
            assert_eq!(text.parse::<EnrollmentToken>(), Err(error), "{text}");
        }
        assert_eq!("admin".parse::<Token>(), Err(TokenError::Form("id.secret")));
        assert_eq!("admin.secret".parse::<Token>(), Err(TokenError::Secret));
    }

    #[test]
    fn a_hash_matches_its_secret_only() {
        let (one, other) = (TokenSecret::from_random([1; 32]), TokenSecret::from_random([2; 32]));
        assert!(one.matches(&one.hash()));
        assert!(!one.matches(&other.hash()));
    }
}
