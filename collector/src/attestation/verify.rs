//! Verifies an attestation with the public half of the seal key, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use super::envelope::{PAYLOAD_TYPE, authenticated, spell};
use super::hex::sha256_hex;
use super::json::spelled;
use super::statement::{PREDICATE_TYPE, STATEMENT_TYPE};
use super::verifier_key::VerifierKey;

/// The most bytes of an attestation. Those that Muster makes have a few thousand.
pub const ATTESTATION_BYTES: usize = 256 * 1024;

/// Why an attestation is not good.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is too long.
    #[error("it is larger than {ATTESTATION_BYTES} bytes, so it is no attestation of Muster")]
    TooLarge,
    /// It is no envelope.
    #[error("it is not a DSSE envelope")]
    NotAnEnvelope(#[source] serde_json::Error),
    /// Something follows the envelope.
    #[error("trailing data: {bytes} bytes follow the envelope")]
    TrailingData {
        /// How many.
        bytes: usize,
    },
    /// The payload is of another type.
    #[error("foreign payload type {found:?}; an attestation of Muster has {PAYLOAD_TYPE:?}")]
    PayloadType {
        /// As stated.
        found: String,
    },
    /// It has no signature, or several.
    #[error("it has {found} signatures; an attestation of Muster has one")]
    Signatures {
        /// How many.
        found: usize,
    },
    /// It names another key.
    #[error("it is signed with another key: it names {found}, and the given key is {wanted}")]
    OtherKey {
        /// The key id in the envelope.
        found: String,
        /// The id of the given key.
        wanted: String,
    },
    /// A part is not base64.
    #[error("its {part} is not base64: it was changed or cut off")]
    Base64 {
        /// `payload` or `signature`.
        part: &'static str,
    },
    /// The signature is not of this content.
    #[error("the signature does not match: the content or the signature was changed after it was signed")]
    Signature,
    /// The signed content is good, and the envelope around it is written in another way.
    #[error("the envelope was rewritten after it was signed; its signed content is unchanged")]
    Rewritten,
    /// The payload is no statement.
    #[error("its payload is not an in-toto statement")]
    NotAStatement(#[source] serde_json::Error),
    /// The statement has another type or another predicate.
    #[error("it states {found:?} and not {wanted:?}")]
    Foreign {
        /// As stated.
        found: String,
        /// What an attestation states.
        wanted: &'static str,
    },
    /// The subject is not the host of the predicate.
    #[error("its subject is {subject:?}, and its predicate is about {host:?}")]
    Subject {
        /// The subject.
        subject: String,
        /// The host of the predicate.
        host: String,
    },
    /// The digest of the subject is not that of the evidence.
    #[error("the digest of its subject is {stated}, and the SHA-256 of its evidence is {computed}")]
    Evidence {
        /// As stated.
        stated: String,
        /// As computed.
        computed: String,
    },
}

/// A good attestation, as far as a summary needs it. Texts are as they were signed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Whose key has signed it.
    pub origin: String,
    /// The id of the key.
    pub key_id: String,
    /// The id of the host.
    pub host: String,
    /// Its name.
    pub hostname: String,
    /// Its site.
    pub site: String,
    /// The order.
    pub order: String,
    /// Since when the host has been in the lane `done`.
    pub since: String,
    /// When it was issued.
    pub issued: String,
    /// The names and versions of the products that were removed.
    pub removed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: [Subject; 1],
    predicate_type: String,
    predicate: Value,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha256: String,
}

#[derive(Deserialize)]
struct Predicate {
    host: Host,
    order: Named,
    lane: LaneSince,
    issued: String,
    evidence: Removed,
}

#[derive(Deserialize)]
struct Host {
    id: String,
    name: String,
    site: String,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct LaneSince {
    since: String,
}

#[derive(Deserialize)]
struct Removed {
    removed: Vec<RemovedProduct>,
}

#[derive(Deserialize)]
struct RemovedProduct {
    name: String,
    version: String,
}

/// Verifies the bytes of an attestation. One line feed may follow it.
///
/// # Errors
/// It is not an attestation that this key has signed, unchanged to the byte.
pub fn verify(bytes: &[u8], key: &VerifierKey) -> Result<Verified, VerifyError> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.len() > ATTESTATION_BYTES {
        return Err(VerifyError::TooLarge);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes).into_iter::<Envelope>();
    // An empty file is an envelope that ends too early.
    let envelope = match reader.next() {
        Some(read) => read,
        None => serde_json::from_slice(bytes),
    };
    let envelope = envelope.map_err(VerifyError::NotAnEnvelope)?;
    let end = reader.byte_offset();
    if end < bytes.len() {
        return Err(VerifyError::TrailingData { bytes: bytes.len() - end });
    }
    let payload = opened(bytes, envelope, key)?;
    read(&payload, key)
}

/// The payload of an envelope whose signature is good.
fn opened(bytes: &[u8], envelope: Envelope, key: &VerifierKey) -> Result<Vec<u8>, VerifyError> {
    let Envelope { payload, payload_type, signatures } = envelope;
    if payload_type != PAYLOAD_TYPE {
        return Err(VerifyError::PayloadType { found: payload_type });
    }
    let [Signature { keyid, sig }] = signatures.as_slice() else {
        return Err(VerifyError::Signatures { found: signatures.len() });
    };
    let wanted = key.key_id();
    if *keyid != wanted {
        return Err(VerifyError::OtherKey { found: keyid.clone(), wanted });
    }
    let payload = STANDARD.decode(payload).map_err(|_| VerifyError::Base64 { part: "payload" })?;
    let signature = STANDARD.decode(sig).map_err(|_| VerifyError::Base64 { part: "signature" })?;
    let signed = authenticated(&payload_type, &payload);
    let public = UnparsedPublicKey::new(&ED25519, key.public());
    public.verify(&signed, &signature).map_err(|_| VerifyError::Signature)?;
    // What is around the payload is not signed. With one spelling only, no byte of a file can be changed unnoticed.
    if spell(&payload_type, &payload, keyid, &signature) == bytes { Ok(payload) } else { Err(VerifyError::Rewritten) }
}

/// Reads a statement whose signature is good.
fn read(payload: &[u8], key: &VerifierKey) -> Result<Verified, VerifyError> {
    let statement: Statement = serde_json::from_slice(payload).map_err(VerifyError::NotAStatement)?;
    for (found, wanted) in [(statement.kind, STATEMENT_TYPE), (statement.predicate_type, PREDICATE_TYPE)] {
        if found != wanted {
            return Err(VerifyError::Foreign { found, wanted });
        }
    }
    let computed = sha256_hex(spelled(&statement.predicate["evidence"]).as_bytes());
    let predicate: Predicate = serde_json::from_value(statement.predicate).map_err(VerifyError::NotAStatement)?;
    let [subject] = statement.subject;
    if subject.name != format!("host:{}", predicate.host.id) {
        return Err(VerifyError::Subject { subject: subject.name, host: predicate.host.id });
    }
    if subject.digest.sha256 != computed {
        return Err(VerifyError::Evidence { stated: subject.digest.sha256, computed });
    }
    let removed = predicate.evidence.removed.into_iter();
    Ok(Verified {
        origin: key.origin().to_string(),
        key_id: key.key_id(),
        host: predicate.host.id,
        hostname: predicate.host.name,
        site: predicate.host.site,
        order: predicate.order.id,
        since: predicate.lane.since,
        issued: predicate.issued,
        removed: removed.map(|product| format!("{} {}", product.name, product.version).trim_end().to_owned()).collect(),
    })
}
