//! The door over a real store and a real CA, called as a client calls it. Only TLS is left out: the test says which
//! certificate the acceptor has seen.

mod breaches;
mod budgets;
mod enrollment;
mod reports;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use muster_proto::canonical;
use muster_proto::convert::{RefusalDetail, SectionUpload};
use muster_proto::model::{
    Digest, Kind, Observation, Outcome, Pace, Platform, RefusalClass, RunId, Section, SiteId, Snapshot, SnapshotEntry,
    SourceName, Timestamp, Token, TokenId,
};
use muster_proto::wire;
use muster_proto::wire::agent_service_client::AgentServiceClient;
use muster_proto::wire::agent_service_server::AgentServiceServer;
use muster_proto::wire::upload_request::Part;
use prost::Message as _;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use tonic::{Code, Request, Status};

use super::{AgentIngest, IngestSettings, Measured};
use crate::config::{Budgets, Uploads};
use crate::ledger::actor::Actor;
use crate::store::{self, Acting, AdminTx, NewToken, Store, admin};
use crate::telemetry::Metrics;
use crate::tls::{Authority, CertificateAuthority, PeerCertificate};

const NEXT: Duration = Duration::from_secs(77);
const SECRET: &str = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsq";
const START: i64 = 1_767_000_000_000;

type Client = AgentServiceClient<Measured<AgentServiceServer<AgentIngest>>>;

struct Lab {
    store: Arc<dyn Store>,
    clock: Arc<AtomicI64>,
    client: Client,
    _folder: tempfile::TempDir,
}

/// A machine: its key, and the certificate that it was given.
struct Machine {
    key: KeyPair,
    certificate: Vec<u8>,
    run: RunId,
}

/// What a user of the collector's machine does now.
fn acting(now: Timestamp) -> Acting {
    Acting { actor: Actor::Collector { user: "root".to_owned() }, now }
}

/// A token for two hosts of a site, with the one secret.
async fn create_token(store: &Arc<dyn Store>, id: &str, site: &str) {
    create_token_for(store, id, site, 2).await;
}

/// A token for this many hosts of a site; 0 means any number.
async fn create_token_for(store: &Arc<dyn Store>, id: &str, site: &str, max_uses: u64) {
    let now = Timestamp::from_millis(START);
    let token = NewToken {
        id: TokenId::new(id).expect("valid"),
        secret_hash: format!("a.{SECRET}").parse::<Token>().expect("a token").secret.hash(),
        site: SiteId::new(site).expect("valid"),
        created_at: now,
        expires_at: now.plus(Duration::from_secs(3600)),
        max_uses,
    };
    let create = move |tx: &mut dyn AdminTx| admin::tokens::create(tx, &token);
    admin::write(store.as_ref(), "token_create", acting(now), create).await.expect("a token");
}

impl Lab {
    async fn start() -> Self {
        Self::start_with(Uploads::default()).await
    }

    /// A door with these bounds of uploads.
    async fn start_with(uploads: Uploads) -> Self {
        Self::start_with_budgets(uploads, Budgets::default()).await
    }

    /// A door with these bounds of uploads and these budgets.
    async fn start_with_budgets(uploads: Uploads, budgets: Budgets) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store::open(&folder.path().join("fleet.db").display().to_string()).expect("opens");
        let now = Timestamp::from_millis(START);
        let (authority, _) = Authority::open_or_create(folder.path(), now).expect("a CA");
        let authority: Arc<dyn CertificateAuthority> = Arc::new(authority);
        let rules = Arc::new(ArcSwap::from_pointee(crate::rules::load(None).expect("rules")));
        let clock = Arc::new(AtomicI64::new(START));
        let reading = Arc::clone(&clock);
        let pace = Pace { next: NEXT, ..Pace::default() };
        let door = AgentIngest::new(
            Arc::clone(&store),
            authority,
            rules,
            IngestSettings {
                pace,
                uploads,
                budgets: Arc::new(super::Budgets::new(budgets)),
                enrollment: crate::config::Enrollment { token_per_minute: 10, ..crate::config::Enrollment::default() },
            },
            Metrics::new(),
            Arc::new(move || Timestamp::from_millis(reading.load(Ordering::SeqCst))),
        );
        create_token(&store, "abcdefgh1234", "hq").await;
        let client = AgentServiceClient::new(door.into_service()).max_encoding_message_size(usize::MAX);
        Self { store, clock, client, _folder: folder }
    }

    fn pass(&self, span: Duration) {
        self.clock.fetch_add(i64::try_from(span.as_millis()).expect("short"), Ordering::SeqCst);
    }

    async fn tokens(&self) -> Vec<muster_proto::model::TokenReport> {
        admin::read(self.store.as_ref(), "token_list", admin::tokens::list).await.expect("lists")
    }

    fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    async fn enrolled(&mut self) -> Machine {
        let mut machine = Machine::new();
        let answer = self.client.enroll(enroll_request(&machine.csr())).await.expect("enrolls").into_inner();
        assert_eq!(answer.pace.map(|pace| pace.next_ms), Some(77_000));
        assert_eq!((answer.site.as_str(), answer.host_id.len()), ("hq", 16));
        assert_eq!(answer.trust.expect("trust").ca_certificates.len(), 1);
        machine.certificate = answer.certificate.to_vec();
        machine
    }

    async fn check_in(
        &mut self,
        machine: &Machine,
        seq: u64,
        snapshot: &Snapshot,
    ) -> Result<wire::CheckInResponse, Status> {
        let request = machine.check_in(seq, snapshot, self.now_ms());
        Ok(self.client.check_in(machine.calls(request)).await?.into_inner())
    }

    async fn upload(&mut self, machine: &Machine, parts: Vec<Part>) -> Result<wire::UploadResponse, Status> {
        let messages = parts.into_iter().map(|part| wire::UploadRequest { part: Some(part) });
        let stream = tokio_stream::iter(messages.collect::<Vec<_>>());
        Ok(self.client.upload(machine.calls(stream)).await?.into_inner())
    }
}

impl Machine {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        Self { key, certificate: Vec::new(), run: RunId::random() }
    }

    fn csr(&self) -> Vec<u8> {
        CertificateParams::default().serialize_request(&self.key).expect("a request").der().to_vec()
    }

    /// The message as it arrives over a connection with this machine's certificate.
    fn calls<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(PeerCertificate::of(Some(&self.certificate)));
        request
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.key.serialized_der(), &random);
        pair.expect("a key").sign(&random, message).expect("signs").as_ref().to_vec()
    }

    fn renewal(&self, next: &Self) -> wire::RenewRequest {
        let csr = next.csr();
        let proof = self.sign(&[b"muster-renew-1".as_slice(), &csr].concat());
        wire::RenewRequest { csr: csr.into(), old_certificate: self.certificate.clone().into(), proof: proof.into() }
    }

    fn check_in(&self, seq: u64, snapshot: &Snapshot, now_ms: i64) -> wire::CheckInRequest {
        wire::CheckInRequest {
            run_id: Bytes::copy_from_slice(self.run.as_bytes()),
            seq,
            observed_at_ms: now_ms - 1_000,
            sent_at_ms: now_ms,
            snapshot_digest: Bytes::copy_from_slice(canonical::snapshot_digest(snapshot).as_bytes()),
            facts: Some(facts()),
            state: Some(wire::HostState::default()),
            watchlist_version: u64::MAX,
            trust_version: u64::MAX,
            platform: String::new(),
            fingerprint: Bytes::new(),
        }
    }

    fn header(&self, seq: u64, snapshot: &Snapshot) -> Part {
        Part::Header(wire::UploadHeader {
            run_id: Bytes::copy_from_slice(self.run.as_bytes()),
            seq,
            observed_at_ms: START,
            sent_at_ms: START,
            snapshot_digest: Bytes::copy_from_slice(canonical::snapshot_digest(snapshot).as_bytes()),
        })
    }
}

fn facts() -> wire::HostFacts {
    wire::HostFacts { hostname: "web-1".to_owned(), platform: "linux".to_owned(), ..wire::HostFacts::default() }
}

fn enroll_request(csr: &[u8]) -> wire::EnrollRequest {
    wire::EnrollRequest {
        token: format!("abcdefgh1234.{SECRET}.{SECRET}"),
        csr: Bytes::copy_from_slice(csr),
        facts: Some(facts()),
        fingerprint: Bytes::new(),
    }
}

fn packages(names: &[&str]) -> Section {
    let package = |name: &&str| Observation { state: "ii".to_owned(), ..Observation::new(Kind::Deb, *name) };
    Section::new(Platform::Linux, SourceName::Dpkg, names.iter().map(package).collect())
}

fn snapshot(section: &Section) -> Snapshot {
    let entry = SnapshotEntry {
        source: section.source(),
        outcome: Outcome::Found,
        reason: String::new(),
        watchlist: 0,
        section: Some(canonical::section_digest(section)),
    };
    Snapshot::new(section.platform(), vec![entry])
}

fn snapshot_part(snapshot: &Snapshot) -> Part {
    Part::Snapshot(canonical::snapshot_bytes(snapshot).into())
}

fn section_part(section: &Section) -> Part {
    let canonical = Bytes::from(canonical::section_bytes(section));
    Part::Section(SectionUpload { digest: Digest::of(&canonical), canonical }.into())
}

/// A refusal keeps to the contract: its code, its class, when to come back, and words that name what is wrong.
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Status>, code: Code, class: RefusalClass, words: &[&str]) {
    let status = outcome.expect_err("refused");
    let detail = wire::Refusal::decode(status.details()).expect("details");
    let detail = RefusalDetail::try_from(detail).expect("a refusal");
    assert_eq!((status.code(), detail.class), (code, class), "{}", status.message());
    assert_eq!(detail.pace.next, NEXT);
    assert!(detail.server_time.millis() >= START);
    for word in words {
        assert!(status.message().contains(word), "{word:?} is not in {:?}", status.message());
    }
    assert!(!status.message().contains(SECRET), "the secret is repeated");
}
