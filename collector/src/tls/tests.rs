//! A real acceptor on port 0, and clients with every certificate that they should not have.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use muster_proto::model::{HostId, SiteId, Timestamp};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::body::Body;

use super::ca::leaf_params;
use super::*;
use crate::clock::system_now;
use crate::shutdown::StopToken;
use crate::telemetry::{ListenerName, Metrics};

const SECOND: Duration = Duration::from_secs(1);

struct Stand {
    _directory: tempfile::TempDir,
    authority: Authority,
    address: std::net::SocketAddr,
    stop: StopToken,
    metrics: Arc<Metrics>,
}

fn stand() -> Stand {
    let directory = tempfile::tempdir().expect("a directory");
    let (authority, made) = Authority::open_or_create(directory.path(), system_now()).expect("a CA");
    assert!(made);
    let names = ["muster.example".to_owned()];
    let certificate =
        ServerCertificate::open_or_issue(&authority, directory.path(), &names, system_now()).expect("a certificate").0;
    let listening = Listening::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let (address, stop, metrics) = (listening.address(), StopToken::new(), Metrics::new());
    let listener = TlsListener {
        name: ListenerName::agents,
        listening,
        config: agents_config(&certificate, &authority).expect("settings"),
        limits: ListenerLimits {
            peers: PeerBounds {
                admission: AdmissionBounds {
                    connections: 10,
                    strangers_per_address: 10,
                    per_peer: 10,
                    spare_after: SECOND * 20,
                    known_addresses: 10,
                    known_for: Duration::from_secs(60),
                },
                calls_per_peer: 10,
                guesses: GuessBounds { per_address: 10, period: SECOND, remembered: 10 },
            },
            times: TimeBounds {
                first_request: SECOND * 20,
                idle: SECOND * 20,
                request: SECOND * 20,
                unread: SECOND * 20,
            },
            handshakes: 2,
            stranger_handshakes: 2,
            handshake_timeout: Duration::from_millis(300),
            handshake_turn: Duration::from_millis(100),
            streams: 16,
            unsent_bytes: 64 * 1024,
        },
        metrics: Arc::clone(&metrics),
        stop: stop.clone(),
        drain: Duration::from_secs(1),
    };
    // Answers with the peer's certificate, so that a test sees what a handler would see.
    let handler = |request: Request<Body>| async move {
        let peer = request.extensions().get::<PeerCertificate>().cloned().expect("set by the acceptor");
        let mut response = Response::new(Body::empty());
        let seen = if peer == PeerCertificate::None { "none" } else { "certificate" };
        response.headers_mut().insert("x-peer", seen.parse().expect("a value"));
        response
    };
    tokio::spawn(serve(listener, handler));
    Stand { _directory: directory, authority, address, stop, metrics }
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Stand {
    fn client(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots);
        let mut config = match identity {
            Some((leaf, key)) => {
                builder.with_client_auth_cert(vec![leaf.clone()], key.clone_key()).expect("an identity")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    /// What the server saw: `certificate`, `none`, or why it could not be asked.
    async fn ask(&self, config: ClientConfig) -> Result<String, String> {
        self.ask_as(config, "muster.example").await
    }

    async fn ask_as(&self, config: ClientConfig, name: &str) -> Result<String, String> {
        let stream = tokio::net::TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| error.to_string())?;
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io)
            .await
            .map_err(|error| format!("{error:?}"))?;
        tokio::spawn(connection);
        let request = Request::builder().uri("https://muster.example/").body(Body::empty()).expect("a request");
        let response = sender.send_request(request).await.map_err(|error| format!("{error:?}"))?;
        Ok(response.headers()["x-peer"].to_str().expect("text").to_owned())
    }

    fn host(&self) -> (Identity, Vec<u8>) {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let csr = request_of(&pair);
        let signed = self
            .authority
            .sign_host(&csr, HostId::random(), &SiteId::new("hq").expect("a site"), system_now())
            .expect("signed");
        let der = signed.certificate_der.clone();
        (identity(der.clone(), &pair), der)
    }

    fn leaf(&self, usage: ExtendedKeyUsagePurpose, from: Timestamp, until: Timestamp) -> Identity {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = leaf_params("somebody", from, until).expect("parameters");
        params.extended_key_usages = vec![usage];
        let der = self.authority.sign(params, &pair).expect("signed");
        identity(der.to_vec(), &pair)
    }
}

fn request_of(pair: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(pair).expect("a request").der().to_vec()
}

fn identity(der: Vec<u8>, pair: &KeyPair) -> Identity {
    (der.into(), PrivateKeyDer::try_from(pair.serialize_der()).expect("a key"))
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

#[tokio::test]
async fn a_host_is_seen_by_its_certificate_and_a_stranger_without_one() {
    let stand = stand();
    let (identity, der) = stand.host();
    assert_eq!(stand.ask(stand.client(Some(&identity))).await.as_deref(), Ok("certificate"));
    assert_eq!(stand.ask(stand.client(None)).await.as_deref(), Ok("none"));
    let facts = CertificateFacts::read(&der).expect("a certificate");
    assert!(facts.host.is_some() && !facts.is_expired(system_now()));
    assert!(
        facts.is_expired(system_now().plus(hours(31 * 24))) && !facts.is_expired(system_now().plus(hours(29 * 24)))
    );
}

#[tokio::test]
async fn an_expired_certificate_gets_through_the_handshake_and_is_known_as_expired() {
    let stand = stand();
    let expired =
        stand.leaf(ExtendedKeyUsagePurpose::ClientAuth, system_now().minus(hours(9)), system_now().minus(hours(1)));
    assert_eq!(stand.ask(stand.client(Some(&expired))).await.as_deref(), Ok("certificate"));
    assert!(CertificateFacts::read(&expired.0).expect("a certificate").is_expired(system_now()));
}

#[tokio::test]
async fn nothing_else_than_expiry_is_forgiven() {
    let stand = stand();
    let now = system_now();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (stranger, _) = Authority::open_or_create(elsewhere.path(), now.minus(hours(20))).expect("a CA");
    let of_stranger = |until| {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = leaf_params("somebody", now.minus(hours(9)), until).expect("parameters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        identity(stranger.sign(params, &pair).expect("signed").to_vec(), &pair)
    };
    let (host, _) = stand.host();
    let below_a_host = {
        // A host that plays CA: its own certificate must not be good for signing others.
        let key = KeyPair::try_from(host.1.secret_der()).expect("a key");
        let issuer = Issuer::from_ca_cert_der(&host.0, key).expect("an issuer");
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = leaf_params("below", now, now.plus(hours(1))).expect("parameters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        identity(params.signed_by(&pair, &issuer).expect("signed").der().to_vec(), &pair)
    };
    for (what, identity) in [
        ("another CA", of_stranger(now.plus(hours(9)))),
        ("another CA, expired", of_stranger(now.minus(hours(1)))),
        ("for servers", stand.leaf(ExtendedKeyUsagePurpose::ServerAuth, now, now.plus(hours(1)))),
        (
            "for servers, expired",
            stand.leaf(ExtendedKeyUsagePurpose::ServerAuth, now.minus(hours(9)), now.minus(hours(1))),
        ),
        ("not yet valid", stand.leaf(ExtendedKeyUsagePurpose::ClientAuth, now.plus(hours(9)), now.plus(hours(19)))),
        ("signed by a host", below_a_host),
    ] {
        let answer = stand.ask(stand.client(Some(&identity))).await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    // The listener still works.
    assert_eq!(stand.ask(stand.client(None)).await.as_deref(), Ok("none"));
    assert!(
        stand
            .metrics
            .text()
            .expect("text")
            .contains("muster_handshakes_total{listener=\"agents\",result=\"failed\"} 6")
    );
}

#[tokio::test]
async fn an_agents_certificate_cannot_serve() {
    let stand = stand();
    let (host, _) = stand.host();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![host.0.clone()], host.1.clone_key())
        .expect("settings");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let impostor = Stand { address: listener.local_addr().expect("bound"), ..stand };
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepted");
        let _ = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    let refused = impostor.ask(impostor.client(None)).await.expect_err("an impostor");
    assert!(refused.contains("certificate"), "{refused}");
}

#[tokio::test]
async fn a_second_connection_resumes_and_still_shows_its_certificate() {
    let stand = stand();
    let (identity, _) = stand.host();
    let config = stand.client(Some(&identity));
    assert_eq!(stand.ask(config.clone()).await.as_deref(), Ok("certificate"));
    assert_eq!(stand.ask(config).await.as_deref(), Ok("certificate"));
    let text = stand.metrics.text().expect("text");
    assert!(text.contains("muster_handshakes_total{listener=\"agents\",result=\"resumed\"} 1"), "{text}");
}

#[tokio::test]
async fn peers_that_never_finish_their_handshake_do_not_block_the_listener() {
    let stand = stand();
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(tokio::net::TcpStream::connect(stand.address).await.expect("connected"));
    }
    let mut garbage = tokio::net::TcpStream::connect(stand.address).await.expect("connected");
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("written");
    assert_eq!(stand.ask(stand.client(None)).await.as_deref(), Ok("none"), "after the idle ones were dropped");
    let mut rest = Vec::new();
    let _ = garbage.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
}

#[tokio::test]
async fn the_stop_closes_the_listener() {
    let stand = stand();
    assert_eq!(stand.ask(stand.client(None)).await.as_deref(), Ok("none"));
    stand.stop.cancel();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while stand.ask(stand.client(None)).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "it still answers");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_certificate_is_for_the_public_names_and_loopback_only() {
    let stand = stand();
    for name in ["muster.example", "localhost", "127.0.0.1", "::1"] {
        assert_eq!(stand.ask_as(stand.client(None), name).await.as_deref(), Ok("none"), "{name}");
    }
    assert!(stand.ask_as(stand.client(None), "other.example").await.is_err());
}

#[test]
fn garbage_requests_are_refused_with_what_is_wrong() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let good = request_of(&pair);
    assert!(authority::inspect_request(&good).is_ok());
    assert!(
        authority::inspect_request(&request_of(&KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key"))).is_ok()
    );
    let mut forged = good.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut longer = good.clone();
    longer.push(0);
    let p384 = request_of(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key"));
    for (what, csr, reason) in [
        ("nothing", Vec::new(), "not PKCS#10"),
        ("noise", vec![0x30; 400], "not PKCS#10"),
        ("cut off", good[..good.len() / 2].to_vec(), "not PKCS#10"),
        ("with a tail", longer, "1 bytes follow"),
        ("forged", forged, "not signed by its own key"),
        ("another kind of key", p384, "ECDSA P-256 or Ed25519"),
        ("too long", vec![0; 9000], "CSR_BYTES"),
    ] {
        let refused = authority::inspect_request(&csr).expect_err(what).to_string();
        assert!(refused.contains(reason), "{what}: {refused}");
    }
}

#[test]
fn the_ca_is_made_once_and_never_over_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let now = system_now();
    let (first, _) = Authority::open_or_create(directory.path(), now).expect("made");
    let (second, made) = Authority::open_or_create(directory.path(), now).expect("loaded");
    assert!(!made && first.pin() == second.pin() && first.certificate() == second.certificate());
    assert_eq!(first.pin().to_string().len(), 52);
    let key = directory.path().join("ca.key");
    assert_eq!(disk::open_to_others(&key).expect("there"), 0);

    let held = std::fs::read(&key).expect("read");
    std::fs::remove_file(&key).expect("removed");
    assert!(matches!(Authority::open_or_create(directory.path(), now), Err(CaError::KeyMissing { .. })));
    disk::write_atomically(&key, &held, disk::PUBLIC).expect("written");
    assert!(matches!(Authority::open_or_create(directory.path(), now), Err(CaError::Exposed { .. })));
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key").serialize_pem();
    disk::write_atomically(&key, other.as_bytes(), disk::OWNER_ONLY).expect("written");
    assert!(matches!(Authority::open_or_create(directory.path(), now), Err(CaError::KeyOfAnother { .. })));
    disk::write_atomically(&key, b"noise", disk::OWNER_ONLY).expect("written");
    assert!(matches!(Authority::open_or_create(directory.path(), now), Err(CaError::Damaged { .. })));
    disk::write_atomically(&key, &held, disk::OWNER_ONLY).expect("written");
    assert_eq!(Authority::open_or_create(directory.path(), now).expect("as before").0.pin(), first.pin());

    // A start that was cut off between key and certificate goes on with the same key.
    std::fs::remove_file(directory.path().join("ca.pem")).expect("removed");
    let (third, made) = Authority::open_or_create(directory.path(), now).expect("made");
    assert!(made && third.pin() == first.pin());
}

#[test]
fn the_server_certificate_is_kept_while_it_is_good() {
    let directory = tempfile::tempdir().expect("a directory");
    let now = system_now();
    let (authority, _) = Authority::open_or_create(directory.path(), now).expect("a CA");
    let open = |names: &[&str], now| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = ServerCertificate::open_or_issue(&authority, directory.path(), &names, now).expect("one").0;
        (certificate.facts().expect("facts").key, certificate)
    };
    let (first, certificate) = open(&["a.example"], now);
    assert_eq!(open(&["a.example"], now).0, first, "kept");
    assert!(!certificate.renew_if_due(&authority, now).expect("asked"));
    assert!(certificate.renew_if_due(&authority, now.plus(hours(11 * 24))).expect("asked"), "long before its end");
    let second = open(&["a.example"], now.plus(hours(11 * 24))).0;
    assert_ne!(second, first);
    assert_ne!(open(&["a.example", "10.0.0.1"], now.plus(hours(11 * 24))).0, second, "another name");
    assert_eq!(disk::open_to_others(&directory.path().join("server.pem")).expect("there"), 0);
    std::fs::write(directory.path().join("server.pem"), "noise").expect("written");
    assert!(!open(&["a.example"], now).1.names().is_empty(), "a damaged one is replaced");
}
