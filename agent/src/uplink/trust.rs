//! Whom to trust, and who we are, in a handshake: TLS 1.3 only, by `ring`.
//!
//! Before enrollment the collector is known by the pin of the token: one certificate of the chain that it shows must have
//! that key, and that certificate alone then has to vouch for the collector's own, name and dates included. After
//! enrollment the trust bundle takes the pin's place.

use std::sync::Arc;

use muster_proto::model::{CaPin, Timestamp};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::{Identity, Key};

/// Why no handshake can be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// TLS itself refuses the settings.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    /// There is no certificate of a collector's CA that can be used.
    #[error("the trust bundle has no usable certificate")]
    NoTrust,
    /// The client certificate and its key do not go together.
    #[error("the host's certificate cannot be used")]
    Certificate(#[source] rustls::Error),
}

/// No certificate of the chain has the pinned key.
#[derive(Debug, thiserror::Error)]
#[error("no certificate of the chain has the pinned key")]
pub(super) struct PinMismatch {
    /// The pin of the first certificate above the collector's own.
    pub(super) shown: String,
    /// Who gave the topmost certificate that was shown.
    pub(super) issuer: String,
}

/// The chain leads to somebody who is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("the chain ends at {issuer:?}, which is not trusted")]
pub(super) struct Stranger {
    /// Who gave the topmost certificate that was shown.
    pub(super) issuer: String,
}

/// The settings of one kind of connection.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
}

impl Tls {
    /// For enrollment: the collector is known by the pin, we are known by nothing yet.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn by_pin(pin: CaPin) -> Result<Self, TlsError> {
        let provider = Arc::new(provider::default_provider());
        let verifier = Arc::new(PinVerifier { pin, provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self::of(config))
    }

    /// For everything else: the collector is known by the trust bundle, we by our certificate. Without a key the
    /// certificate is not shown, for a renewal after its end.
    ///
    /// # Errors
    /// The bundle or the certificate cannot be used.
    pub fn by_identity(identity: &Identity, key: Option<&Key>) -> Result<Self, TlsError> {
        let provider = Arc::new(provider::default_provider());
        let mut roots = RootCertStore::empty();
        let certificates = identity.trust.certificates.iter();
        roots.add_parsable_certificates(certificates.map(|der| CertificateDer::from(der.as_slice()).into_owned()));
        if roots.is_empty() {
            return Err(TlsError::NoTrust);
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(BundleVerifier { inner }));
        let config = match key {
            Some(key) => {
                let chain = vec![CertificateDer::from(identity.certificate.clone())];
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8().to_vec()));
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Certificate)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self::of(config))
    }

    fn of(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        // One collector: a few tickets are enough, and 256 places cost memory that an endpoint misses.
        config.resumption = Resumption::in_memory_sessions(4);
        Self { config: Arc::new(config) }
    }
}

/// The pin of a CA certificate.
#[must_use]
pub fn pin_of(certificate: &[u8]) -> Option<CaPin> {
    let key = public_key(certificate)?;
    let hash = ring::digest::digest(&ring::digest::SHA256, &key);
    Some(CaPin::from_bytes(hash.as_ref().try_into().ok()?))
}

/// When a certificate ends.
#[must_use]
pub fn certificate_end(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Timestamp::from_millis(certificate.validity().not_after.timestamp().saturating_mul(1000)))
}

/// The public key of a certificate (SubjectPublicKeyInfo in DER).
pub(super) fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate.subject_pki.raw.to_vec())
}

#[derive(Debug)]
struct PinVerifier {
    pin: CaPin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = intermediates.iter().find(|certificate| pin_of(certificate) == Some(self.pin));
        let Some(pinned) = pinned else {
            let first = intermediates.first().unwrap_or(end_entity);
            let shown = pin_of(first).map_or_else(|| "none".to_owned(), |pin| pin.to_string());
            let issuer = top_issuer(end_entity, intermediates);
            let other = OtherError(Arc::new(PinMismatch { shown, issuer }));
            return Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)));
        };
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let verified = verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| with_issuer(error, end_entity, intermediates))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The usual verification by the trust bundle; a failure says who gave the chain that was shown.
#[derive(Debug)]
struct BundleVerifier {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for BundleVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| with_issuer(error, end_entity, intermediates))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn with_issuer(
    error: rustls::Error,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> rustls::Error {
    use CertificateError::{BadSignature, UnknownIssuer};
    if !matches!(error, rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature)) {
        return error;
    }
    let issuer = top_issuer(end_entity, intermediates);
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Stranger { issuer }))))
}

/// Who gave the topmost certificate of a chain, in its own words; strangers write them, so they are cut and cleaned.
fn top_issuer(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> String {
    let top = intermediates.last().unwrap_or(end_entity);
    let Ok((_, certificate)) = X509Certificate::from_der(top) else { return String::new() };
    certificate.issuer().to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}
