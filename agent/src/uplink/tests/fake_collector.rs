//! A fake collector for tests: its own CA, a listener on a free port, scripted answers, and a record of the requests.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use muster_proto::model::{
    Digest, EnrollmentToken, HostFacts, MachineIdentity, Pace, Platform, RefusalClass, TokenId, TokenSecret,
};
use muster_proto::wire;
use muster_proto::wire::agent_service_server::{AgentService, AgentServiceServer};
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use crate::uplink::{Target, pin_of};

/// A CA with a server certificate of it.
pub(crate) struct Pki {
    pub(crate) ca: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    server: Vec<u8>,
    key: Vec<u8>,
}

impl Pki {
    pub(crate) fn new(name: &str, years: std::ops::Range<i32>) -> Self {
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

    pub(crate) fn token(&self) -> EnrollmentToken {
        let ca_pin = pin_of(&self.ca).expect("a pin");
        let id = TokenId::new("abcdefgh1234").expect("an id");
        EnrollmentToken { id, secret: TokenSecret::from_random([0; 32]), ca_pin }
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

/// The requests received so far, and how to answer the next ones.
pub(crate) struct Script {
    pub(crate) check_ins: Vec<wire::CheckInRequest>,
    /// Per upload: the digests of the sections in it.
    pub(crate) uploads: Vec<Vec<Digest>>,
    pub(crate) has: Vec<Digest>,
    pub(crate) wants: Vec<Digest>,
    pub(crate) budget: u64,
    pub(crate) refuse: Option<RefusalClass>,
    pub(crate) restored_at_ms: i64,
    /// How many check-ins and uploads are refused with `new-run`.
    pub(crate) new_runs: (usize, usize),
    /// Whether the next check-in without facts is asked for them.
    pub(crate) state_wanted: bool,
    pub(crate) greedy: bool,
    /// Expiry of the certificates that it issues.
    pub(crate) end_ms: i64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            check_ins: Vec::new(),
            uploads: Vec::new(),
            has: Vec::new(),
            wants: Vec::new(),
            budget: 0,
            refuse: None,
            restored_at_ms: 0,
            new_runs: (0, 0),
            state_wanted: false,
            greedy: false,
            end_ms: 4_000_000_000_000,
        }
    }
}

#[derive(Clone)]
pub(crate) struct FakeCollector {
    pub(crate) pki: Arc<Pki>,
    pub(crate) script: Arc<Mutex<Script>>,
}

impl FakeCollector {
    fn missing(&self, script: &Script) -> Vec<Bytes> {
        let missing = script.wants.iter().filter(|digest| script.greedy || !script.has.contains(digest));
        missing.map(|digest| Bytes::copy_from_slice(digest.as_bytes())).collect()
    }

    fn refused(&self) -> Result<(), Status> {
        let Some(class) = self.script.lock().expect("unpoisoned").refuse else { return Ok(()) };
        Err(Self::refusal(class))
    }

    fn refusal(class: RefusalClass) -> Status {
        let pace = Some(Pace { byte_budget: 9, ..Pace::default() }.into());
        let refusal = wire::Refusal { class: u32::from(class.code()), pace, server_time_ms: 5 };
        let details = refusal.encode_to_vec().into();
        Status::with_details(tonic::Code::PermissionDenied, "as scripted", details)
    }

    fn pace(script: &Script) -> Option<wire::Pace> {
        Some(Pace { byte_budget: script.budget, ..Pace::default() }.into())
    }
}

#[tonic::async_trait]
impl AgentService for FakeCollector {
    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        self.refused()?;
        let trust = wire::TrustBundle { version: 3, ca_certificates: vec![Bytes::from(self.pki.ca.clone())] };
        Ok(Response::new(wire::EnrollResponse {
            host_id: Bytes::from_static(&[7; 16]),
            certificate: Bytes::from(self.pki.sign(&request.into_inner().csr)),
            trust: Some(trust),
            site: "main".to_owned(),
            certificate_expires_ms: self.script.lock().expect("unpoisoned").end_ms,
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
        Ok(Response::new(wire::RenewResponse {
            certificate,
            certificate_expires_ms: self.script.lock().expect("unpoisoned").end_ms,
            ..Default::default()
        }))
    }

    async fn check_in(
        &self,
        request: Request<wire::CheckInRequest>,
    ) -> Result<Response<wire::CheckInResponse>, Status> {
        self.refused()?;
        let mut script = self.script.lock().expect("unpoisoned");
        let request = request.into_inner();
        let state_wanted = script.state_wanted && request.facts.is_none();
        script.check_ins.push(request);
        if script.new_runs.0 > 0 {
            script.new_runs.0 -= 1;
            return Err(Self::refusal(RefusalClass::NewRun));
        }
        let sections_wanted = self.missing(&script);
        let snapshot_wanted = !sections_wanted.is_empty();
        let pace = Self::pace(&script);
        let restored_at_ms = script.restored_at_ms;
        let answer = wire::CheckInResponse {
            snapshot_wanted,
            pace,
            server_time_ms: 5,
            restored_at_ms,
            state_wanted,
            ..Default::default()
        };
        Ok(Response::new(answer))
    }

    async fn upload(
        &self,
        request: Request<Streaming<wire::UploadRequest>>,
    ) -> Result<Response<wire::UploadResponse>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.and_then(|message| message.part);
        assert!(matches!(first, Some(wire::upload_request::Part::Header(_))), "the header comes first");
        let second = stream.message().await?.and_then(|message| message.part);
        assert!(matches!(second, Some(wire::upload_request::Part::Snapshot(_))), "then the snapshot");
        let mut sections = Vec::new();
        while let Some(message) = stream.message().await? {
            let Some(wire::upload_request::Part::Section(body)) = message.part else { panic!("then sections only") };
            assert_eq!(Digest::of(&body.canonical).as_bytes().as_slice(), body.digest.as_ref());
            sections.push(Digest::of(&body.canonical));
        }
        let mut script = self.script.lock().expect("unpoisoned");
        if script.new_runs.1 > 0 {
            script.new_runs.1 -= 1;
            return Err(Self::refusal(RefusalClass::NewRun));
        }
        script.has.extend(&sections);
        script.uploads.push(sections);
        let sections_wanted = self.missing(&script);
        let accepted = sections_wanted.is_empty();
        let pace = Self::pace(&script);
        Ok(Response::new(wire::UploadResponse {
            accepted,
            sections_wanted,
            pace,
            server_time_ms: 5,
            state_wanted: false,
        }))
    }
}

/// A TLS stream for tonic's server.
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

pub(crate) async fn start(pki: Pki, script: Script) -> (FakeCollector, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let collector = FakeCollector { pki: Arc::new(pki), script: Arc::new(Mutex::new(script)) };
    let acceptor = collector.pki.acceptor();
    let service = AgentServiceServer::new(collector.clone());
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
    (collector, Target::parse(&format!("https://localhost:{port}")).expect("an address"))
}

pub(crate) fn facts() -> HostFacts {
    HostFacts {
        hostname: "alpha".into(),
        platform: Platform::Linux,
        os_name: String::new(),
        kernel: String::new(),
        architecture: String::new(),
        agent_version: String::new(),
        offline_root: false,
        identity: MachineIdentity::default(),
    }
}
