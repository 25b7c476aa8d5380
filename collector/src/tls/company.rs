//! The company's own certificate for the operators' port: read from the two files of the settings, and again when they change.
//!
//! A pair that cannot be used never replaces one that can: at the start it is an error, later the pair before stays.

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use muster_proto::model::{Digest, Timestamp};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::authority::CertificateFacts;

/// The longest file, in bytes. A chain of ten certificates has about 20 KiB.
const LONGEST: u64 = 256 * 1024;
/// The settings, as errors name them.
const CERTIFICATE: &str = "operators.certificate";
/// See [`CERTIFICATE`].
const KEY: &str = "operators.key";

/// Why the company's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CompanyCertificateError {
    /// A file cannot be read.
    #[error("cannot read {setting} {}", .path.display())]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// A file is longer than certificates and keys are.
    #[error("{setting} {} is longer than 256 KiB", .path.display())]
    TooLong {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file has no certificate.
    #[error("{CERTIFICATE} {} has no certificate in PEM", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file has a certificate that cannot be read.
    #[error("{CERTIFICATE} {} has a certificate that cannot be read: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// The file has no private key that can be used.
    #[error("{KEY} {} has no private key that can be used: {reason}", .path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Every user of the machine can read the key.
    #[error("all users can read {KEY} {} (mode bits {bits:03o})", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The mode bits of all others.
        bits: u32,
    },
    /// The key is of another certificate.
    #[error("{KEY} {} does not belong to the first certificate of {CERTIFICATE} {}", .key.display(), .certificate.display())]
    KeyOfAnother {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The certificate has ended, or has not begun.
    #[error("{CERTIFICATE} {} is valid from {from} until {until}; the time is {now}", .path.display())]
    NotValidNow {
        /// The file.
        path: PathBuf,
        /// Its first moment.
        from: Timestamp,
        /// Its last moment.
        until: Timestamp,
        /// Now.
        now: Timestamp,
    },
}

impl CompanyCertificateError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::File { setting, .. } => format!(
                "correct {setting}, or let the collector's user (id {}) read the file; without {CERTIFICATE} and {KEY} the \
                 port has a certificate of the collector's own CA",
                rustix::process::geteuid().as_raw()
            ),
            Self::TooLong { setting, .. } => format!("name the PEM file itself in {setting}"),
            Self::NoCertificate { .. } | Self::Damaged { .. } => {
                format!("name a PEM file in {CERTIFICATE}: the server's certificate first, then those that signed it")
            }
            Self::NoKey { .. } => {
                format!(
                    "name a PEM file in {KEY} with the private key, not encrypted: ECDSA P-256 or P-384, Ed25519, or RSA"
                )
            }
            Self::Exposed { path, .. } => {
                format!("run `chmod o= {}`, and find out whether somebody has read it", path.display())
            }
            Self::KeyOfAnother { .. } => {
                format!("replace both files together; in {CERTIFICATE} the server's own certificate must be the first")
            }
            Self::NotValidNow { .. } => {
                format!(
                    "renew the certificate, check the system clock, or remove {CERTIFICATE} and {KEY} from the settings"
                )
            }
        }
    }
}

/// The result of reading the files again.
#[derive(Debug)]
pub enum CompanyReload {
    /// They are as they were.
    Unchanged,
    /// The new pair is in use.
    Adopted,
    /// The new pair cannot be used, and the one before stays. It is reported once for each change of the files.
    Refused(CompanyCertificateError),
}

/// The company's certificate, as it is in use.
#[derive(Debug)]
pub struct CompanyCertificate {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Pair>,
    seen: Mutex<Seen>,
    refused: ArcSwapOption<String>,
}

#[derive(Debug)]
struct Pair {
    certified: Arc<CertifiedKey>,
    until: Timestamp,
}

impl CompanyCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn open(certificate: &Path, key: &Path, now: Timestamp) -> Result<Self, CompanyCertificateError> {
        let read = Files::read(certificate, key);
        let seen = digest_of(&read);
        let pair = read.and_then(|files| files.pair(certificate, key, now))?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: ArcSwap::from_pointee(pair),
            seen: Mutex::new(Seen { digest: seen, waits_for_its_time: false }),
            refused: ArcSwapOption::empty(),
        })
    }

    /// Looks at the files again, and uses a new pair that can be used.
    pub fn reload(&self, now: Timestamp) -> CompanyReload {
        // Their content and not their times: a link that is switched or a copy that keeps times is a change, too.
        let read = Files::read(&self.certificate, &self.key);
        let digest = digest_of(&read);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = seen.digest == digest;
        if is_same && !seen.waits_for_its_time {
            return CompanyReload::Unchanged;
        }
        seen.digest = digest;
        seen.waits_for_its_time = false;
        match read.and_then(|files| files.pair(&self.certificate, &self.key, now)) {
            Ok(pair) => {
                self.current.store(Arc::new(pair));
                self.refused.store(None);
                CompanyReload::Adopted
            }
            Err(refused) => {
                seen.waits_for_its_time = matches!(refused, CompanyCertificateError::NotValidNow { .. });
                // The same files are named once, however often they are judged.
                if is_same {
                    return CompanyReload::Unchanged;
                }
                self.refused.store(Some(Arc::new(muster_proto::error_chain(&refused))));
                CompanyReload::Refused(refused)
            }
        }
    }

    /// When the certificate in use ends.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.current.load().until
    }

    /// Why the files as they are now are not in use.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.refused.load_full().map(|reason| reason.as_ref().clone())
    }
}

impl ResolvesServerCert for CompanyCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().certified))
    }
}

/// The files when they were last read.
#[derive(Debug)]
struct Seen {
    /// The digest of the two, or of why they could not be read.
    digest: Digest,
    /// Whether they were refused because of the time alone, so that they may be usable later as they are.
    waits_for_its_time: bool,
}

/// The content of the two files.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, CompanyCertificateError> {
        let certificate = read(CERTIFICATE, certificate)?;
        let bits = key.metadata().map(|metadata| metadata.permissions().mode() & 0o007);
        let bits =
            bits.map_err(|source| CompanyCertificateError::File { setting: KEY, path: key.to_owned(), source })?;
        if bits != 0 {
            return Err(CompanyCertificateError::Exposed { path: key.to_owned(), bits });
        }
        Ok(Self { certificate, key: read(KEY, key)? })
    }

    fn pair(self, certificate: &Path, key: &Path, now: Timestamp) -> Result<Pair, CompanyCertificateError> {
        let damaged = |reason: String| CompanyCertificateError::Damaged { path: certificate.to_owned(), reason };
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|error| damaged(error.to_string()))?;
        let no_certificate = || CompanyCertificateError::NoCertificate { path: certificate.to_owned() };
        let facts = chain.first().ok_or_else(no_certificate).map(|leaf| CertificateFacts::read(leaf))?;
        let facts = facts.map_err(|error| damaged(error.to_string()))?;
        let no_key = |reason: String| CompanyCertificateError::NoKey { path: key.to_owned(), reason };
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| no_key(self.why_no_key(&error)))?;
        let certified = CertifiedKey::from_der(chain, private, &ring::default_provider());
        let certified = certified.map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                return CompanyCertificateError::KeyOfAnother {
                    key: key.to_owned(),
                    certificate: certificate.to_owned(),
                };
            }
            let is_of_certificate = matches!(error, rustls::Error::InvalidCertificate(_));
            if is_of_certificate { damaged(error.to_string()) } else { no_key(error.to_string()) }
        })?;
        let (from, until) = (facts.not_before, facts.expires_at);
        if now < from || facts.is_expired(now) {
            return Err(CompanyCertificateError::NotValidNow { path: certificate.to_owned(), from, until, now });
        }
        Ok(Pair { certified: Arc::new(certified), until })
    }

    fn why_no_key(&self, error: &rustls::pki_types::pem::Error) -> String {
        let label = b"BEGIN ENCRYPTED PRIVATE KEY";
        if self.key.windows(label.len()).any(|window| window == label) {
            return "it is encrypted".to_owned();
        }
        error.to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.key.zeroize();
    }
}

fn digest_of(read: &Result<Files, CompanyCertificateError>) -> Digest {
    match read {
        Ok(files) => {
            let digests = [Digest::of(&files.certificate), Digest::of(&files.key)];
            Digest::of(&digests.map(|digest| digest.to_string()).concat().into_bytes())
        }
        Err(error) => Digest::of(muster_proto::error_chain(error).as_bytes()),
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, CompanyCertificateError> {
    let failed = |source| CompanyCertificateError::File { setting, path: path.to_owned(), source };
    // A pipe would block, and a device has no end.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(CompanyCertificateError::TooLong { setting, path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
