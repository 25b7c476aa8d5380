//! Keys and certificates for agents that the tests play: honest ones, and those of strangers and thieves.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// A key with its certificate, as a client shows it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PKCS#8 in DER.
    pub key: Vec<u8>,
    /// DER.
    pub certificate: Vec<u8>,
}

/// A new key with the certificate request that an honest agent sends for it.
///
/// # Errors
/// No key could be made.
pub fn request() -> Result<(KeyPair, Vec<u8>)> {
    let key = KeyPair::generate().context("make a key")?;
    let request = CertificateParams::new(Vec::new())?.serialize_request(&key).context("make a certificate request")?;
    Ok((key, request.der().to_vec()))
}

/// A key with the certificate that a collector issued for it.
#[must_use]
pub fn identity(key: &KeyPair, certificate: &[u8]) -> Identity {
    Identity { key: key.serialize_der(), certificate: certificate.to_vec() }
}

/// What is wrong with a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing, except that no host with it was enrolled.
    NeverEnrolled,
    /// It expired an hour ago.
    Expired,
    /// It is not valid before tomorrow.
    NotYetValid,
    /// It is a server certificate.
    ServerOnly,
}

/// A certificate authority that a test controls.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A CA that the collector does not know.
    ///
    /// # Errors
    /// No key could be made.
    pub fn strange() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Muster CA");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: Issuer::new(params, KeyPair::generate()?) })
    }

    /// The collector's own CA, as a thief of its files has it.
    ///
    /// # Errors
    /// The files could not be read.
    pub fn stolen(certificate: &Path, key: &Path) -> Result<Self> {
        let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
        let key = KeyPair::from_pem(&read(key)?).context("parse the CA's key")?;
        Ok(Self { issuer: Issuer::from_ca_cert_pem(&read(certificate)?, key).context("parse the CA")? })
    }

    /// A client certificate for the name, with a flaw.
    ///
    /// # Errors
    /// No key could be made.
    pub fn client(&self, name: &str, flaw: Flaw) -> Result<Identity> {
        self.client_with_key(name, flaw, KeyPair::generate()?)
    }

    /// A client certificate with a flaw, for an existing key.
    ///
    /// # Errors
    /// It could not be signed.
    pub fn client_with_key(&self, name: &str, flaw: Flaw, key: KeyPair) -> Result<Identity> {
        let now = OffsetDateTime::now_utc();
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let usage = if flaw == Flaw::ServerOnly {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        };
        params.extended_key_usages = vec![usage];
        (params.not_before, params.not_after) = match flaw {
            Flaw::NeverEnrolled | Flaw::ServerOnly => (now - Duration::hours(1), now + Duration::days(1)),
            Flaw::Expired => (now - Duration::days(2), now - Duration::hours(1)),
            Flaw::NotYetValid => (now + Duration::days(1), now + Duration::days(2)),
        };
        let certificate = params.signed_by(&key, &self.issuer).context("sign a client certificate")?;
        Ok(Identity { key: key.serialize_der(), certificate: certificate.der().to_vec() })
    }
}
