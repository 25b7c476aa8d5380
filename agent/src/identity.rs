//! The identity of this host on disk: key, certificate, host id, and the trusted CAs of its collector.
//!
//! Keys are generated here and never leave the host. `identity.json` refers to the key by number, so one atomic replacement
//! changes key and certificate together. A key that is not referred to yet is reused by the next attempt, which makes
//! enrollment and renewal idempotent. The previous key is kept until the new one has worked.

mod key_file;
mod user_key;

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use muster_proto::model::{HostId, RefusalClass, SiteId, Timestamp};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

use crate::memory::file;
use crate::os;
use key_file::{KeyFile, of_protected};

pub use user_key::{temporary_user_key, user_key, user_key_file};

const FORMAT: u32 = 1;

/// Why the identity cannot be read or saved.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is damaged.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A key was protected by another machine, or is damaged.
    #[error("this machine cannot read the key in {path}; it was protected on another one, or is damaged")]
    Protected {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A key cannot be generated or used.
    #[error("cannot use the key: {0}")]
    Key(String),
}

/// The result of a successful enrollment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The host id.
    pub host_id: HostId,
    /// The site, from the token.
    pub site: SiteId,
    /// The URL of the collector that enrolled the host.
    pub collector: String,
    /// The number of the key.
    pub key: u64,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
    /// When the certificate was issued, by this machine's clock.
    pub issued: Timestamp,
    /// When the certificate expires.
    pub expires: Timestamp,
    /// The trusted CAs.
    pub trust: Trust,
    /// Set when the collector has refused this identity permanently.
    pub refused: Option<RefusalClass>,
    /// Key number and certificate before the last renewal, until the new ones have worked.
    pub previous: Option<(u64, Vec<u8>)>,
}

/// The trust bundle: the CA certificates that may issue collectors' certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// The version; it grows with every change.
    pub version: u64,
    /// The certificates in DER.
    pub certificates: Vec<Vec<u8>>,
}

/// A private key of this host.
pub struct Key {
    number: u64,
    pair: KeyPair,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The private key must not get into a log.
        write!(f, "Key({})", self.number)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Stored {
    format: u32,
    host_id: String,
    site: String,
    collector: String,
    key: u64,
    certificate: String,
    issued: Timestamp,
    expires: Timestamp,
    trust_version: u64,
    trust: Vec<String>,
    #[serde(default)]
    refused: Option<RefusalClass>,
    #[serde(default)]
    previous: Option<(u64, String)>,
}

/// The directory of the identity.
#[derive(Debug, Clone)]
pub struct IdentityStore {
    dir: PathBuf,
}

impl IdentityStore {
    /// The store below a state directory. Nothing is read or created yet.
    #[must_use]
    pub fn below(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("identity") }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("identity.json")
    }

    /// Loads the identity; `None` before enrollment.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn load(&self) -> Result<Option<Identity>, IdentityError> {
        let path = self.file();
        let bytes = match file::read(&path, file::IDENTITY) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::Read { path, source }),
        };
        decode(&bytes).map(Some).map_err(|what| IdentityError::Damaged { path, what })
    }

    /// Saves the identity atomically.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, identity: &Identity) -> Result<(), IdentityError> {
        let path = self.file();
        let bytes = encode(identity).map_err(|what| IdentityError::Damaged { path: path.clone(), what })?;
        os::make_private_dir(&self.dir)
            .and_then(|()| os::write_private(&path, &bytes))
            .map_err(|source| IdentityError::Write { path, source })
    }

    /// The key of this number; generated if it does not exist.
    ///
    /// # Errors
    /// It cannot be read, generated or saved.
    pub fn key(&self, number: u64) -> Result<Key, IdentityError> {
        let path = self.key_file(number);
        match file::read(&path, file::IDENTITY) {
            Ok(bytes) => {
                let der = rustls::pki_types::PrivatePkcs8KeyDer::from(unprotected(&path, bytes)?);
                let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
                    .map_err(|error| IdentityError::Damaged { path, what: error.to_string() })?;
                Ok(Key { number, pair })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The key is saved before anybody uses it: a key that was certified but not saved would be lost with
                // the process.
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(key_error)?;
                let bytes = os::protect(pair.serialized_der()).map(|done| done.map(|key| of_protected(&key)));
                let bytes = bytes.unwrap_or_else(|| Ok(pair.serialized_der().to_vec()));
                os::make_private_dir(&self.dir)
                    .and_then(|()| os::write_private(&path, &bytes?))
                    .map_err(|source| IdentityError::Write { path, source })?;
                Ok(Key { number, pair })
            }
            Err(source) => Err(IdentityError::Read { path, source }),
        }
    }

    /// Removes the key and certificate before the last renewal, after the new ones have worked.
    ///
    /// # Errors
    /// The files cannot be changed.
    pub fn drop_previous(&self, identity: &mut Identity) -> Result<(), IdentityError> {
        let Some((number, _)) = identity.previous.take() else { return Ok(()) };
        // The identity first: a kill in between then leaves an unused key, not an identity without its key.
        self.save(identity)?;
        let path = self.key_file(number);
        match os::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(IdentityError::Write { path, source }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn key_file(&self, number: u64) -> PathBuf {
        self.dir.join(format!("key-{number}.der"))
    }
}

impl Identity {
    /// Restores the key and certificate before the last renewal. Returns `false` when there are none.
    pub fn revert_renewal(&mut self) -> bool {
        let Some((key, certificate)) = self.previous.take() else { return false };
        self.key = key;
        self.certificate = certificate;
        true
    }
}

impl Key {
    /// The number of the key.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// A certificate request for this key in DER. Its subject is irrelevant: the collector assigns the host id.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(key_error)?;
        // The default of rcgen is a name that says "self signed".
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "muster-agent");
        Ok(params.serialize_request(&self.pair).map_err(key_error)?.der().to_vec())
    }

    /// The private key in PKCS#8, for the TLS handshake.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        self.pair.serialized_der()
    }

    /// The public key (SubjectPublicKeyInfo in DER).
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        use rcgen::PublicKeyData;
        self.pair.subject_public_key_info()
    }

    /// An ECDSA P-256/SHA-256 signature in ASN.1.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.pkcs8(), &random)
            .map_err(|error| IdentityError::Key(error.to_string()))?;
        let signature = pair.sign(&random, message).map_err(|error| IdentityError::Key(error.to_string()))?;
        Ok(signature.as_ref().to_vec())
    }
}

/// The key in a file. One of an earlier version, which is not protected although this machine can, is written again.
fn unprotected(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, IdentityError> {
    match KeyFile::parse(&bytes) {
        KeyFile::Protected(protected) => {
            os::unprotect(protected).map_err(|source| IdentityError::Protected { path: path.to_owned(), source })
        }
        KeyFile::Plain(key) => {
            let written = os::protect(key)
                .map(|protected| protected.and_then(|key| os::write_private(path, &of_protected(&key))));
            match written {
                None => {}
                Some(Ok(())) => tracing::info!(path = %path.display(), "the key is now protected by this machine"),
                // The key works all the same, and the next start tries again.
                Some(Err(error)) => {
                    tracing::warn!(path = %path.display(), error = %error, "cannot protect the key yet")
                }
            }
            Ok(bytes)
        }
    }
}

/// A fingerprint by which the collector recognises a machine that enrolls again: a hash that does not reveal the machine id.
/// `None` if the machine id is unknown.
#[must_use]
pub fn fingerprint() -> Option<[u8; 32]> {
    os::machine_fingerprint(&os::machine_id()?)
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn key_error(error: rcgen::Error) -> IdentityError {
    IdentityError::Key(error.to_string())
}

fn encode(identity: &Identity) -> Result<Vec<u8>, String> {
    let stored = Stored {
        format: FORMAT,
        host_id: identity.host_id.to_string(),
        site: identity.site.to_string(),
        collector: identity.collector.clone(),
        key: identity.key,
        certificate: BASE64.encode(&identity.certificate),
        issued: identity.issued,
        expires: identity.expires,
        trust_version: identity.trust.version,
        trust: identity.trust.certificates.iter().map(|certificate| BASE64.encode(certificate)).collect(),
        refused: identity.refused,
        previous: identity.previous.as_ref().map(|(key, certificate)| (*key, BASE64.encode(certificate))),
    };
    serde_json::to_vec_pretty(&stored).map_err(|error| error.to_string())
}

fn decode(bytes: &[u8]) -> Result<Identity, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if stored.format != FORMAT {
        return Err(format!("unsupported format {}; this agent supports {FORMAT}", stored.format));
    }
    let binary = |text: &String| BASE64.decode(text.as_bytes()).map_err(|error| error.to_string());
    let previous = stored.previous.map(|(key, certificate)| Ok::<_, String>((key, binary(&certificate)?)));
    Ok(Identity {
        host_id: stored.host_id.parse().map_err(|error| format!("{error}"))?,
        site: SiteId::new(stored.site).map_err(|error| error.to_string())?,
        collector: stored.collector,
        key: stored.key,
        certificate: binary(&stored.certificate)?,
        issued: stored.issued,
        expires: stored.expires,
        trust: Trust {
            version: stored.trust_version,
            certificates: stored.trust.iter().map(binary).collect::<Result<_, _>>()?,
        },
        refused: stored.refused,
        previous: previous.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    use super::*;

    fn identity() -> Identity {
        Identity {
            host_id: HostId::from_bytes([7; 16]),
            site: SiteId::new("main").expect("valid"),
            collector: "https://localhost:7443".to_owned(),
            key: 2,
            certificate: vec![1, 2, 3],
            issued: Timestamp::from_millis(1_000),
            expires: Timestamp::from_millis(9_000),
            trust: Trust { version: 4, certificates: vec![vec![9], vec![8]] },
            refused: Some(RefusalClass::Revoked),
            previous: Some((1, vec![5])),
        }
    }

    #[test]
    fn an_identity_is_loaded_as_it_was_saved() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = IdentityStore::below(dir.path());
        assert_eq!(store.load().expect("readable"), None);
        store.save(&identity()).expect("saved");
        assert_eq!(store.load().expect("readable"), Some(identity()));
    }

    #[test]
    fn a_key_of_an_earlier_version_is_read_and_protected_where_the_machine_can() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = IdentityStore::below(dir.path());
        let key = store.key(1).expect("made");
        let protects = os::protect(b"x").is_some();
        let is_plain = |bytes: &[u8]| matches!(KeyFile::parse(bytes), KeyFile::Plain(_));
        assert_ne!(is_plain(&std::fs::read(store.key_file(1)).expect("read")), protects);
        std::fs::write(store.key_file(1), key.pkcs8()).expect("written");
        assert_eq!(store.key(1).expect("read").pkcs8(), key.pkcs8());
        assert_ne!(is_plain(&std::fs::read(store.key_file(1)).expect("read")), protects, "it is written again");
        assert_eq!(store.key(1).expect("read again").pkcs8(), key.pkcs8());
        std::fs::write(store.key_file(1), of_protected(b"of another machine")).expect("written");
        let error = store.key(1).expect_err("not of this machine");
        assert!(matches!(error, IdentityError::Protected { .. }), "{error}");
    }

    #[test]
    fn a_damaged_identity_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = IdentityStore::below(dir.path());
        store.save(&identity()).expect("saved");
        let whole = std::fs::read(store.file()).expect("read");
        for bytes in [&b""[..], &whole[..whole.len() / 2]] {
            std::fs::write(store.file(), bytes).expect("written");
            let error = store.load().expect_err("damaged").to_string();
            assert!(error.contains("identity.json is damaged"), "{error}");
        }
    }

    #[test]
    fn a_key_is_stable_and_signs() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = IdentityStore::below(dir.path());
        let one = store.key(1).expect("made");
        let again = store.key(1).expect("read");
        assert_eq!(one.public(), again.public());
        assert_ne!(one.public(), store.key(2).expect("made").public());
        let signature = again.sign(b"message").expect("signed");
        let public = &one.public()[one.public().len() - 65..];
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public).verify(b"message", &signature).expect("verified");
        assert!(!one.request().expect("a request").is_empty());
    }

    #[test]
    fn the_previous_key_is_removed_only_on_request() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = IdentityStore::below(dir.path());
        let (old, _new) = (store.key(1).expect("made"), store.key(2).expect("made"));
        let mut identity = identity();
        let mut back = identity.clone();
        assert!(back.revert_renewal());
        assert_eq!((back.key, back.certificate.as_slice()), (1, &[5][..]));
        assert_eq!(store.key(1).expect("still there").public(), old.public());
        store.drop_previous(&mut identity).expect("forgotten");
        assert!(!store.key_file(1).exists() && store.key_file(2).exists());
        assert_eq!(store.load().expect("readable").expect("there").previous, None);
    }
}
