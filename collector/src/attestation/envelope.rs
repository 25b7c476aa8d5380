//! The DSSE envelope: the statement, its type and the signature of both.
//! <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::json::spelled;
use super::proof::{RemovalProof, ReportedBy};
use super::seal_key::SealKey;
use super::statement::statement;

/// The type of the payload: an in-toto Statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Makes the attestation: the bytes of the envelope. The same arguments give the same bytes.
#[must_use]
pub fn seal(key: &SealKey, proof: &RemovalProof, by: &ReportedBy) -> Vec<u8> {
    wrap(key, PAYLOAD_TYPE, &statement(proof, by))
}

/// An envelope around a payload.
pub(super) fn wrap(key: &SealKey, payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let signature = key.sign(&authenticated(payload_type, payload));
    spell(payload_type, payload, &key.verifier().key_id(), &signature)
}

/// The one spelling of an envelope.
pub(super) fn spell(payload_type: &str, payload: &[u8], key_id: &str, signature: &[u8]) -> Vec<u8> {
    let envelope = json!({
        "payload": STANDARD.encode(payload),
        "payloadType": payload_type,
        "signatures": [{ "keyid": key_id, "sig": STANDARD.encode(signature) }],
    });
    spelled(&envelope).into_bytes()
}

/// What is signed: DSSE's pre-authentication encoding, which covers the type as well as the payload.
pub(super) fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_that_of_the_example_in_the_protocol() {
        let encoded = authenticated("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
