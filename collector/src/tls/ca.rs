//! The collector's own CA: created at the first start, stored in two files, never rewritten.
//!
//! A third file, `ca.issued`, says that the CA has signed a host's certificate. From then on, hosts depend on this CA and
//! on the store that knows them, and neither may be replaced silently.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_proto::model::{CaPin, HostId, SiteId, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;

use super::authority::{BACKDATE, CertificateAuthority, CertificateFacts, SignError, Signed, ca_pin, inspect_request};
use super::ca_error::CaError;
use super::disk::{OWNER_ONLY, PUBLIC, open_to_others, write_atomically};

/// The file that says that the CA has signed a host's certificate.
const ISSUED: &str = "ca.issued";
const CA_LIFETIME: Duration = Duration::from_secs(3653 * 86_400);
const HOST_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// Why an empty file is damaged: an interrupted copy and a full disk leave such files.
const EMPTY: &str = "it is empty";

/// The CA: certificate and key in memory, ready to sign.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    pin: CaPin,
    /// The file `ca.issued`.
    issued: PathBuf,
    /// Whether that file exists. It is never removed.
    has_issued: AtomicBool,
    /// Held while that file is written.
    recording: Mutex<()>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl Authority {
    /// Loads the CA of this directory, or creates one. Returns whether it was created. For a directory whose store may
    /// have hosts, use [`Authority::open`] and ask the store before [`Authority::create`].
    ///
    /// # Errors
    /// The key of a certificate is missing, or a file is damaged. An existing CA is never overwritten.
    pub fn open_or_create(directory: &Path, now: Timestamp) -> Result<(Self, bool), CaError> {
        match Self::open(directory, now)? {
            Some(authority) => Ok((authority, false)),
            None => Ok((Self::create(directory, now)?, true)),
        }
    }

    /// Loads the CA of this directory; `None` if it has no certificate. Writes nothing.
    ///
    /// # Errors
    /// The key of a certificate is missing, or a file cannot be read, is damaged or readable by others.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Option<Self>, CaError> {
        let (certificate, key) = (directory.join("ca.pem"), directory.join("ca.key"));
        if exists(&certificate)? { Self::load(&certificate, &key, now).map(Some) } else { Ok(None) }
    }

    /// Creates the CA of this directory. The key is written first, so a key without a certificate is from a start that
    /// was interrupted: nothing was signed with it, and it is used.
    ///
    /// # Errors
    /// A file cannot be written, or a key that is there is damaged.
    pub fn create(directory: &Path, now: Timestamp) -> Result<Self, CaError> {
        let (certificate, key) = (directory.join("ca.pem"), directory.join("ca.key"));
        let pair = if exists(&key)? { read_key(&key)? } else { create_key(&key)? };
        let pem = self_sign(&pair, now)?;
        write_atomically(&certificate, pem.as_bytes(), PUBLIC).map_err(|source| CaError::File {
            operation: "write",
            path: certificate.clone(),
            source,
        })?;
        // Read back from the files, so that a new CA passes the same checks as an old one.
        Self::load(&certificate, &key, now)
    }

    /// Whether the CA of this directory has signed a host's certificate, even if the CA itself is lost.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn has_issued_in(directory: &Path) -> Result<bool, CaError> {
        exists(&directory.join(ISSUED))
    }

    /// Whether this CA has signed a host's certificate.
    #[must_use]
    pub fn has_issued(&self) -> bool {
        self.has_issued.load(Ordering::Acquire)
    }

    /// Records on the disk that this CA has signed a host's certificate; does nothing if that is recorded already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record_issue(&self, now: Timestamp) -> std::io::Result<()> {
        if self.has_issued() {
            return Ok(());
        }
        // Hosts enroll at the same time, and two threads must not share the temporary file.
        let _alone = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_issued() {
            return Ok(());
        }
        let text = format!("This CA signed its first host certificate at {}.\n", now.to_rfc3339());
        write_atomically(&self.issued, text.as_bytes(), OWNER_ONLY)?;
        self.has_issued.store(true, Ordering::Release);
        Ok(())
    }

    /// Loads the CA from its two files.
    ///
    /// # Errors
    /// A file is missing, cannot be read, is damaged or readable by others, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path, now: Timestamp) -> Result<Self, CaError> {
        let damaged = |reason: String| CaError::Damaged { path: certificate.to_owned(), reason };
        let issued = certificate.with_file_name(ISSUED);
        let has_issued = exists(&issued)?.into();
        let pem = std::fs::read(certificate).map_err(|source| CaError::File {
            operation: "read",
            path: certificate.to_owned(),
            source,
        })?;
        // Checked apart, because a lost key needs other advice than a file that cannot be read.
        if !exists(key)? {
            return Err(CaError::KeyMissing { certificate: certificate.to_owned(), key: key.to_owned() });
        }
        if pem.is_empty() {
            return Err(damaged(EMPTY.to_owned()));
        }
        let der = CertificateDer::from_pem_slice(&pem).map_err(|error| damaged(error.to_string()))?;
        let facts = CertificateFacts::read(&der).map_err(|error| damaged(error.to_string()))?;
        let pair = read_key(key)?;
        // Signatures of another key would look fine here, and every peer would refuse them.
        if pair.der_bytes() != facts.public_key {
            return Err(CaError::KeyOfAnother { certificate: certificate.to_owned(), key: key.to_owned() });
        }
        if now < facts.not_before || facts.is_expired(now) {
            return Err(CaError::NotValidNow {
                path: certificate.to_owned(),
                from: facts.not_before,
                until: facts.expires_at,
                now,
            });
        }
        let pin = ca_pin(&der).map_err(|error| damaged(error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&der, pair).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { certificate: der, issuer, pin, issued, has_issued, recording: Mutex::new(()) })
    }

    /// The CA certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The pin that enrollment tokens carry.
    #[must_use]
    pub const fn pin(&self) -> CaPin {
        self.pin
    }

    /// When it ends.
    ///
    /// # Errors
    /// Never: it was read before.
    pub fn facts(&self) -> Result<CertificateFacts, SignError> {
        CertificateFacts::read(&self.certificate)
    }

    pub(super) fn sign(
        &self,
        params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<CertificateDer<'static>, rcgen::Error> {
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }
}

impl CertificateAuthority for Authority {
    fn sign_host(&self, csr_der: &[u8], host: HostId, site: &SiteId, now: Timestamp) -> Result<Signed, SignError> {
        let key = inspect_request(csr_der)?;
        let sign = |source| SignError::Sign { host, source };
        // The request is checked above; rcgen reads it again only for its public key.
        let request = rcgen::CertificateSigningRequestParams::from_der(&csr_der.into()).map_err(sign)?;
        let expires_at = whole_second(now.plus(HOST_LIFETIME));
        // Names and extensions of the request are ignored: the collector alone decides what a host's certificate says.
        let mut params = leaf_params(&host.to_string(), now, expires_at).map_err(sign)?;
        // A host that a restore has lost is admitted again to the site of its certificate.
        params.distinguished_name.push(DnType::OrganizationalUnitName, site.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate_der = self.sign(params, &request.public_key).map_err(sign)?.to_vec();
        // On the disk before the certificate leaves this process, so that a crash cannot undo it.
        self.record_issue(now).map_err(|source| SignError::Record { path: self.issued.clone(), source })?;
        Ok(Signed { certificate_der, expires_at, key })
    }

    fn trust(&self) -> (u64, Vec<Vec<u8>>) {
        // The CA is never rewritten, so the bundle has one version only.
        (1, vec![self.certificate.to_vec()])
    }
}

/// What every certificate below the CA has; its extended usage is for the caller to say.
pub(super) fn leaf_params(name: &str, now: Timestamp, until: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.serial_number = Some(random_serial()?);
    params.not_before = date(now.minus(BACKDATE));
    params.not_after = date(until);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn self_sign(pair: &KeyPair, now: Timestamp) -> Result<String, CaError> {
    let sign = |source| CaError::Sign { operation: "sign the CA certificate", source };
    let mut params = leaf_params("Muster collector CA", now, now.plus(CA_LIFETIME)).map_err(sign)?;
    // Path length 0: no certificate below this CA can sign others.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // RFC 5280 lets a self-signed certificate omit it: the issuer's key is its own.
    params.use_authority_key_identifier_extension = false;
    Ok(params.self_signed(pair).map_err(sign)?.pem())
}

/// Whether the file exists. A file that cannot be examined is an error and not a missing file: the CA would be replaced.
fn exists(path: &Path) -> Result<bool, CaError> {
    path.try_exists().map_err(|source| CaError::File { operation: "read", path: path.to_owned(), source })
}

fn create_key(path: &Path) -> Result<KeyPair, CaError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|source| CaError::Sign { operation: "generate the CA key", source })?;
    write_atomically(path, pair.serialize_pem().as_bytes(), OWNER_ONLY).map_err(|source| CaError::File {
        operation: "write",
        path: path.to_owned(),
        source,
    })?;
    Ok(pair)
}

fn read_key(path: &Path) -> Result<KeyPair, CaError> {
    let file = |source| CaError::File { operation: "read", path: path.to_owned(), source };
    let bits = open_to_others(path).map_err(file)?;
    if bits != 0 {
        return Err(CaError::Exposed { path: path.to_owned(), bits });
    }
    let pem = std::fs::read_to_string(path).map_err(file)?;
    if pem.is_empty() {
        return Err(CaError::Damaged { path: path.to_owned(), reason: EMPTY.to_owned() });
    }
    // The text of a key must never reach a message: only the kind of the error may.
    KeyPair::from_pem(&pem).map_err(|error| CaError::Damaged { path: path.to_owned(), reason: error.to_string() })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

fn random_serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    // Positive and of full length, as RFC 5280 wants it.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn date(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.millis().div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// X.509 knows seconds only: what is reported is what is signed.
const fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(1000) * 1000)
}
