//! Attestations that a settlement issues: what both backends write. They sign and write in the transaction of the settling, so
//! there is no moment at which a host is `done` and its evidence could be removed before it is attested.

use muster_proto::model::{KeyFingerprint, Timestamp};

use super::fault::{Step, StoreFault};
use crate::attestation::{RemovalProof, ReportedBy, SealKey, WaivedTime, seal};
use crate::judge::{HostDecisions, WaiverTerm};
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

/// What the store knows beside the proof when an attestation is issued.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct KnownThen<'k> {
    /// What people decided about the host.
    pub(in crate::store) decisions: Option<&'k HostDecisions>,
    /// The newest checkpoint of the ledger.
    pub(in crate::store) checkpoint: Option<&'k str>,
    /// When it is issued.
    pub(in crate::store) issued: Timestamp,
}

impl<No> Attested<'_, No> {
    /// Signs. `reported_under` is the key of the host that is in use.
    pub(in crate::store) fn seal(
        &self,
        key: Option<&SealKey>,
        reported_under: KeyFingerprint,
        known: &KnownThen<'_>,
    ) -> Step<Sealed> {
        let &KnownThen { decisions, checkpoint, issued } = known;
        let key = key.ok_or_else(|| StoreFault::Other("a removal is to be attested without a seal key".to_owned()))?;
        let waivers = decisions.map(|decisions| self.waivers(decisions, issued)).unwrap_or_default();
        let checkpoint = checkpoint.map(ToOwned::to_owned);
        let by = ReportedBy { key: reported_under, since: self.since, issued, waivers, checkpoint };
        let envelope = seal(key, self.proof, &by);
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &envelope).as_ref());
        Ok(Sealed { envelope, sha256 })
    }

    /// The waivers that covered the host since the product was found.
    fn waivers(&self, decisions: &HostDecisions, issued: Timestamp) -> Vec<WaivedTime> {
        let covers = |term: &&WaiverTerm| {
            term.order == self.proof.order && term.approved_at <= issued && term.end() > self.proof.found.first
        };
        let waived = |term: &WaiverTerm| WaivedTime {
            number: term.number,
            reason: term.reason,
            from: term.approved_at,
            until: term.end(),
            is_self_approved: term.is_self_approved,
        };
        // A statement names only some of many; those that one person decided must be among them.
        let mut waivers: Vec<WaivedTime> = decisions.waivers.iter().filter(covers).map(waived).collect();
        waivers.sort_by_key(|waiver| (!waiver.is_self_approved, waiver.number));
        waivers
    }

    /// The ledger entry of an attestation.
    pub(in crate::store) fn entry(&self, sealed: &Sealed) -> Entry {
        let sha256 = data_encoding::HEXLOWER.encode(&sealed.sha256);
        Entry::AttestationIssued { host: self.proof.host, order: self.proof.order.clone(), sha256 }
    }
}
