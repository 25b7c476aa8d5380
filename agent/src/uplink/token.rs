//! The enrollment token: `id.secret.ca-pin`. The pin says whom to trust before the first word is spoken.

use std::fmt;

use data_encoding::{Encoding, Specification};
use muster_proto::limits;
use muster_proto::model::TokenId;

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts between dots, or too long.
    #[error("a token has the form id.secret.ca-pin")]
    Form,
    /// The first part is wrong.
    #[error("the token's id is not valid")]
    Id,
    /// The second part is wrong.
    #[error("the token's secret is not 52 characters of base32 in lower case")]
    Secret,
    /// The third part is wrong.
    #[error("the token's ca-pin is not 52 characters of base32 in lower case")]
    Pin,
}

/// A token that was checked for its form. It is never shown: `Debug` gives its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrollmentToken {
    text: String,
    id: TokenId,
    pin: [u8; 32],
}

impl EnrollmentToken {
    /// Reads a token; space around it, as files have it, does not matter.
    ///
    /// # Errors
    /// Which part is not what it should be. The text is not repeated.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > limits::TOKEN_BYTES {
            return Err(TokenError::Form);
        }
        let mut parts = text.split('.');
        let (Some(id), Some(secret), Some(pin), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::Form);
        };
        let id = TokenId::new(id).map_err(|_| TokenError::Id)?;
        if secret.len() != 52 || bytes_of(secret).is_none() {
            return Err(TokenError::Secret);
        }
        let pin = bytes_of(pin).ok_or(TokenError::Pin)?;
        Ok(Self { text: text.to_owned(), id, pin })
    }

    /// The public part, by which operators know it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// SHA-256 of the public key of the CA that the collector must show.
    #[must_use]
    pub const fn pin(&self) -> &[u8; 32] {
        &self.pin
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

fn bytes_of(text: &str) -> Option<[u8; 32]> {
    base32()?.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Base32 of RFC 4648 in lower case, without padding.
pub(super) fn base32() -> Option<Encoding> {
    let mut form = Specification::new();
    form.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    form.encoding().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_and_never_shown() {
        let part = base32().expect("an encoding").encode(&[7; 32]);
        assert_eq!(part.len(), 52);
        let token = EnrollmentToken::parse(&format!(" abcdefgh1234.{part}.{part}\n")).expect("a token");
        assert_eq!((token.id(), token.pin()), ("abcdefgh1234", &[7; 32]));
        assert_eq!(format!("{token:?}"), "Token(abcdefgh1234)");
    }

    #[test]
    fn each_wrong_part_is_named_and_never_repeated() {
        let part = "a".repeat(52);
        for (text, error) in [
            (String::new(), TokenError::Form),
            (format!("abcdefgh1234.{part}"), TokenError::Form),
            (format!("abcdefgh1234.{part}.{part}.x"), TokenError::Form),
            (format!("ABCDEFGH1234.{part}.{part}"), TokenError::Id),
            (format!(".{part}.{part}"), TokenError::Id),
            (format!("abcdefgh1234.{}.{part}", "1".repeat(52)), TokenError::Secret),
            (format!("abcdefgh1234.{part}.{}", &part[1..]), TokenError::Pin),
            ("a".repeat(600), TokenError::Form),
        ] {
            assert_eq!(EnrollmentToken::parse(&text), Err(error), "{text}");
        }
    }
}
