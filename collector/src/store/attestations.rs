//! Attestations that a settlement issues: what both backends write. They sign and write in the transaction of the settling, so
//! there is no moment at which a host is `done` and its evidence could be removed before it is attested.

use muster_proto::model::{KeyFingerprint, Timestamp};

use super::fault::{Step, StoreFault};
use crate::attestation::{RemovalProof, ReportedBy, SealKey, seal};
use crate::ledger::entry::Entry;

/// How many attestations a host keeps under an order. Each needs another removal, days after the one before.
pub(in crate::store) const KEPT: i64 = 8;

/// An attestation that is to be signed.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Attested<'j, No> {
    /// The host.
    pub(in crate::store) host: No,
    /// The facts.
    pub(in crate::store) proof: &'j RemovalProof,
    /// Since when the host has been in the lane `done`.
    pub(in crate::store) since: Timestamp,
}

/// A signed attestation.
pub(in crate::store) struct Sealed {
    /// The bytes of the envelope.
    pub(in crate::store) envelope: Vec<u8>,
    /// Their SHA-256.
    pub(in crate::store) sha256: [u8; 32],
}

impl<No> Attested<'_, No> {
    /// Signs. `reported_under` is the key of the host that is in use.
    pub(in crate::store) fn seal(
        &self,
        key: Option<&SealKey>,
        reported_under: KeyFingerprint,
        issued: Timestamp,
    ) -> Step<Sealed> {
        let key = key.ok_or_else(|| StoreFault::Other("a removal is to be attested without a seal key".to_owned()))?;
        let envelope = seal(key, self.proof, &ReportedBy { key: reported_under, since: self.since, issued });
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &envelope).as_ref());
        Ok(Sealed { envelope, sha256 })
    }

    /// The ledger entry of an attestation.
    pub(in crate::store) fn entry(&self, sealed: &Sealed) -> Entry {
        let sha256 = data_encoding::HEXLOWER.encode(&sealed.sha256);
        Entry::AttestationIssued { host: self.proof.host, order: self.proof.order.clone(), sha256 }
    }
}
