//! The server certificate, and the TLS settings of the agents' and the operators' port.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_proto::model::Timestamp;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::authority::CertificateFacts;
use super::ca::{Authority, leaf_params};
use super::ca_error::CaError;
use super::disk::{OWNER_ONLY, write_atomically};
use super::verifier::LenientOnExpiry;

const LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// Renewed this long before its end, so that a collector that runs once a day has twenty attempts.
const RENEW_BEFORE: Duration = Duration::from_secs(20 * 86_400);

/// Where the key of the server certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerKeyOrigin {
    /// The file had a good certificate.
    Loaded,
    /// There was no file yet.
    Created,
    /// The certificate was due: little time left, or other names or another CA than wanted.
    Due,
    /// The file existed before, and its key is lost.
    Lost {
        /// What happened to the file: `is missing`, `is damaged` or `cannot be read: …`.
        how: String,
    },
}

/// The server certificate. It is stored with its key in one owner-only file, and replaced while the collector runs.
#[derive(Debug)]
pub struct ServerCertificate {
    path: PathBuf,
    names: BTreeSet<String>,
    current: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertificate {
    /// Loads the certificate of this directory. Signs a new one if there is none, or if it has other names, another CA or
    /// not much time left.
    ///
    /// # Errors
    /// Signing or writing failed. A damaged file is replaced: agents trust the CA and not this key.
    pub fn open_or_issue(
        authority: &Authority,
        directory: &Path,
        public_names: &[String],
        now: Timestamp,
    ) -> Result<(Arc<Self>, ServerKeyOrigin), CaError> {
        let path = directory.join("server.pem");
        let names = names(public_names);
        let provider = Arc::new(ring::default_provider());
        let lost = |how: String| (None, ServerKeyOrigin::Lost { how });
        let (stored, origin) = match std::fs::read(&path) {
            Ok(pem) => match read_pair(&pem) {
                Some(pair) if is_good(authority, &pair.0, &names, now) => (Some(pair), ServerKeyOrigin::Loaded),
                Some(_) => (None, ServerKeyOrigin::Due),
                None => lost("is damaged".to_owned()),
            },
            // A CA that has signed for hosts has answered them with a server certificate before.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && authority.has_issued() => {
                lost("is missing".to_owned())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (None, ServerKeyOrigin::Created),
            Err(error) => lost(format!("cannot be read: {error}")),
        };
        let pair = stored.map_or_else(|| issue(authority, &path, &names, now), Ok)?;
        let current = ArcSwap::from_pointee(certified(&provider, &path, pair, authority)?);
        Ok((Arc::new(Self { path, names, current, provider }), origin))
    }

    /// Signs a new certificate if the current one ends soon. Returns whether it did.
    ///
    /// # Errors
    /// Signing or writing failed; the current one stays.
    pub fn renew_if_due(&self, authority: &Authority, now: Timestamp) -> Result<bool, CaError> {
        let due = self.current.load().cert.first().is_none_or(|leaf| !is_good(authority, leaf, &self.names, now));
        if due {
            let pair = issue(authority, &self.path, &self.names, now)?;
            self.current.store(Arc::new(certified(&self.provider, &self.path, pair, authority)?));
        }
        Ok(due)
    }

    /// The content of the current certificate.
    #[must_use]
    pub fn facts(&self) -> Option<CertificateFacts> {
        self.current.load().cert.first().and_then(|leaf| CertificateFacts::read(leaf).ok())
    }

    /// The names in it.
    #[must_use]
    pub const fn names(&self) -> &BTreeSet<String> {
        &self.names
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// The names of the versions of HTTP in a handshake (the IANA registry of ALPN protocol ids).
const HTTP2: &[u8] = b"h2";
/// See [`HTTP2`].
pub(super) const HTTP1: &[u8] = b"http/1.1";

/// TLS settings of the agents' port: a client certificate of this CA, or none.
///
/// # Errors
/// rustls does not accept the CA.
pub fn agents_config(
    certificate: &Arc<ServerCertificate>,
    authority: &Authority,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let strict = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&certificate.provider))
        // `Enroll` comes without a certificate; `AgentsGate` demands one for every other method.
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&certificate.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(LenientOnExpiry::new(strict)));
    finish(builder.with_cert_resolver(Arc::clone(certificate) as Arc<dyn ResolvesServerCert>), &[HTTP2])
}

/// TLS settings of the operators' port: no client certificate; every call carries a token or a session. The server's is
/// that of the collector or of the company. With `has_pages`, peers may also choose HTTP/1.1.
///
/// # Errors
/// rustls refuses the settings.
pub fn operators_config(
    certificate: Arc<dyn ResolvesServerCert>,
    has_pages: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth();
    let versions = if has_pages { [HTTP2, HTTP1].as_slice() } else { &[HTTP2] };
    finish(builder.with_cert_resolver(certificate), versions)
}

fn finish(mut config: ServerConfig, versions: &[&[u8]]) -> Result<Arc<ServerConfig>, rustls::Error> {
    config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();
    // Stateless tickets: after an outage the fleet resumes without full handshakes, and the collector stores nothing.
    config.ticketer = ring::Ticketer::new()?;
    config.send_tls13_tickets = 2;
    Ok(Arc::new(config))
}

fn names(public: &[String]) -> BTreeSet<String> {
    // `names_of` yields this spelling. Another one would differ from it and cause a new certificate at every start.
    let canonical =
        |name: &String| name.parse::<IpAddr>().map_or_else(|_| name.to_ascii_lowercase(), |ip| ip.to_string());
    let mut names: BTreeSet<String> = public.iter().map(canonical).collect();
    names.insert("localhost".to_owned());
    names.insert(Ipv4Addr::LOCALHOST.to_string());
    names.insert(Ipv6Addr::LOCALHOST.to_string());
    let own = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    // A host name may have characters that a certificate cannot hold.
    if !own.is_empty() && own.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        names.insert(own);
    }
    names
}

fn issue(
    authority: &Authority,
    path: &Path,
    names: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(CertificateDer<'static>, Vec<u8>), CaError> {
    let sign = |source| CaError::Sign { operation: "sign the server certificate", source };
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(sign)?;
    let mut params = leaf_params("Muster collector", now, now.plus(LIFETIME)).map_err(sign)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(sign)?),
        });
    }
    let leaf = authority.sign(params, &pair).map_err(sign)?;
    let chain = [leaf.as_ref(), authority.certificate().as_ref()].map(|der| pem_of("CERTIFICATE", der)).concat();
    // Key and certificate are in one file, so that one rename replaces both.
    let file = format!("{}{chain}", pair.serialize_pem());
    write_atomically(path, file.as_bytes(), OWNER_ONLY).map_err(|source| CaError::File {
        operation: "write",
        path: path.to_owned(),
        source,
    })?;
    Ok((leaf, pair.serialize_der()))
}

fn pem_of(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    // RFC 7468 wants lines of 64 characters.
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn read_pair(pem: &[u8]) -> Option<(CertificateDer<'static>, Vec<u8>)> {
    // The leaf is the first certificate in the file; the CA follows it.
    let leaf = CertificateDer::from_pem_slice(pem).ok()?;
    let key = PrivateKeyDer::from_pem_slice(pem).ok()?;
    Some((leaf, key.secret_der().to_vec()))
}

fn is_good(authority: &Authority, leaf: &CertificateDer<'_>, names: &BTreeSet<String>, now: Timestamp) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return false };
    let Ok((_, ca)) = X509Certificate::from_der(authority.certificate()) else { return false };
    let Ok(facts) = CertificateFacts::read(leaf) else { return false };
    // A certificate of another CA may pass all other checks, but agents refuse it.
    certificate.verify_signature(Some(ca.public_key())).is_ok()
        // If the clock is set back, a certificate may begin in the future.
        && now >= facts.not_before
        && now.plus(RENEW_BEFORE) < facts.expires_at
        && names_of(&certificate) == *names
}

fn names_of(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return BTreeSet::new() };
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
    };
    let name = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(name) = name {
            return Some((*name).to_owned());
        }
        if let GeneralName::IPAddress(bytes) = name { address(bytes) } else { None }
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn certified(
    provider: &CryptoProvider,
    path: &Path,
    (leaf, key): (CertificateDer<'static>, Vec<u8>),
    authority: &Authority,
) -> Result<CertifiedKey, CaError> {
    let damaged = |reason: String| CaError::Damaged { path: path.to_owned(), reason };
    let key = PrivateKeyDer::try_from(key).map_err(|reason| damaged(reason.to_owned()))?;
    // The chain includes the CA, so that an agent that knows only the pin can find it.
    CertifiedKey::from_der(vec![leaf, authority.certificate().clone()], key, provider)
        .map_err(|error| damaged(error.to_string()))
}
