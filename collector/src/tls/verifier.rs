//! Verifies client certificates: chain, usage and signature, but not expiry.
//!
//! An agent whose certificate expired while it was offline must still reach `Renew`, so the handshake accepts it. Every other
//! method refuses it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::authority::CertificateFacts;

pub(super) struct LenientOnExpiry {
    strict: Arc<dyn ClientCertVerifier>,
}

impl LenientOnExpiry {
    pub(super) fn new(strict: Arc<dyn ClientCertVerifier>) -> Self {
        Self { strict }
    }
}

impl fmt::Debug for LenientOnExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LenientOnExpiry")
    }
}

impl ClientCertVerifier for LenientOnExpiry {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.strict.client_auth_mandatory()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = match self.strict.verify_client_cert(end_entity, intermediates, now) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        // rustls has two variants for expiry: one with the times and one without.
        let expired = matches!(
            refused,
            Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })
        );
        let last_second = CertificateFacts::read(end_entity)
            .ok()
            .and_then(|facts| u64::try_from(facts.expires_at.millis().div_euclid(1000)).ok());
        match last_second {
            // Verify everything else again, at the last second at which it was valid.
            Some(seconds) if expired => {
                let then = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
                self.strict.verify_client_cert(end_entity, intermediates, then)
            }
            _ => Err(refused),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
