//! What is delivered for one snapshot: the snapshot, its sections, and the host's facts and state at that time. The
//! encoded form is the payload of a spool entry.

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use muster_proto::convert::SectionUpload;
use muster_proto::model::{Digest, HostFacts, HostState, Timestamp};
use muster_proto::wire;
use prost::Message;

const VERSION: u8 = 1;

/// Why bytes cannot be decoded as a delivery.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The version byte is unknown, for instance from a newer agent.
    #[error("unsupported delivery version {0}")]
    Version(u8),
    /// A part is damaged or missing.
    #[error("cannot decode {part} of the delivery")]
    Part {
        /// The part.
        part: &'static str,
        /// The decoding error; `None` when the part is missing.
        #[source]
        source: Option<prost::DecodeError>,
    },
}

/// A snapshot with everything that its delivery may need.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) snapshot: Bytes,
    pub(super) digest: Digest,
    pub(super) observed_at: Timestamp,
    pub(super) facts: wire::HostFacts,
    /// Of the machine that was scanned; empty if unknown.
    pub(super) fingerprint: Bytes,
    pub(super) state: wire::HostState,
    pub(super) sections: Vec<(Digest, Bytes)>,
}

impl Delivery {
    /// Packs the canonical bytes of a snapshot and of its sections.
    #[must_use]
    pub fn new(
        snapshot: Vec<u8>,
        sections: Vec<(Digest, Vec<u8>)>,
        facts: HostFacts,
        fingerprint: Option<[u8; 32]>,
        state: HostState,
        observed_at: Timestamp,
    ) -> Self {
        let sections = sections.into_iter().map(|(digest, bytes)| (digest, Bytes::from(bytes))).collect();
        let digest = Digest::of(&snapshot);
        Self {
            snapshot: Bytes::from(snapshot),
            digest,
            observed_at,
            facts: facts.into(),
            fingerprint: fingerprint.map(|bytes| Bytes::copy_from_slice(&bytes)).unwrap_or_default(),
            state: state.into(),
            sections,
        }
    }

    /// The name of the platform of the machine.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.facts.platform
    }

    /// The digest of the snapshot.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The payload for the spool: a version byte, then length-delimited messages.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail.
        let _ = self.write(&mut bytes);
        bytes
    }

    /// Writes the payload for the spool, with one section at a time in memory.
    ///
    /// # Errors
    /// As `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let header = wire::CheckInRequest {
            observed_at_ms: self.observed_at.millis(),
            facts: Some(self.facts.clone()),
            state: Some(self.state.clone()),
            fingerprint: self.fingerprint.clone(),
            ..wire::CheckInRequest::default()
        };
        let snapshot = part(wire::upload_request::Part::Snapshot(self.snapshot.clone()));
        out.write_all(&[VERSION])?;
        out.write_all(&header.encode_length_delimited_to_vec())?;
        out.write_all(&snapshot.encode_length_delimited_to_vec())?;
        for (digest, canonical) in &self.sections {
            out.write_all(&section(*digest, canonical).encode_length_delimited_to_vec())?;
        }
        Ok(())
    }

    /// Decodes the payload of a spool entry.
    ///
    /// # Errors
    /// The bytes are damaged, incomplete, or of an unknown version.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, DeliveryError> {
        let mut bytes = Bytes::from(bytes);
        let missing = |part| DeliveryError::Part { part, source: None };
        let damaged = |part| move |source| DeliveryError::Part { part, source: Some(source) };
        match bytes.first() {
            Some(&VERSION) => bytes.advance(1),
            other => return Err(DeliveryError::Version(other.copied().unwrap_or(0))),
        }
        let header = wire::CheckInRequest::decode_length_delimited(&mut bytes).map_err(damaged("the header"))?;
        let upload =
            |bytes: &mut Bytes, name| wire::UploadRequest::decode_length_delimited(bytes).map_err(damaged(name));
        let Some(wire::upload_request::Part::Snapshot(snapshot)) = upload(&mut bytes, "the snapshot")?.part else {
            return Err(missing("the snapshot"));
        };
        let mut sections = Vec::new();
        while bytes.has_remaining() {
            let Some(wire::upload_request::Part::Section(body)) = upload(&mut bytes, "a section")?.part else {
                return Err(missing("a section"));
            };
            let section = SectionUpload::try_from(body).map_err(|_| missing("a section"))?;
            sections.push((section.digest, section.canonical));
        }
        Ok(Self {
            // Computed again instead of stored, so it always matches the bytes that are sent.
            digest: Digest::of(&snapshot),
            snapshot,
            observed_at: Timestamp::from_millis(header.observed_at_ms),
            facts: header.facts.ok_or_else(|| missing("the facts"))?,
            fingerprint: header.fingerprint,
            state: header.state.ok_or_else(|| missing("the state"))?,
            sections,
        })
    }

    /// The same delivery without what identifies the machine beyond its host name.
    #[must_use]
    pub fn without_identity(self) -> Self {
        Self { facts: wire::HostFacts { identity: None, ..self.facts }, ..self }
    }

    pub(super) fn section(&self, digest: Digest) -> Option<&Bytes> {
        self.sections.iter().find(|(other, _)| *other == digest).map(|(_, canonical)| canonical)
    }
}

pub(super) const fn part(part: wire::upload_request::Part) -> wire::UploadRequest {
    wire::UploadRequest { part: Some(part) }
}

pub(super) fn section(digest: Digest, canonical: &Bytes) -> wire::UploadRequest {
    part(wire::upload_request::Part::Section(SectionUpload { digest, canonical: canonical.clone() }.into()))
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{MachineIdentity, Platform};

    use super::*;

    fn delivery() -> Delivery {
        let facts = HostFacts {
            hostname: "alpha".into(),
            platform: Platform::Linux,
            os_name: "Debian".into(),
            kernel: "6.1".into(),
            architecture: "x86_64".into(),
            agent_version: "0.1.0".into(),
            offline_root: false,
            identity: MachineIdentity { serial: "7B5V4M1".into(), ..MachineIdentity::default() },
        };
        let sections = vec![(Digest::of(b"one"), b"one".to_vec()), (Digest::of(b"two"), b"two".to_vec())];
        Delivery::new(
            b"snapshot".to_vec(),
            sections,
            facts,
            Some([7; 32]),
            HostState::default(),
            Timestamp::from_millis(42),
        )
    }

    #[test]
    fn a_delivery_survives_encoding_and_decoding() {
        let read = Delivery::decode(delivery().encode()).expect("readable");
        assert_eq!(read.digest(), Digest::of(b"snapshot"));
        assert_eq!((read.observed_at.millis(), read.facts.hostname.as_str()), (42, "alpha"));
        assert_eq!(read.fingerprint.as_ref(), [7; 32]);
        assert_eq!(read.section(Digest::of(b"two")).map(AsRef::as_ref), Some(&b"two"[..]));
        assert_eq!(read.section(Digest::of(b"three")), None);
        assert_eq!(read.facts.identity.as_ref().map(|identity| identity.serial.as_str()), Some("7B5V4M1"));
        assert_eq!(read.without_identity().facts.identity, None);
    }

    #[test]
    fn an_unknown_version_is_reported_and_truncated_bytes_never_panic() {
        let whole = delivery().encode();
        for cut in 0..whole.len() {
            let _ = Delivery::decode(whole[..cut].to_vec());
        }
        assert!(matches!(Delivery::decode(vec![2, 0]), Err(DeliveryError::Version(2))));
        assert!(Delivery::decode(whole[..whole.len() / 2].to_vec()).is_err());
    }
}
