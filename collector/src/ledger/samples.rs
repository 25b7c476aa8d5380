//! A key and leaves for the tests of the ledger.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_proto::model::Timestamp;

use super::leaf;
use super::tree::{Hash, leaf_hash};
use crate::attestation::{Origin, SealKey};

/// The verifier key of the published example of <https://pkg.go.dev/golang.org/x/mod/sumdb/note>.
pub(super) const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// The last part of its signing key, published there too: the byte 1 and the 32 bytes of the private key.
const PETER_SIGNS: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
/// What precedes the 32 bytes in PKCS#8 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The key of the example.
pub(super) fn peter() -> SealKey {
    let private = STANDARD.decode(PETER_SIGNS).expect("base64");
    let der = STANDARD.encode([PKCS8.as_slice(), &private[1..]].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    SealKey::read(&pem, Origin::new("PeterNeumann").expect("an origin")).expect("a key")
}

/// The line of an entry, and its hash.
pub(super) fn sealed(no: u64) -> (Vec<u8>, Hash) {
    let entry = format!(r#"{{"v":1,"actor":{{"by":"judge"}},"kind":"rules-adopted","from":null,"to":"r{no}"}}"#);
    let line =
        leaf::line(no, Timestamp::from_millis(1_795_925_935_000).plus(std::time::Duration::from_millis(no)), &entry);
    let hash = leaf_hash(&line);
    (line, hash)
}
