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

/// The CA of a company, which browsers at the company know.
pub struct Company {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Company {
    /// A CA with this name.
    ///
    /// # Errors
    /// No key could be made.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key).context("sign a CA")?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The CA's certificate in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A server's certificate for this machine that ends after so many days, and its key; both in PEM. A negative number is in
    /// the past.
    ///
    /// # Errors
    /// It could not be signed.
    pub fn server(&self, days: i64) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let now = OffsetDateTime::now_utc();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (now - Duration::days(30), now + Duration::days(days));
        let certificate = params.signed_by(&key, &self.issuer).context("sign a server's certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}
