//! What a provider of the tests has on disk: a CA, and a key with a certificate for `localhost`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// Files in PEM, in a folder of their own.
pub(super) struct Site {
    folder: TempDir,
}

impl Site {
    pub(super) fn new() -> Result<Self> {
        let site = Self { folder: tempfile::Builder::new().prefix("muster-oidc-").tempdir()? };
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        std::fs::write(site.ca(), params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&own, &issuer)?;
        std::fs::write(site.certificate(), certificate.pem())?;
        std::fs::write(site.key(), own.serialize_pem())?;
        Ok(site)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.folder().join("site.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder().join("site.key")
    }
}
