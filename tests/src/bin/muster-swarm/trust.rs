//! Which CAs the swarm trusts: before enrollment the one of the token's pin, then those of the trust bundle. All hosts share the
//! verifiers.

use std::sync::Arc;

use anyhow::{Context, Result};
use muster_proto::model::CaPin;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use muster_tests::pki::Identity;

/// The TLS settings of hosts.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Trust {
    /// Trusts the CA whose key has this pin, anywhere in the server's chain.
    pub(crate) fn by_pin(pin: CaPin) -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Pinned { pin, provider: Arc::clone(&provider) });
        Self { provider, verifier }
    }

    /// Trusts these CAs.
    pub(crate) fn by_bundle(certificates: &[Vec<u8>]) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(certificates.iter().map(|der| CertificateDer::from(der.clone())), &provider)
            .context("parse the trust bundle")?;
        Ok(Self { provider, verifier })
    }

    /// TLS 1.3, with an identity if there is one. Sessions are not resumed, so every new connection has a full handshake.
    pub(crate) fn client(&self, identity: Option<&Identity>) -> Result<Arc<ClientConfig>> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.verifier));
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_auth_cert(
                vec![CertificateDer::from(identity.certificate.clone())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone())),
            )?,
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn verifier<'a>(
    certificates: impl Iterator<Item = CertificateDer<'a>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.into_owned())?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))
}

/// The pin of a CA certificate.
fn pin_of(der: &[u8]) -> Option<CaPin> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let hash = Sha256::digest(certificate.public_key().raw);
    Some(CaPin::from_bytes(hash.into()))
}

#[derive(Debug)]
struct Pinned {
    pin: CaPin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The collector sends its CA along, so the pin suffices to find it.
        let ca = intermediates.iter().find(|der| pin_of(der).is_some_and(|pin| pin == self.pin));
        let ca = ca.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        // The pin only finds the CA. Name, validity and signature are still verified.
        let strict = verifier(std::iter::once(ca.clone()), &self.provider)?;
        strict.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not supported".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
