//! The public half of the seal key, in the form of C2SP's signed notes: `<origin>+<id>+<base64>`.
//!
//! The id is the first four bytes of SHA-256 over the origin, a line feed, the byte 1 (Ed25519) and the 32 bytes of the key;
//! the base64 is of the byte 1 and the key. See <https://c2sp.org/signed-note>.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hex::{hex, sha256_hex};

/// The most bytes of an origin: as many as a name in the DNS has.
pub const ORIGIN_BYTES: usize = 253;

/// The kind of signature in a verifier key: Ed25519.
const ED25519: u8 = 1;

/// Why a text cannot be an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It has no character.
    #[error("an origin must not be empty")]
    Empty,
    /// It is too long.
    #[error("an origin has at most {ORIGIN_BYTES} bytes; this one has {bytes}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It has a character that the format reserves.
    #[error("an origin must not contain {found:?}; use a name such as muster.example.com")]
    Character {
        /// The character.
        found: char,
    },
}

/// Who seals: the name of a key, such as `muster.example.com`. It has neither spaces, control characters nor `+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Checks a name.
    ///
    /// # Errors
    /// It is empty, too long, or has a space, a control character or `+`.
    pub fn new(text: impl Into<String>) -> Result<Self, OriginError> {
        let text = text.into();
        if text.is_empty() {
            return Err(OriginError::Empty);
        }
        if text.len() > ORIGIN_BYTES {
            return Err(OriginError::TooLong { bytes: text.len() });
        }
        let is_reserved = |found: &char| *found == '+' || found.is_whitespace() || found.is_control();
        match text.chars().find(is_reserved) {
            Some(found) => Err(OriginError::Character { found }),
            None => Ok(Self(text)),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::new(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAVerifierKey {
    /// It has not three parts.
    #[error("a verifier key has the form ORIGIN+ID+BASE64, on one line")]
    Form,
    /// The first part is no origin.
    #[error("the origin of the verifier key is not valid")]
    Origin(#[source] OriginError),
    /// The last part is not base64.
    #[error("the last part of the verifier key is not base64")]
    Base64,
    /// It is of another kind than Ed25519.
    #[error("the verifier key is not an Ed25519 key: its last part must be the byte 1 and 32 bytes")]
    Kind,
    /// The id does not belong to the rest.
    #[error("the id {stated} of the verifier key does not belong to its origin and key, which give {computed}")]
    Id {
        /// As stated.
        stated: String,
        /// As it should be.
        computed: String,
    },
}

/// The public half of a seal key with its origin. `Display` writes `<origin>+<id>+<base64>`, and `FromStr` reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    origin: Origin,
    public: [u8; 32],
}

impl VerifierKey {
    /// A key with its origin.
    #[must_use]
    pub const fn new(origin: Origin, public: [u8; 32]) -> Self {
        Self { origin, public }
    }

    /// Who seals.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The public key: 32 bytes.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The key id of envelopes: the SHA-256 of the public key in hexadecimal digits.
    #[must_use]
    pub fn key_id(&self) -> String {
        sha256_hex(&self.public)
    }

    /// The kind of the key and the key, which the last part holds.
    fn tagged(&self) -> [u8; 33] {
        let mut tagged = [ED25519; 33];
        tagged[1..].copy_from_slice(&self.public);
        tagged
    }

    /// The id of the signed note's format in hexadecimal digits.
    fn note_id(&self) -> String {
        hex(&self.note_key_id())
    }

    /// The id of the signed note's format: the first bytes of each signature by this key.
    pub(crate) fn note_key_id(&self) -> [u8; 4] {
        let hashed = [self.origin.as_str().as_bytes(), b"\n", &self.tagged()].concat();
        let digest = ring::digest::digest(&ring::digest::SHA256, &hashed);
        let mut id = [0; 4];
        id.copy_from_slice(&digest.as_ref()[..4]);
        id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.origin, self.note_id(), STANDARD.encode(self.tagged()))
    }
}

impl FromStr for VerifierKey {
    type Err = NotAVerifierKey;

    fn from_str(text: &str) -> Result<Self, NotAVerifierKey> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        // Base64 may contain `+`, and an origin and an id may not.
        let mut parts = text.splitn(3, '+');
        let (Some(origin), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAVerifierKey::Form);
        };
        let origin = Origin::new(origin).map_err(NotAVerifierKey::Origin)?;
        let tagged = STANDARD.decode(key).map_err(|_| NotAVerifierKey::Base64)?;
        let [ED25519, public @ ..] = tagged.as_slice() else { return Err(NotAVerifierKey::Kind) };
        let public = public.try_into().map_err(|_| NotAVerifierKey::Kind)?;
        let read = Self { origin, public };
        let computed = read.note_id();
        if computed == id { Ok(read) } else { Err(NotAVerifierKey::Id { stated: id.to_owned(), computed }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Go checksum database, whose key has this form: origin, id and key are from
    /// <https://pkg.go.dev/golang.org/x/mod/sumdb/note>.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_known_verifier_key_is_read_and_written_again() {
        let read: VerifierKey = PETER.parse().expect("valid");
        assert_eq!((read.origin().as_str(), read.to_string().as_str()), ("PeterNeumann", PETER));
        assert_eq!(format!("{PETER}\n").parse::<VerifierKey>().expect("a file ends with a line feed"), read);
    }

    #[test]
    fn what_is_no_verifier_key_is_refused_with_the_part_that_is_wrong() {
        let refused = |text: &str| text.parse::<VerifierKey>().expect_err("refused").to_string();
        assert!(refused("PeterNeumann").contains("ORIGIN+ID+BASE64"));
        assert!(refused("+c74f20a3+AR").contains("origin"));
        assert!(refused("Peter Neumann+c74f20a3+AR").contains("origin"));
        assert!(refused("PeterNeumann+c74f20a3+*").contains("base64"));
        assert!(refused("PeterNeumann+c74f20a3+AQI=").contains("not an Ed25519 key"));
        let other = PETER.replace("c74f20a3", "c74f20a4");
        assert!(refused(&other).contains("does not belong") && refused(&other).contains("c74f20a3"));
        assert!(refused(&PETER.replace("Peter", "Petra")).contains("does not belong"));
    }

    #[test]
    fn an_origin_has_no_spaces_and_no_plus() {
        for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b", &"x".repeat(254)] {
            Origin::new(bad).expect_err(bad);
        }
        Origin::new("muster.example.com").expect("valid");
    }
}
