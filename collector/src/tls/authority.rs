//! The interface for signing hosts' certificates, and readers for certificates and certificate requests.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{CaPin, HostId, KeyFingerprint, SiteId, Timestamp};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

/// Clocks of agents may be behind: a certificate begins a little before it is signed.
pub(super) const BACKDATE: Duration = Duration::from_secs(3600);

/// Why a certificate was not signed or not understood.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A limit of the contract.
    #[error("the certificate request is {bytes} bytes long; the limit CSR_BYTES is {limit}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a PKCS#10 request in DER.
    #[error("the certificate request is not PKCS#10 in DER: {reason}")]
    NotARequest {
        /// What the parser said.
        reason: String,
    },
    /// The request is not signed by the key in it.
    #[error("the certificate request is not signed by its own key")]
    BadSignature,
    /// A key type that hosts do not use.
    #[error("the certificate request has an unsupported key type; use ECDSA P-256 or Ed25519")]
    KeyKind,
    /// Not a certificate.
    #[error("the certificate cannot be read: {reason}")]
    NotACertificate {
        /// What the parser said.
        reason: String,
    },
    /// It could not be recorded that the CA has signed a certificate.
    #[error("write {path}, which records that this CA has signed certificates of hosts")]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// Signing failed.
    #[error("sign the certificate of host {host}")]
    Sign {
        /// The host.
        host: HostId,
        /// What went wrong.
        #[source]
        source: rcgen::Error,
    },
}

/// A signed host certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// DER.
    pub certificate_der: Vec<u8>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its key.
    pub key: KeyFingerprint,
}

/// Signs hosts' certificates.
pub trait CertificateAuthority: Send + Sync + 'static {
    /// Checks a request (size, form, its own signature, kind of key) and names its key, without signing anything.
    ///
    /// # Errors
    /// The request is not acceptable.
    fn inspect(&self, csr_der: &[u8]) -> Result<KeyFingerprint, SignError> {
        inspect_request(csr_der)
    }

    /// Signs a client certificate for the key of the request, which names the host and its site. Nothing of the request
    /// but its key is used.
    ///
    /// # Errors
    /// The request is not acceptable, or signing failed.
    fn sign_host(&self, csr_der: &[u8], host: HostId, site: &SiteId, now: Timestamp) -> Result<Signed, SignError>;

    /// The version and the CA certificates (DER) that agents are to trust.
    fn trust(&self) -> (u64, Vec<Vec<u8>>);
}

/// The content of a client certificate whose chain the acceptor has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: KeyFingerprint,
    /// The public key itself: the uncompressed point (P-256) or 32 bytes (Ed25519), for verifying a proof.
    pub public_key: Vec<u8>,
    /// The common name, when it is a host id.
    pub host: Option<HostId>,
    /// The organizational unit, when it is a site.
    pub site: Option<SiteId>,
    /// When it began.
    pub not_before: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl CertificateFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is none.
    pub fn read(der: &[u8]) -> Result<Self, SignError> {
        let certificate = parse_certificate(der)?;
        let validity = certificate.validity();
        let common_name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let unit = certificate.subject().iter_organizational_unit().next().and_then(|name| name.as_str().ok());
        let instant = |time: x509_parser::time::ASN1Time| Timestamp::from_millis(time.timestamp().saturating_mul(1000));
        Ok(Self {
            key: fingerprint(certificate.public_key()),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
            host: common_name.and_then(|name| name.parse().ok()),
            site: unit.and_then(|name| SiteId::new(name).ok()),
            not_before: instant(validity.not_before),
            expires_at: instant(validity.not_after),
        })
    }

    /// When it was issued, in whole seconds, if it is of a host.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.not_before.plus(BACKDATE)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        // RFC 5280: the last moment is still part of the validity.
        now > self.expires_at
    }
}

/// The pin of a CA certificate, which is the third part of an enrollment token.
///
/// # Errors
/// It is no certificate.
pub fn ca_pin(ca_der: &[u8]) -> Result<CaPin, SignError> {
    Ok(CaPin::from_bytes(*fingerprint(parse_certificate(ca_der)?.public_key()).as_bytes()))
}

/// Checks a certificate request and names its key.
///
/// # Errors
/// Too long, not PKCS#10, not signed by its own key, or a key of another kind.
pub fn inspect_request(csr_der: &[u8]) -> Result<KeyFingerprint, SignError> {
    if csr_der.len() > limits::CSR_BYTES {
        return Err(SignError::TooLong { bytes: csr_der.len(), limit: limits::CSR_BYTES });
    }
    let (rest, request) = X509CertificationRequest::from_der(csr_der)
        .map_err(|error| SignError::NotARequest { reason: error.to_string() })?;
    if !rest.is_empty() {
        return Err(SignError::NotARequest { reason: format!("{} bytes follow it", rest.len()) });
    }
    let key = &request.certification_request_info.subject_pki;
    // The kind comes first, so that a signature is verified only with the two kinds of key that hosts use.
    if !is_accepted_key(key) {
        return Err(SignError::KeyKind);
    }
    // It proves that the sender has the private key, and does not ask for a certificate for somebody else's key.
    request.verify_signature().map_err(|_| SignError::BadSignature)?;
    Ok(fingerprint(key))
}

fn parse_certificate(der: &[u8]) -> Result<X509Certificate<'_>, SignError> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| SignError::NotACertificate { reason: error.to_string() })?;
    if rest.is_empty() {
        Ok(certificate)
    } else {
        Err(SignError::NotACertificate { reason: format!("{} bytes follow it", rest.len()) })
    }
}

fn fingerprint(key: &SubjectPublicKeyInfo<'_>) -> KeyFingerprint {
    KeyFingerprint::of(key.raw)
}

fn is_accepted_key(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_SIG_ED25519 {
        return key.subject_public_key.data.len() == 32;
    }
    // For elliptic curves one algorithm covers all curves, and its parameter names the curve (RFC 5480).
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(OID_EC_P256)
}
