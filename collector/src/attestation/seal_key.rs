//! The private half of the seal key: Ed25519 in PKCS#8, as PEM text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::verifier_key::{Origin, VerifierKey};

/// The characters in a line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

/// Why a text is no seal key. It never says what the text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASealKey {
    /// It has no PEM block of a private key.
    #[error("it has no block `PRIVATE KEY` in PEM")]
    Pem,
    /// The block is no Ed25519 key.
    #[error("its private key is not an Ed25519 key in PKCS#8")]
    Kind,
}

/// The key that signs attestations and checkpoints of the ledger. All collectors on one store have the same.
pub struct SealKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl SealKey {
    /// A new private key as PEM text; `None` if the operating system returned no random numbers.
    #[must_use]
    pub fn generate() -> Option<String> {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        let text = STANDARD.encode(der.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(PEM_LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Some(pem)
    }

    /// Reads a private key and gives it its origin.
    ///
    /// # Errors
    /// The text is no Ed25519 key in PKCS#8 and PEM.
    pub fn read(pem: &str, origin: Origin) -> Result<Self, NotASealKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| NotASealKey::Pem)?;
        // Keys that OpenSSL made do not contain their public half, and are accepted too.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| NotASealKey::Kind)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NotASealKey::Kind)?;
        Ok(Self { verifier: VerifierKey::new(origin, public), pair })
    }

    /// The public half with the origin.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a message. Ed25519 needs no random numbers, so the same message has the same signature.
    ///
    /// The key signs two kinds of messages, and none is of both: that of an attestation begins with `DSSEv1` and a
    /// space, and that of a checkpoint with a line that is the origin, which has no space.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}
