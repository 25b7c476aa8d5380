//! The TLS settings: which collector to trust and which certificate to present. TLS 1.3 only, with `ring`.
//!
//! Before enrollment the collector is known by the token's CA pin: one certificate in its chain must have the pinned key,
//! and that certificate alone is the trust anchor for the collector's own certificate, name and dates included. After
//! enrollment the trust bundle replaces the pin.

use std::sync::Arc;

use muster_proto::model::{CaPin, Timestamp};
use muster_proto::wire;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::{Identity, Key, Trust};

/// Why the TLS settings cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls rejects the settings.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
    /// The trust bundle contains no usable CA certificate.
    #[error("the trust bundle contains no usable CA certificate")]
    NoTrust,
    /// The client certificate does not match its key.
    #[error("cannot use this host's certificate")]
    Certificate(#[source] rustls::Error),
}

/// No certificate in the chain has the pinned key.
#[derive(Debug, thiserror::Error)]
#[error("no certificate in the chain has the pinned key")]
pub(super) struct PinMismatch {
    /// The pin of the first certificate above the collector's own.
    pub(super) shown: String,
    /// The issuer of the topmost certificate in the chain.
    pub(super) issuer: String,
}

/// The issuer of the chain is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("the chain was issued by {issuer:?}, which is not trusted")]
pub(super) struct UntrustedIssuer {
    /// The issuer of the topmost certificate in the chain.
    pub(super) issuer: String,
}

/// The TLS settings for connections to the collector.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
}

impl Tls {
    /// For enrollment: trusts the CA with this pin and presents no certificate.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn by_pin(pin: CaPin) -> Result<Self, TlsError> {
        let provider = Arc::new(provider::default_provider());
        let verifier = Arc::new(PinVerifier { pin, provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Setup)?
            // Custom verifiers are only available here. This one verifies chain, name and dates by webpki.
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self::of(config))
    }

    /// For everything else: trusts the trust bundle and presents this host's certificate. Without a key no certificate is
    /// presented, as for the renewal of an expired one.
    ///
    /// # Errors
    /// The bundle or the certificate cannot be used.
    pub fn by_identity(identity: &Identity, key: Option<&Key>) -> Result<Self, TlsError> {
        let provider = Arc::new(provider::default_provider());
        let mut roots = RootCertStore::empty();
        let certificates = identity.trust.certificates.iter();
        roots.add_parsable_certificates(certificates.map(|der| CertificateDer::from(der.as_slice()).into_owned()));
        // Without an anchor every connection would fail as untrusted, which would blame the collector.
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
        // There is one collector, so a few session tickets are enough; rustls' default of 256 costs memory.
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

/// When a certificate expires.
#[must_use]
pub fn certificate_end(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Timestamp::from_millis(certificate.validity().not_after.timestamp().saturating_mul(1000)))
}

/// Converts a trust bundle from the wire.
pub(super) fn trust_of(bundle: wire::TrustBundle) -> Trust {
    let certificates = bundle.ca_certificates.into_iter().map(|certificate| certificate.to_vec()).collect();
    Trust { version: bundle.version, certificates }
}

/// Whether every certificate of a bundle can be parsed. A bundle that is not usable must not replace the current one.
pub(super) fn is_usable(trust: &Trust) -> bool {
    !trust.certificates.is_empty() && trust.certificates.iter().all(|certificate| pin_of(certificate).is_some())
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
        // The pinned certificate is public, so its presence proves nothing. The verification below does.
        let pinned = intermediates.iter().find(|certificate| pin_of(certificate) == Some(self.pin));
        let Some(pinned) = pinned else {
            // The pin that the operator can compare with the token's is that of the issuing CA.
            let first = intermediates.first().unwrap_or(end_entity);
            let shown = pin_of(first).map_or_else(|| "none".to_owned(), |pin| pin.to_string());
            let issuer = top_issuer(end_entity, intermediates);
            let other = OtherError(Arc::new(PinMismatch { shown, issuer }));
            return Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)));
        };
        let mut roots = RootCertStore::empty();
        // The pinned CA is the only anchor, so no other CA in the chain is trusted.
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
        Err(rustls::Error::General("TLS 1.2 is not supported".to_owned()))
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

/// Verifies by the trust bundle. On failure the error names the issuer of the chain.
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
    // A reinstalled collector has a CA of the same name with another key, which is a bad signature.
    if !matches!(error, rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature)) {
        return error;
    }
    let issuer = top_issuer(end_entity, intermediates);
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(UntrustedIssuer { issuer }))))
}

/// The issuer of the topmost certificate, as it names itself. The text comes from the peer, so it is cleaned and cut.
fn top_issuer(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> String {
    let top = intermediates.last().unwrap_or(end_entity);
    let Ok((_, certificate)) = X509Certificate::from_der(top) else { return String::new() };
    certificate.issuer().to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}
