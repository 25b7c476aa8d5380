//! The uplink against a door of the same contract, on a port of its own: whom it trusts, what it sends, and how it
//! tells one failure from another.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use muster_proto::model::{Digest, HostFacts, HostState, Pace, Platform, RefusalClass, Timestamp};
use muster_proto::wire;
use muster_proto::wire::agent_service_server::{AgentService, AgentServiceServer};
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::identity::{Identity, IdentityStore, Key};

const NOW: Timestamp = Timestamp::from_millis(1_000);

/// A CA with a server certificate of it.
struct Pki {
    ca: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    server: Vec<u8>,
    key: Vec<u8>,
}

impl Pki {
    fn new(name: &str, years: std::ops::Range<i32>) -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).expect("a CA").der().to_vec();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let server = params.signed_by(&key, &issuer).expect("a certificate").der().to_vec();
        Self { ca, issuer, server, key: key.serialize_der() }
    }

    fn token(&self) -> Token {
        let pin = pin_of(&self.ca).expect("a pin");
        Token::parse(&format!("abcdefgh1234.{}.{pin}", "a".repeat(52))).expect("a token")
    }

    fn sign(&self, csr: &[u8]) -> Vec<u8> {
        let csr = CertificateSigningRequestDer::from(csr.to_vec());
        let request = CertificateSigningRequestParams::from_der(&csr).expect("a request");
        request.signed_by(&self.issuer).expect("a certificate").der().to_vec()
    }

    fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        let chain = [&self.server, &self.ca].map(|der| CertificateDer::from(der.clone())).to_vec();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate and its key");
        config.alpn_protocols = vec![b"h2".to_vec()];
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    }
}

/// What the door heard, and how it answers.
#[derive(Default)]
struct Script {
    check_ins: Vec<wire::CheckInRequest>,
    /// Per upload: the digests of the sections in it.
    uploads: Vec<Vec<Digest>>,
    has: Vec<Digest>,
    wants: Vec<Digest>,
    budget: u64,
    refuse: Option<RefusalClass>,
    greedy: bool,
}

#[derive(Clone)]
struct Door {
    pki: Arc<Pki>,
    script: Arc<Mutex<Script>>,
}

impl Door {
    fn missing(&self, script: &Script) -> Vec<Bytes> {
        let missing = script.wants.iter().filter(|digest| script.greedy || !script.has.contains(digest));
        missing.map(|digest| Bytes::copy_from_slice(digest.as_bytes())).collect()
    }

    fn refused(&self) -> Result<(), Status> {
        let Some(class) = self.script.lock().expect("unpoisoned").refuse else { return Ok(()) };
        let pace = Some(Pace { byte_budget: 9, ..Pace::default() }.into());
        let refusal = wire::Refusal { class: u32::from(class.code()), pace, server_time_ms: 5 };
        let details = refusal.encode_to_vec().into();
        Err(Status::with_details(tonic::Code::PermissionDenied, "as scripted", details))
    }

    fn pace(script: &Script) -> Option<wire::Pace> {
        Some(Pace { byte_budget: script.budget, ..Pace::default() }.into())
    }
}

#[tonic::async_trait]
impl AgentService for Door {
    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        self.refused()?;
        let trust = wire::TrustBundle { version: 3, ca_certificates: vec![Bytes::from(self.pki.ca.clone())] };
        Ok(Response::new(wire::EnrollResponse {
            host_id: Bytes::from_static(&[7; 16]),
            certificate: Bytes::from(self.pki.sign(&request.into_inner().csr)),
            trust: Some(trust),
            site: "main".to_owned(),
            certificate_expires_ms: 90_000,
            ..wire::EnrollResponse::default()
        }))
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let request = request.into_inner();
        let (_, old) = x509_parser::parse_x509_certificate(&request.old_certificate).expect("the old certificate");
        let message = [b"muster-renew-1".as_slice(), &request.csr].concat();
        let public = &old.tbs_certificate.subject_pki.subject_public_key.data;
        ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, public)
            .verify(&message, &request.proof)
            .map_err(|_| Status::unauthenticated("the proof is wrong"))?;
        let certificate = Bytes::from(self.pki.sign(&request.csr));
        Ok(Response::new(wire::RenewResponse { certificate, certificate_expires_ms: 190_000, ..Default::default() }))
    }

    async fn check_in(
        &self,
        request: Request<wire::CheckInRequest>,
    ) -> Result<Response<wire::CheckInResponse>, Status> {
        self.refused()?;
        let mut script = self.script.lock().expect("unpoisoned");
        script.check_ins.push(request.into_inner());
        let sections_wanted = self.missing(&script);
        let look_wanted = !sections_wanted.is_empty();
        let pace = Self::pace(&script);
        Ok(Response::new(wire::CheckInResponse { look_wanted, pace, server_time_ms: 5, ..Default::default() }))
    }

    async fn upload(
        &self,
        request: Request<Streaming<wire::UploadRequest>>,
    ) -> Result<Response<wire::UploadResponse>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|message| message.part);
        assert!(matches!(first, Some(wire::upload_request::Part::Header(_))), "the header comes first");
        let second = stream.message().await?.and_then(|message| message.part);
        assert!(matches!(second, Some(wire::upload_request::Part::Look(_))), "then the look");
        let mut sections = Vec::new();
        while let Some(message) = stream.message().await? {
            let Some(wire::upload_request::Part::Section(body)) = message.part else { panic!("then sections only") };
            assert_eq!(Digest::of(&body.canonical).as_bytes().as_slice(), body.digest.as_ref());
            sections.push(Digest::of(&body.canonical));
        }
        let mut script = self.script.lock().expect("unpoisoned");
        script.has.extend(&sections);
        script.uploads.push(sections);
        let sections_wanted = self.missing(&script);
        let accepted = sections_wanted.is_empty();
        let pace = Self::pace(&script);
        Ok(Response::new(wire::UploadResponse { accepted, sections_wanted, pace, server_time_ms: 5 }))
    }
}

/// A TLS stream that tonic's server takes.
struct Accepted(TlsStream<TcpStream>);

impl Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn open(pki: Pki, script: Script) -> (Door, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let door = Door { pki: Arc::new(pki), script: Arc::new(Mutex::new(script)) };
    let acceptor = door.pki.acceptor();
    let service = AgentServiceServer::new(door.clone());
    let (sender, accepted) = tokio::sync::mpsc::channel::<io::Result<Accepted>>(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await
                && sender.send(Ok(Accepted(stream))).await.is_err()
            {
                return;
            }
        }
    });
    let incoming = tokio_stream::wrappers::ReceiverStream::new(accepted);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (door, Target::parse(&format!("https://localhost:{port}")).expect("an address"))
}

fn facts() -> HostFacts {
    HostFacts {
        hostname: "alpha".into(),
        platform: Platform::Linux,
        os_name: String::new(),
        kernel: String::new(),
        architecture: String::new(),
        agent_version: String::new(),
        offline_root: false,
    }
}

fn parcel(sections: &[&[u8]]) -> Parcel {
    let sections = sections.iter().map(|bytes| (Digest::of(bytes), bytes.to_vec())).collect();
    Parcel::new(b"a look".to_vec(), sections, facts(), HostState::default(), NOW)
}

/// A host that is enrolled at a door.
struct Host {
    _dir: tempfile::TempDir,
    store: IdentityStore,
    identity: Identity,
    tls: Tls,
}

fn store() -> (tempfile::TempDir, IdentityStore, Key) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = IdentityStore::below(dir.path());
    let key = store.key(1).expect("a key");
    (dir, store, key)
}

async fn enrolled(door: &Door, target: &Target) -> Host {
    let (dir, store, key) = store();
    let identity = enrol(target, &door.pki.token(), &key, facts(), None, NOW).await.expect("enrolled");
    let tls = Tls::by_identity(&identity, Some(&key)).expect("TLS");
    Host { _dir: dir, store, identity, tls }
}

const VERSIONS: Versions = Versions { watchlist: 1, trust: 3 };

#[tokio::test]
async fn enrolment_gives_an_identity_that_then_works() {
    let (door, target) = open(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&door, &target).await;
    assert_eq!((host.identity.site.as_str(), host.identity.trust.version), ("main", 3));
    let delivered = Run::new().deliver(&target, &host.tls, &parcel(&[]), VERSIONS, NOW).await.expect("delivered");
    assert!(!delivered.look_sent && delivered.sections_sent == 0);
}

#[tokio::test]
async fn only_what_is_wanted_is_sent_and_facts_only_when_they_changed() {
    let sections: [&[u8]; 3] = [b"one", b"two", b"three"];
    let wants = vec![Digest::of(b"three"), Digest::of(b"one")];
    let script = Script { wants, ..Script::default() };
    let (door, target) = open(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&door, &target).await;
    let mut run = Run::new();
    let first = run.deliver(&target, &host.tls, &parcel(&sections), VERSIONS, NOW).await.expect("delivered");
    let second = run.deliver(&target, &host.tls, &parcel(&sections), VERSIONS, NOW).await.expect("delivered");
    assert_eq!((first.look_sent, first.sections_sent, first.section_bytes), (true, 2, 8));
    assert_eq!((second.look_sent, second.sections_sent), (false, 0));
    assert!(second.message_bytes < 150 && second.message_bytes < first.message_bytes, "{second:?}");
    assert!(second.wire_sent > second.message_bytes && second.wire_received > 0, "{second:?}");
    let script = door.script.lock().expect("unpoisoned");
    // The check-in does not name sections here, so the look goes alone first, then what the answer names.
    assert_eq!(script.uploads, [vec![], vec![Digest::of(b"three"), Digest::of(b"one")]]);
    let told: Vec<_> = script.check_ins.iter().map(|request| (request.seq, request.facts.is_some())).collect();
    assert_eq!(told, [(1, true), (2, false)]);
    assert_eq!(script.check_ins[0].run_id, script.check_ins[1].run_id);
}

#[tokio::test]
async fn a_byte_budget_is_kept_to_by_sending_in_rounds() {
    let sections: [&[u8]; 3] = [&[1; 60], &[2; 60], &[3; 60]];
    let wants = sections.iter().map(|bytes| Digest::of(bytes)).collect();
    let script = Script { wants, budget: 130, ..Script::default() };
    let (door, target) = open(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&door, &target).await;
    Run::new().deliver(&target, &host.tls, &parcel(&sections), VERSIONS, NOW).await.expect("delivered");
    let sizes: Vec<usize> = door.script.lock().expect("unpoisoned").uploads.iter().map(Vec::len).collect();
    assert_eq!(sizes, [0, 2, 1]);
}

#[tokio::test]
async fn a_collector_that_asks_in_circles_or_for_what_is_not_there_is_an_error() {
    let script = Script { wants: vec![Digest::of(b"one")], greedy: true, ..Script::default() };
    let (door, target) = open(Pki::new("localhost", 2020..2090), script).await;
    let host = enrolled(&door, &target).await;
    let error = Run::new().deliver(&target, &host.tls, &parcel(&[b"one"]), VERSIONS, NOW).await.expect_err("circles");
    assert!(error.to_string().contains("just been given"), "{error}");
    let error = Run::new().deliver(&target, &host.tls, &parcel(&[b"two"]), VERSIONS, NOW).await.expect_err("unknown");
    assert!(error.to_string().contains("does not name"), "{error}");
}

#[tokio::test]
async fn a_refusal_brings_class_and_pace() {
    let (door, target) = open(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&door, &target).await;
    door.script.lock().expect("unpoisoned").refuse = Some(RefusalClass::Revoked);
    let error = Run::new().deliver(&target, &host.tls, &parcel(&[]), VERSIONS, NOW).await.expect_err("refused");
    assert_eq!((error.class(), error.pace().map(|pace| pace.byte_budget)), (Some(RefusalClass::Revoked), Some(9)));
    let probe = probe(&target, &host.tls).await.expect("heard");
    assert_eq!((probe.class, probe.server_time.millis()), (Some(RefusalClass::Revoked), 5));
}

#[tokio::test]
async fn a_renewal_proves_the_old_key_and_remembers_it() {
    let (door, target) = open(Pki::new("localhost", 2020..2090), Script::default()).await;
    let host = enrolled(&door, &target).await;
    let (old, new) = (host.store.key(1).expect("a key"), host.store.key(2).expect("a key"));
    let renewed = renew(&target, &host.identity, &old, &new, true, NOW).await.expect("renewed");
    assert_eq!((renewed.key, renewed.previous.as_ref().map(|(key, _)| *key)), (2, Some(1)));
    assert_eq!(renewed.trust, host.identity.trust);
    let stranger = store().2;
    let error = renew(&target, &host.identity, &stranger, &new, false, NOW).await.expect_err("a wrong proof");
    assert!(error.to_string().contains("the proof is wrong"), "{error}");
}

async fn enrol_error(pki: Pki, token: Option<Token>) -> String {
    let token = token.unwrap_or_else(|| pki.token());
    let (_door, target) = open(pki, Script::default()).await;
    of_enrol(&target, &token).await
}

async fn of_enrol(target: &Target, token: &Token) -> String {
    let (_dir, _store, key) = store();
    let error = enrol(target, token, &key, facts(), None, NOW).await.expect_err("no enrolment");
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let said: Vec<String> = causes.map(ToString::to_string).collect();
    format!("{} [{}]", said.join(": "), error.advice().unwrap_or_default())
}

#[tokio::test]
async fn every_way_in_which_tls_fails_is_told_apart() {
    let other = Pki::new("localhost", 2020..2090).token();
    let wrong = enrol_error(Pki::new("localhost", 2020..2090), Some(other)).await;
    assert!(wrong.contains("is not the collector of this token") && wrong.contains("ca-pin"), "{wrong}");
    let expired = enrol_error(Pki::new("localhost", 2000..2001), None).await;
    assert!(expired.contains("is not valid at this machine's time") && expired.contains("clock"), "{expired}");
    let early = enrol_error(Pki::new("localhost", 2080..2090), None).await;
    assert!(early.contains("is not valid at this machine's time"), "{early}");
    let name = enrol_error(Pki::new("elsewhere.example", 2020..2090), None).await;
    assert!(name.contains("is for another name than localhost"), "{name}");
}

#[tokio::test]
async fn a_server_that_lies_about_its_chain_is_not_trusted() {
    // It shows the pinned CA, which has not signed its certificate.
    let (honest, mut liar) = (Pki::new("localhost", 2020..2090), Pki::new("localhost", 2020..2090));
    liar.ca.clone_from(&honest.ca);
    let said = enrol_error(liar, Some(honest.token())).await;
    assert!(said.contains("was not given by a CA that this host trusts"), "{said}");
}

#[tokio::test]
async fn what_is_no_collector_at_all_is_told_apart() {
    let token = Pki::new("localhost", 2020..2090).token();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("answered");
        }
    });
    let plain = Target::parse(&format!("https://localhost:{port}")).expect("an address");
    let said = of_enrol(&plain, &token).await;
    assert!(said.contains("does not speak TLS 1.3"), "{said}");

    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
    let nobody = Target::parse(&format!("https://127.0.0.1:{free}")).expect("an address");
    let said = of_enrol(&nobody, &token).await;
    assert!(said.contains(&format!("no connection to 127.0.0.1:{free}")) && said.contains("refused"), "{said}");

    let nowhere = Target::parse("https://nowhere.invalid:7443").expect("an address");
    let said = of_enrol(&nowhere, &token).await;
    assert!(said.contains("the name nowhere.invalid cannot be resolved"), "{said}");
}
