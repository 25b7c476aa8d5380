//! Enrollment, by hand or by a token file that the settings name.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use muster_proto::model::{EnrollmentToken, RefusalClass, TokenError};

use super::{now, state_files};
use crate::config::Settings;
use crate::identity::{self, Identity, IdentityError, IdentityStore};
use crate::os;
use crate::scan::ScanOptions;
use crate::sources::root::{Root, RootError};
use crate::sources::{self, ScanContext};
use crate::uplink::{self, ConnectError, Target, UplinkError};

/// Why an enrollment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The token cannot be read.
    #[error("cannot read the token from {path}")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is there is no token.
    #[error("{path} has no enrollment token")]
    Token {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TokenError,
    },
    /// No address of a collector is known.
    #[error("no collector is set")]
    NoCollector,
    /// The state directory cannot be used.
    #[error("cannot make the state directory {path}")]
    StateDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The identity cannot be used.
    #[error("the identity cannot be used")]
    Identity(#[from] IdentityError),
    /// The machine cannot say what it is.
    #[error("this machine cannot be described")]
    Root(#[from] RootError),
    /// The collector was not reached, or refused.
    #[error("the collector did not enroll this host")]
    Uplink(#[from] UplinkError),
}

impl From<ConnectError> for EnrollError {
    fn from(error: ConnectError) -> Self {
        Self::Uplink(error.into())
    }
}

/// Reads a token from a file, or from standard input for `-`.
///
/// # Errors
/// The file cannot be read or has no token. What it has is not repeated.
pub fn read_token(path: &Path) -> Result<EnrollmentToken, EnrollError> {
    let failed = |source| EnrollError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limit = muster_proto::limits::TOKEN_BYTES as u64 * 2;
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    }
    let text = String::from_utf8_lossy(&bytes);
    text.parse().map_err(|source| EnrollError::Token { path: path.to_owned(), source })
}

/// Enrolls this host and keeps its identity. A repeated attempt uses the same key, and is the same host.
///
/// # Errors
/// The collector cannot be reached or refuses, or the identity cannot be kept.
pub async fn enroll(settings: &Settings, token: &EnrollmentToken) -> Result<Identity, EnrollError> {
    let store = IdentityStore::below(&settings.state_dir);
    let known = store.load()?;
    let of_before = known.as_ref().map(|identity| identity.collector.clone());
    let collector = settings.collector.clone().or(of_before).ok_or(EnrollError::NoCollector)?;
    let target = Target::parse(&collector)?.through(settings.proxy.as_ref());
    let state_dir = &settings.state_dir;
    os::make_private_dir(state_dir).map_err(|source| EnrollError::StateDir { path: state_dir.clone(), source })?;
    let number = match &known {
        None => 1,
        // A withdrawn key stays withdrawn, and another collector gets another key.
        Some(identity) if identity.refused == Some(RefusalClass::Revoked) || identity.collector != collector => {
            identity.key + 1
        }
        Some(identity) => identity.key,
    };
    let key = store.key(number)?;
    let context = ScanContext::new(Root::running_system()?, ScanOptions::default().watchlist);
    let facts = sources::facts(&context);
    let identity = uplink::enroll(&target, token, &key, facts, identity::fingerprint(), now()).await?;
    store.save(&identity)?;
    tracing::info!(host = %identity.host_id, site = %identity.site, collector, token.id = %token.id, "this host is enrolled");
    if known.is_some_and(|known| known.host_id != identity.host_id) {
        // What another host's collector has acknowledged says nothing about this one.
        state_files::forget_acknowledged(state_dir);
    }
    Ok(identity)
}
