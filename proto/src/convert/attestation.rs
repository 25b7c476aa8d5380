//! Attestations on the wire.

use super::{ConvertError, host_id, id};
use crate::model::{AttestationRow, OrderId, SiteId, StoredAttestation, Timestamp};
use crate::wire;

impl From<AttestationRow> for wire::AttestationRow {
    fn from(row: AttestationRow) -> Self {
        Self {
            host: row.host.as_bytes().to_vec().into(),
            hostname: row.hostname,
            site: row.site.to_string(),
            order: row.order.to_string(),
            issued_at_ms: row.issued_at.millis(),
            sha256: row.sha256,
        }
    }
}

impl TryFrom<wire::AttestationRow> for AttestationRow {
    type Error = ConvertError;
    fn try_from(row: wire::AttestationRow) -> Result<Self, ConvertError> {
        Ok(Self {
            host: host_id("AttestationRow.host", &row.host)?,
            hostname: row.hostname,
            site: id("AttestationRow.site", SiteId::new(row.site))?,
            order: id("AttestationRow.order", OrderId::new(row.order))?,
            issued_at: Timestamp::from_millis(row.issued_at_ms),
            sha256: row.sha256,
        })
    }
}

impl From<StoredAttestation> for wire::GetAttestationResponse {
    fn from(stored: StoredAttestation) -> Self {
        Self { envelope: stored.envelope.into(), verifier_key: stored.verifier_key }
    }
}

impl From<wire::GetAttestationResponse> for StoredAttestation {
    fn from(answer: wire::GetAttestationResponse) -> Self {
        Self { envelope: answer.envelope.to_vec(), verifier_key: answer.verifier_key }
    }
}
