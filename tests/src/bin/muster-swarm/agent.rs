//! One simulated host: it enrolls, checks in and uploads over its own connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use muster_proto::convert::RefusalDetail;
use muster_proto::model::{RefusalClass, RunId};
use muster_proto::wire;
use muster_proto::wire::agent_service_client::AgentServiceClient;
use muster_proto::wire::upload_request::Part;
use muster_tests::pki::Identity;
use prost::Message as _;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;

use crate::fleet::{Model, Report, Sight};
use crate::keep::KeptHost;
use crate::line::{Address, Line};
use crate::trust::Trust;

/// The latest versions of watchlist and trust bundle. The collector does not send them again to an agent that has them.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    watchlist: AtomicU64,
    trust: AtomicU64,
}

impl Versions {
    fn learn(&self, answer: &wire::CheckInResponse) {
        if let Some(watchlist) = &answer.watchlist {
            self.watchlist.fetch_max(watchlist.version, Ordering::Relaxed);
        }
        if let Some(trust) = &answer.trust {
            self.trust.fetch_max(trust.version, Ordering::Relaxed);
        }
    }
}

/// An enrolled host.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Number of the host in the fleet.
    pub(crate) index: u64,
    tls: Arc<ClientConfig>,
    run: Bytes,
    seq: AtomicU64,
    versions: Arc<Versions>,
}

/// A host with an open connection.
#[derive(Debug)]
pub(crate) struct Call {
    agent: Arc<Agent>,
    client: AgentServiceClient<Line>,
    line: Line,
}

/// What a host receives at enrollment.
#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) kept: KeptHost,
    pub(crate) ca_certificates: Vec<Vec<u8>>,
}

impl Agent {
    /// A host with its key and certificate, as a new process.
    pub(crate) fn new(kept: &KeptHost, key: &[u8], trust: &Trust, versions: Arc<Versions>) -> Result<Arc<Self>> {
        let identity = Identity { key: key.to_vec(), certificate: kept.certificate.clone() };
        let tls = trust.client(Some(&identity)).with_context(|| format!("use the key of host {}", kept.index))?;
        let run = Bytes::copy_from_slice(RunId::random().as_bytes());
        Ok(Arc::new(Self { index: kept.index, tls, run, seq: AtomicU64::new(0), versions }))
    }

    /// What a scan of this host on a day gives, with the newest watchlist that the fleet has.
    pub(crate) fn scan(&self, model: &Model, day: u64) -> Sight {
        model.sight(self.index, day, self.versions.watchlist.load(Ordering::Relaxed))
    }

    /// Opens a connection for this host.
    pub(crate) async fn connect(self: &Arc<Self>, address: &Address) -> Result<Call> {
        let line = Line::open(address, &self.tls).await?;
        let client = AgentServiceClient::with_origin(line.clone(), address.origin());
        Ok(Call { agent: Arc::clone(self), client, line })
    }

    /// The request of a check-in; the first of a run has facts and state too.
    pub(crate) fn check_in_request(&self, snapshot: Bytes, first: Option<&Report>) -> wire::CheckInRequest {
        let now = now_ms();
        wire::CheckInRequest {
            run_id: self.run.clone(),
            seq: self.seq.fetch_add(1, Ordering::Relaxed) + 1,
            observed_at_ms: now,
            sent_at_ms: now,
            snapshot_digest: snapshot,
            facts: first.map(|report| report.facts.clone().into()),
            state: first.map(|report| report.state.clone().into()),
            watchlist_version: self.versions.watchlist.load(Ordering::Relaxed),
            trust_version: self.versions.trust.load(Ordering::Relaxed),
            // The facts say it; without them the bench wants no list.
            platform: String::new(),
            fingerprint: Bytes::new(),
        }
    }
}

impl Call {
    /// Checks in with a snapshot. Returns what the collector asks for: nothing, everything, or some sections.
    pub(crate) async fn check_in(&mut self, snapshot: Bytes, first: Option<&Report>) -> Result<Wanted> {
        let request = self.agent.check_in_request(snapshot, first);
        let answer = self.client.check_in(request).await.map_err(refused)?.into_inner();
        self.agent.versions.learn(&answer);
        if answer.snapshot_wanted {
            return Ok(Wanted::Snapshot);
        }
        if answer.sections_wanted.is_empty() {
            Ok(Wanted::Nothing)
        } else {
            Ok(Wanted::Sections(answer.sections_wanted))
        }
    }

    /// Uploads the snapshot with all its sections, or with those that the collector asks for. Returns whether it is current now.
    pub(crate) async fn upload(&mut self, report: &Report, wanted: Option<&[Bytes]>) -> Result<()> {
        let now = now_ms();
        let header = wire::UploadHeader {
            run_id: self.agent.run.clone(),
            seq: self.agent.seq.fetch_add(1, Ordering::Relaxed) + 1,
            observed_at_ms: now,
            sent_at_ms: now,
            snapshot_digest: digest_bytes(report),
        };
        let mut parts = vec![Part::Header(header), Part::Snapshot(report.snapshot.clone())];
        for (digest, canonical) in &report.sections {
            if wanted.is_none_or(|wanted| wanted.iter().any(|bytes| bytes.as_ref() == digest.as_bytes())) {
                let digest = Bytes::copy_from_slice(digest.as_bytes());
                parts.push(Part::Section(wire::SectionBody { digest, canonical: canonical.clone() }));
            }
        }
        let stream = tokio_stream::iter(parts.into_iter().map(|part| wire::UploadRequest { part: Some(part) }));
        let answer = self.client.upload(stream).await.map_err(refused)?.into_inner();
        let missing = answer.sections_wanted.len();
        ensure!(
            answer.accepted,
            "a complete upload was not accepted: the collector reports {missing} missing sections"
        );
        Ok(())
    }

    /// The same host over the same connection, for calls at once.
    pub(crate) fn again(&self) -> Self {
        Self { agent: Arc::clone(&self.agent), client: self.client.clone(), line: self.line.clone() }
    }

    /// Opens an upload and sends nothing.
    pub(crate) async fn hold_upload(&mut self) -> Result<()> {
        self.client.upload(tokio_stream::pending()).await.map_err(refused)?;
        Ok(())
    }

    /// Checks in and uploads what the collector asks for, as an agent does. Returns the number of bytes sent.
    pub(crate) async fn report(&mut self, report: &Report, first: bool) -> Result<usize> {
        match self.check_in(digest_bytes(report), first.then_some(report)).await? {
            Wanted::Nothing => Ok(0),
            Wanted::Snapshot => {
                self.upload(report, None).await?;
                Ok(report.size())
            }
            Wanted::Sections(wanted) => {
                self.upload(report, Some(&wanted)).await?;
                let is_wanted = |name: &[u8; 32]| wanted.iter().any(|bytes| bytes.as_ref() == name);
                let sent = report.sections.iter().filter(|(digest, _)| is_wanted(digest.as_bytes()));
                Ok(sent.map(|(_, bytes)| bytes.len()).sum::<usize>() + report.snapshot.len())
            }
        }
    }

    /// The connection, for a server that has other services too.
    pub(crate) fn line(&self) -> Line {
        self.line.clone()
    }
}

/// What the collector asks for after a check-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing.
    Nothing,
    /// The snapshot and all its sections.
    Snapshot,
    /// These sections.
    Sections(Vec<Bytes>),
}

/// Enrolls a host over a connection without a client certificate.
pub(crate) async fn enroll(
    client: &mut AgentServiceClient<Line>,
    token: &str,
    index: u64,
    key: &[u8],
    report: &Report,
) -> Result<Enrolled> {
    let key = KeyPair::try_from(key).context("parse a stored key")?;
    let request = CertificateParams::new(Vec::new())?.serialize_request(&key).context("make a certificate request")?;
    let request = wire::EnrollRequest {
        token: token.to_owned(),
        csr: Bytes::copy_from_slice(request.der()),
        facts: Some(report.facts.clone().into()),
        fingerprint: Bytes::copy_from_slice(muster_proto::model::Digest::of(key.public_key_raw()).as_bytes()),
    };
    let answer = loop {
        match client.enroll(request.clone()).await {
            Ok(answer) => break answer.into_inner(),
            Err(status) => match told_to_wait(&status, index) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(refused(status)),
            },
        }
    };
    let host = muster_proto::model::HostId::try_from(answer.host_id.as_ref()).context("read the host's id")?;
    let kept = KeptHost { index, host: host.to_string(), certificate: answer.certificate.to_vec() };
    let trust = answer.trust.context("the enrollment has no trust bundle")?;
    Ok(Enrolled { kept, ca_certificates: trust.ca_certificates.iter().map(|der| der.to_vec()).collect() })
}

/// Makes a new key.
pub(crate) fn new_key() -> Result<Vec<u8>> {
    Ok(KeyPair::generate().context("make a key")?.serialize_der())
}

/// The digest as bytes of a message.
pub(crate) fn digest_bytes(report: &Report) -> Bytes {
    Bytes::copy_from_slice(report.snapshot_digest.as_bytes())
}

/// How long an enrollment must wait for its turn, as an agent computes it; `None` after any other refusal.
fn told_to_wait(status: &tonic::Status, index: u64) -> Option<Duration> {
    let detail = RefusalDetail::try_from(wire::Refusal::decode(status.details()).ok()?).ok()?;
    // A collector that is busy or broken asks for its usual pace, which is longer.
    let is_turn = detail.class == RefusalClass::Later && detail.pace.next <= Duration::from_secs(60);
    let chance = (index % 1_000) as f64 / 1_000.0;
    is_turn.then(|| detail.pace.next + detail.pace.jitter.mul_f64(chance))
}

fn refused(status: tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{:?}: {}", status.code(), status.message())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
