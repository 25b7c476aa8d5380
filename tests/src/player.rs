//! An agent that a test plays message by message. It is honest unless the test says otherwise.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bytes::Bytes;
use muster_proto::canonical;
use muster_proto::model::{
    Digest, HostId, Kind, Observation, Outcome, Platform, RunId, Section, Snapshot, SnapshotEntry, SourceName,
};
use muster_proto::wire::upload_request::Part;
use muster_proto::wire::{
    CheckInRequest, CheckInResponse, EnrollRequest, HostFacts, HostState, SectionBody, UploadHeader, UploadRequest,
    UploadResponse,
};
use tonic::Status;

use crate::door::{self, AgentDoor};
use crate::lab::Lab;
use crate::pki::{self, Identity};

/// An enrolled host whose every message the test decides.
#[derive(Debug, Clone)]
pub struct Player {
    /// Its connection, opened with its certificate.
    pub door: AgentDoor,
    /// Its key and certificate.
    pub identity: Identity,
    /// Its id.
    pub host: HostId,
    /// Its run id.
    pub run: RunId,
    /// The last sequence number that it used.
    pub seq: u64,
    hostname: String,
}

impl Player {
    /// Enrolls with its own token.
    ///
    /// # Errors
    /// The enrollment was refused.
    pub async fn enroll(lab: &Lab, hostname: &str) -> Result<Self> {
        let token = lab.token(1, "1h")?;
        let (key, csr) = pki::request()?;
        let mut stranger = door::agents(&lab.listening().agents, &lab.ca(), None).await?;
        let request = enroll_request(&token, csr, hostname);
        let answer = stranger.enroll(request).await.context("enroll a player")?.into_inner();
        let host = HostId::try_from(answer.host_id.as_ref())?;
        let identity = pki::identity(&key, &answer.certificate);
        let door = door::agents(&lab.listening().agents, &lab.ca(), Some(&identity)).await?;
        Ok(Self { door, identity, host, run: RunId::random(), seq: 0, hostname: hostname.to_owned() })
    }

    /// Connects again after the collector was restarted.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn reconnect(&mut self, address: &str, ca: &Path) -> Result<()> {
        self.door = door::agents(address, ca, Some(&self.identity)).await?;
        Ok(())
    }

    /// Checks in with its current snapshot.
    ///
    /// # Errors
    /// The refusal.
    pub async fn check_in(&mut self, snapshot: &Snapshot) -> Result<CheckInResponse, Status> {
        let request = self.check_in_request(snapshot);
        self.door.check_in(request).await.map(tonic::Response::into_inner)
    }

    /// The request for its next check-in.
    pub fn check_in_request(&mut self, snapshot: &Snapshot) -> CheckInRequest {
        self.seq += 1;
        CheckInRequest {
            run_id: Bytes::copy_from_slice(self.run.as_bytes()),
            seq: self.seq,
            observed_at_ms: now_ms(),
            sent_at_ms: now_ms(),
            snapshot_digest: digest_bytes(&canonical::snapshot_digest(snapshot)),
            facts: Some(facts(&self.hostname)),
            state: Some(HostState { boot_id: "5b2d8f6c".to_owned(), ..HostState::default() }),
            watchlist_version: 0,
            trust_version: 0,
            platform: String::new(),
            fingerprint: Bytes::new(),
        }
    }

    /// Sends the snapshot and sections.
    ///
    /// # Errors
    /// The refusal.
    pub async fn upload(&mut self, snapshot: &Snapshot, sections: &[Section]) -> Result<UploadResponse, Status> {
        let mut parts = vec![self.header(snapshot), Part::Snapshot(Bytes::from(canonical::snapshot_bytes(snapshot)))];
        parts.extend(sections.iter().map(section_part));
        self.upload_parts(parts).await
    }

    /// Sends these parts.
    ///
    /// # Errors
    /// The refusal.
    pub async fn upload_parts(&mut self, parts: Vec<Part>) -> Result<UploadResponse, Status> {
        let messages = parts.into_iter().map(|part| UploadRequest { part: Some(part) });
        let stream = tokio_stream::iter(messages.collect::<Vec<_>>());
        self.door.upload(stream).await.map(tonic::Response::into_inner)
    }

    /// Checks in and uploads what the collector asks for. Returns whether the collector has acknowledged the snapshot.
    ///
    /// # Errors
    /// The refusal.
    pub async fn deliver(&mut self, snapshot: &Snapshot, sections: &[Section]) -> Result<bool, Status> {
        let answer = self.check_in(snapshot).await?;
        if !answer.snapshot_wanted && answer.sections_wanted.is_empty() {
            return Ok(true);
        }
        self.upload(snapshot, sections).await.map(|answer| answer.accepted)
    }

    /// The header that opens an upload.
    pub fn header(&mut self, snapshot: &Snapshot) -> Part {
        Part::Header(UploadHeader {
            run_id: Bytes::copy_from_slice(self.run.as_bytes()),
            seq: self.seq,
            observed_at_ms: now_ms(),
            sent_at_ms: now_ms(),
            snapshot_digest: digest_bytes(&canonical::snapshot_digest(snapshot)),
        })
    }
}

/// An honest request for enrollment.
#[must_use]
pub fn enroll_request(token: &str, csr: Vec<u8>, hostname: &str) -> EnrollRequest {
    EnrollRequest { token: token.to_owned(), csr: csr.into(), facts: Some(facts(hostname)), fingerprint: Bytes::new() }
}

/// A section as it is uploaded.
#[must_use]
pub fn section_part(section: &Section) -> Part {
    let canonical = canonical::section_bytes(section);
    Part::Section(SectionBody { digest: digest_bytes(&Digest::of(&canonical)), canonical: canonical.into() })
}

/// A Linux snapshot with these packages in its dpkg section; the other sources are empty.
#[must_use]
pub fn snapshot_of(packages: &[&str]) -> (Snapshot, Vec<Section>) {
    let host = observation(Kind::Os, "debian", "12");
    let sections = vec![
        Section::new(Platform::Linux, SourceName::Host, vec![host]),
        Section::new(
            Platform::Linux,
            SourceName::Dpkg,
            packages.iter().map(|name| observation(Kind::Deb, name, "1.0-1")).collect(),
        ),
    ];
    let mut entries: Vec<SnapshotEntry> = sections
        .iter()
        .map(|section| entry(section.source(), Outcome::Found, Some(canonical::section_digest(section))))
        .collect();
    for source in [SourceName::SystemdUnits, SourceName::WatchPaths] {
        entries.push(entry(source, Outcome::Empty, None));
    }
    (Snapshot::new(Platform::Linux, entries), sections)
}

fn entry(source: SourceName, outcome: Outcome, section: Option<Digest>) -> SnapshotEntry {
    SnapshotEntry { source, outcome, reason: String::new(), watchlist: 0, section }
}

fn observation(kind: Kind, name: &str, version: &str) -> Observation {
    let mut observation = Observation::new(kind, name);
    observation.version = version.to_owned();
    observation
}

fn facts(hostname: &str) -> HostFacts {
    HostFacts {
        hostname: hostname.to_owned(),
        platform: "linux".to_owned(),
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        offline_root: false,
        identity: None,
    }
}

fn digest_bytes(digest: &Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
