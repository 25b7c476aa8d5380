//! Attestations, as lists and answers show them.

use super::{HostId, OrderId, SiteId, Timestamp};

/// An attestation in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AttestationRow {
    /// The host.
    pub host: HostId,
    /// Its present name.
    pub hostname: String,
    /// Its present site.
    pub site: SiteId,
    /// The order.
    pub order: OrderId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// An attestation with the public key that verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAttestation {
    /// The bytes of the envelope, as they were issued.
    pub envelope: Vec<u8>,
    /// The verifier key of the store: `<origin>+<id>+<base64>`.
    pub verifier_key: String,
}
