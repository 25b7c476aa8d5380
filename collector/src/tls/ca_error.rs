//! Why the CA or a certificate of the collector cannot be used, and what to do about it. Every error names the file.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use muster_proto::model::Timestamp;

/// Why the CA or the server certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file could not be read or written.
    #[error("cannot {operation} {path}")]
    File {
        /// What was tried: `read` or `write`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// The certificate exists, its key does not.
    #[error("the CA certificate {certificate} has no key: {key} is missing")]
    KeyMissing {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The key is of another certificate.
    #[error("the key {key} does not belong to the certificate {certificate}")]
    KeyOfAnother {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Other users can read the key.
    #[error("other users can read {path} (mode bits {bits:03o})")]
    Exposed {
        /// The key.
        path: PathBuf,
        /// The mode bits of group and others.
        bits: u32,
    },
    /// A file holds something else than it should.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The certificate has ended, or has not begun.
    #[error("the CA certificate {path} is valid from {from} until {until}; the time is {now}")]
    NotValidNow {
        /// The certificate.
        path: PathBuf,
        /// Its first moment.
        from: Timestamp,
        /// Its last moment.
        until: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// Something could not be signed or generated.
    #[error("{operation}")]
    Sign {
        /// What was tried.
        operation: &'static str,
        /// What went wrong.
        #[source]
        source: rcgen::Error,
    },
}

impl CaError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::File { path, source, .. } => file_advice(path, source),
            Self::KeyMissing { certificate, .. }
            | Self::KeyOfAnother { certificate, .. }
            | Self::Damaged { path: certificate, .. } => how_to_restore(certificate.parent().unwrap_or(certificate)),
            Self::Exposed { path, .. } => {
                format!("run `chmod 600 {}`, and find out whether somebody has read it", path.display())
            }
            Self::NotValidNow { .. } => "check the system clock".to_owned(),
            Self::Sign { .. } => "this is a bug; please report it".to_owned(),
        }
    }
}

/// How to get a CA back, with the directory in which its files belong.
#[must_use]
pub fn how_to_restore(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "copy ca.pem and ca.key together from `collector` in a backup to {directory}, with the collector's user as the owner and ca.key \
         with mode 600; or restore the whole backup into an empty directory with `muster-collector restore DIR`; with a \
         new CA every agent must enroll again"
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is non-exhaustive")]
fn file_advice(path: &Path, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            let me = rustix::process::geteuid().as_raw();
            // The owner can be asked for even if the file cannot be read, unless the directory cannot be entered.
            let owner = [path, path.parent().unwrap_or(path)].into_iter().find_map(|place| {
                let owner = std::fs::symlink_metadata(place).ok()?.uid();
                (owner != me).then(|| format!("{} belongs to user id {owner}; ", place.display()))
            });
            let place = path.display();
            format!(
                "{}this process runs as user id {me}: run it as the owner of the data directory, or run `chown {me} {place}` \
                 and `chmod u+rw {place}`",
                owner.unwrap_or_default()
            )
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, then start again".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "mount the data directory for writing".to_owned(),
        _ => format!(
            "check that {} is a file, or restore it: {}",
            path.display(),
            how_to_restore(path.parent().unwrap_or(path))
        ),
    }
}
