//! A provider of ours that lies when a test wants it to: a small server over TLS that signs anything.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::site::Site;
use super::{CLIENT, SECRET};

/// What is wrong with the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// Nothing.
    None,
    /// It does not answer.
    Silent,
    /// Its description names another issuer.
    OtherDescription,
    /// Its description is longer than anything.
    Endless,
    /// Its description is elsewhere.
    Elsewhere,
    /// It refuses the code.
    Refuses,
    /// Its tokens are no tokens.
    Garbage,
    /// There is no ID token.
    NoToken,
    /// The token is of another issuer.
    Issuer,
    /// It is for another client.
    Audience,
    /// It belongs to another login.
    Nonce,
    /// It has expired.
    Expired,
    /// It has no signature.
    AlgNone,
    /// It is signed with the secret that both sides know.
    SharedSecret,
    /// It is signed with a key that is not published.
    UnknownKey,
    /// Its signature is that of another key.
    Signature,
    /// The person showed who they are an hour ago.
    Old,
    /// It does not say when the person showed who they are.
    NoTime,
    /// It says nothing about groups.
    NoGroups,
}

struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &str) -> Result<Self> {
        let random = SystemRandom::new();
        let broken = |_| anyhow::anyhow!("no key could be made");
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(broken)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        Ok(Self { id: id.to_owned(), pair: pair.map_err(|wrong| anyhow::anyhow!("{wrong}"))? })
    }

    fn published(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |from: usize| BASE64URL_NOPAD.encode(&point[from..from + 32]);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": part(1), "y": part(33) })
    }
}

struct Shared {
    issuer: String,
    lie: Lie,
    key: Key,
    other: Key,
    nonce: String,
    groups: Vec<&'static str>,
    /// Seconds that the collector's clock is ahead.
    ahead: u64,
    /// How often the keys were asked for.
    keys_asked: usize,
}

/// The provider. Its threads end with the process of the tests.
pub(super) struct LyingProvider {
    pub(super) site: Site,
    pub(super) issuer: String,
    shared: Arc<Mutex<Shared>>,
}

impl LyingProvider {
    pub(super) fn start() -> Result<Self> {
        let site = Site::new()?;
        let certificate = CertificateDer::from_pem_file(site.certificate())?;
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_file(site.key())?)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let issuer = format!("https://localhost:{}", listener.local_addr()?.port());
        let shared = Arc::new(Mutex::new(Shared {
            issuer: issuer.clone(),
            lie: Lie::None,
            key: Key::new("first")?,
            other: Key::new("hidden")?,
            nonce: String::new(),
            groups: Vec::new(),
            ahead: 0,
            keys_asked: 0,
        }));
        let (all, config) = (Arc::clone(&shared), Arc::new(config));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, config) = (Arc::clone(&all), Arc::clone(&config));
                // The collector sees what fails.
                std::thread::spawn(move || drop(answer(stream, config, &shared)));
            }
        });
        Ok(Self { site, issuer, shared })
    }

    pub(super) fn lie(&self, lie: Lie) {
        self.shared.lock().unwrap().lie = lie;
    }

    /// The next token is for the login with this nonce.
    pub(super) fn nonce(&self, nonce: &str) {
        nonce.clone_into(&mut self.shared.lock().unwrap().nonce);
    }

    pub(super) fn groups(&self, groups: &[&'static str]) {
        self.shared.lock().unwrap().groups = groups.to_vec();
    }

    pub(super) fn ahead(&self, seconds: u64) {
        self.shared.lock().unwrap().ahead = seconds;
    }

    pub(super) fn keys_asked(&self) -> usize {
        self.shared.lock().unwrap().keys_asked
    }

    /// Signs with another key from now on, and publishes it.
    pub(super) fn changes_key(&self) -> Result<()> {
        self.shared.lock().unwrap().key = Key::new("second")?;
        Ok(())
    }
}

/// Reads one request and answers it.
fn answer(stream: TcpStream, config: Arc<ServerConfig>, shared: &Mutex<Shared>) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
    let mut request = Vec::new();
    let mut part = [0_u8; 4096];
    let end = loop {
        let read = stream.read(&mut part)?;
        anyhow::ensure!(read > 0, "the request breaks off");
        request.extend_from_slice(&part[..read]);
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|length| length.parse().ok());
    while request.len() < end + 4 + length.unwrap_or(0) {
        let read = stream.read(&mut part)?;
        anyhow::ensure!(read > 0, "the body breaks off");
        request.extend_from_slice(&part[..read]);
    }
    let path = head.split(' ').nth(1).context("a path")?.to_owned();
    let (status, more, body) = shared.lock().unwrap().say(&path)?;
    let kind = "content-type: application/json\r\nconnection: close";
    write!(stream, "HTTP/1.1 {status}\r\n{kind}\r\n{more}content-length: {}\r\n\r\n{body}", body.len())?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

impl Shared {
    /// Status, more headers and body.
    fn say(&mut self, path: &str) -> Result<(&'static str, String, String)> {
        let ok = |body: Value| Ok(("200 OK", String::new(), body.to_string()));
        anyhow::ensure!(self.lie != Lie::Silent, "it does not answer");
        match path {
            "/.well-known/openid-configuration" if self.lie == Lie::Elsewhere => {
                Ok(("302 Found", format!("location: {}/elsewhere\r\n", self.issuer), String::new()))
            }
            "/.well-known/openid-configuration" if self.lie == Lie::Endless => {
                Ok(("200 OK", String::new(), " ".repeat(4 << 20)))
            }
            "/.well-known/openid-configuration" if self.lie == Lie::OtherDescription => {
                ok(self.description("https://evil.example"))
            }
            "/.well-known/openid-configuration" => ok(self.description(&self.issuer)),
            "/elsewhere" => ok(self.description(&self.issuer)),
            "/keys" => {
                self.keys_asked += 1;
                ok(json!({ "keys": [self.key.published()] }))
            }
            "/token" if self.lie == Lie::Refuses => {
                Ok(("400 Bad Request", String::new(), json!({ "error": "invalid_grant" }).to_string()))
            }
            "/token" if self.lie == Lie::NoToken => ok(json!({ "access_token": "a", "token_type": "Bearer" })),
            "/token" if self.lie == Lie::Garbage => {
                ok(json!({ "access_token": "a", "token_type": "Bearer", "id_token": "eyJsecret.eyJsecret" }))
            }
            "/token" => ok(json!({ "access_token": "a", "token_type": "Bearer", "id_token": self.token()? })),
            _ => Ok(("404 Not Found", String::new(), String::new())),
        }
    }

    fn description(&self, issuer: &str) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": issuer, "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"), "jwks_uri": at("/keys"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    fn token(&self) -> Result<String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + self.ahead;
        let is = |lie: Lie| self.lie == lie;
        let algorithm = if is(Lie::AlgNone) {
            "none"
        } else if is(Lie::SharedSecret) {
            "HS256"
        } else {
            "ES256"
        };
        let key = if is(Lie::UnknownKey) { &self.other.id } else { &self.key.id };
        let mut claims = json!({
            "iss": if is(Lie::Issuer) { "https://evil.example" } else { &self.issuer },
            "aud": if is(Lie::Audience) { "another" } else { CLIENT },
            "nonce": if is(Lie::Nonce) { "another" } else { &self.nonce },
            "sub": "7f000001", "preferred_username": "Mallory@example.com", "iat": now - 3_600,
            "exp": if is(Lie::Expired) { now - 120 } else { now + 300 },
            "auth_time": if is(Lie::Old) { now - 3_600 } else { now }, "groups": self.groups,
        });
        if let (Some(claims), Some(gone)) = (
            claims.as_object_mut(),
            [(Lie::NoTime, "auth_time"), (Lie::NoGroups, "groups")].iter().find(|(lie, _)| is(*lie)),
        ) {
            claims.remove(gone.1);
        }
        let header = json!({ "alg": algorithm, "kid": key });
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = if is(Lie::AlgNone) {
            Vec::new()
        } else if is(Lie::SharedSecret) {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
            ring::hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        } else {
            let key = if is(Lie::UnknownKey) || is(Lie::Signature) { &self.other } else { &self.key };
            let made = key.pair.sign(&SystemRandom::new(), signed.as_bytes());
            made.map_err(|_| anyhow::anyhow!("it cannot sign"))?.as_ref().to_vec()
        };
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}
