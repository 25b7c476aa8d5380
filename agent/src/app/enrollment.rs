//! Enrollment: by the verb `enroll`, or automatically with the token that an installer left in the state directory, or with
//! the token file in the settings.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use muster_proto::model::{EnrollmentToken, HostFacts, Pace, RefusalClass, Timestamp, TokenError};

use super::state_files;
use crate::config::Settings;
use crate::deadline::{self, StuckWork, Unfinished};
use crate::identity::{self, Identity, IdentityError, IdentityStore};
use crate::os;
use crate::os::access::{self, AccessError};
use crate::scan::{self, ScanOptions};
use crate::sources::root::{Root, RootError};
use crate::telemetry;
use crate::uplink::{self, ConnectError, Target, UplinkError};

/// Why an enrollment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The token file cannot be read.
    #[error("cannot read the enrollment token from {path}")]
    File {
        /// The path, or `-` for standard input.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file does not contain a valid token.
    #[error("{path} does not contain a valid enrollment token")]
    Token {
        /// The path.
        path: PathBuf,
        /// What is wrong with the token.
        #[source]
        source: TokenError,
    },
    /// Neither the settings nor an earlier enrollment name a collector.
    #[error("no collector is configured")]
    NoCollector,
    /// The state directory cannot be created.
    #[error("cannot create the state directory {path}")]
    StateDir {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others can read or change the token or the state directory.
    #[error("the agent's files are not safe")]
    Access(#[from] AccessError),
    /// The identity cannot be used.
    #[error("cannot use this host's identity")]
    Identity(#[from] IdentityError),
    /// The running system, or the directory of another machine's files, cannot be opened.
    #[error("cannot read the facts of the machine")]
    Root(#[from] RootError),
    /// The machine id or the facts could not be read in time.
    #[error("cannot read the machine id")]
    Machine(#[source] Unfinished),
    /// The collector refused: usually the token is used up, revoked, expired or unknown.
    #[error("the collector refused the enrollment: {message}")]
    Refused {
        /// The class of the refusal.
        class: RefusalClass,
        /// The collector's reason.
        message: String,
        /// When the collector allows the next attempt.
        pace: Pace,
    },
    /// The collector could not be reached, or did not answer as one.
    #[error("the enrollment request failed")]
    Uplink(#[source] UplinkError),
}

impl EnrollError {
    /// When the collector allows the next attempt, if it asked to wait.
    #[must_use]
    pub const fn wait(&self) -> Option<Pace> {
        match self {
            Self::Refused { class: RefusalClass::Later, pace, .. } => Some(*pace),
            Self::Refused { .. }
            | Self::Token { .. }
            | Self::File { .. }
            | Self::NoCollector
            | Self::StateDir { .. }
            | Self::Identity(_)
            | Self::Root(_)
            | Self::Machine(_)
            | Self::Access(_)
            | Self::Uplink(_) => None,
        }
    }

    /// What to do about it, if a person can do something.
    #[must_use]
    pub fn advice(&self) -> Option<Cow<'static, str>> {
        let fixed = match self {
            Self::Access(error) => return error.advice().map(Cow::Owned),
            Self::Token { .. } => Some("copy the whole line that `muster tokens create` printed"),
            Self::Refused { class: RefusalClass::Later, .. } => {
                Some("try again then; the service does so by itself if its configuration names the token file")
            }
            Self::Refused { class, .. } => UplinkError::refusal_advice(*class),
            Self::Uplink(error) => error.advice(),
            Self::NoCollector => Some("use --collector URL, or set `collector` in the configuration file"),
            Self::File { .. } | Self::StateDir { .. } | Self::Identity(_) | Self::Root(_) => None,
            Self::Machine(_) => Some("check the disk that does not answer, then enroll again"),
        };
        fixed.map(Cow::Borrowed)
    }
}

impl From<UplinkError> for EnrollError {
    fn from(error: UplinkError) -> Self {
        if let UplinkError::Refused { class, message, pace, .. } = error {
            Self::Refused { class, message, pace }
        } else {
            Self::Uplink(error)
        }
    }
}

impl From<ConnectError> for EnrollError {
    fn from(error: ConnectError) -> Self {
        Self::Uplink(error.into())
    }
}

/// The file with the token of a machine that enrolls by itself: the one that `service configure` left, or else the one in the
/// settings. `None` if there is neither.
#[must_use]
pub fn token_file(settings: &Settings) -> Option<PathBuf> {
    let own = state_files::own_token_file(&settings.state_dir);
    if own.exists() { Some(own) } else { settings.token_file.clone() }
}

/// Reads a token from a file, or from standard input if the path is `-`.
///
/// # Errors
/// The file cannot be read, others can change it, or it contains no valid token. The error never repeats the content.
pub fn read_token(path: &Path) -> Result<EnrollmentToken, EnrollError> {
    let failed = |source| EnrollError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // A wrong path may name a huge file or a device without an end.
    let limit = muster_proto::limits::TOKEN_BYTES as u64 * 2;
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = path.to_owned();
        let read = move || -> io::Result<(Vec<u8>, Result<(), AccessError>)> {
            deadline::reading(&file.to_string_lossy());
            let mut bytes = Vec::new();
            let access = access::check_token(&file);
            std::fs::File::open(&file)?.take(limit).read_to_end(&mut bytes)?;
            Ok((bytes, access))
        };
        // A pipe without a writer never answers, nor does a dead disk.
        let read = deadline::run("token", deadline::OWN_FILES, &STUCK, read);
        let access;
        (bytes, access) = read.map_err(io::Error::from).and_then(|read| read).map_err(failed)?;
        access?;
    }
    let text = String::from_utf8_lossy(&bytes);
    text.parse().map_err(|source| EnrollError::Token { path: path.to_owned(), source })
}

/// Enrolls a host and saves its identity in the state directory. A repeated attempt uses the same key, and is the same host
/// to the collector. The facts that the collector gets, and the fingerprint by which it recognises a machine that enrolls
/// again, are those of `root`: the running system, or the machine whose files are below a directory.
///
/// # Errors
/// The collector cannot be reached or refuses, or the identity cannot be saved.
pub async fn enroll(
    settings: &Settings,
    token: &EnrollmentToken,
    root: Root,
    now: Timestamp,
) -> Result<Identity, EnrollError> {
    let store = IdentityStore::below(&settings.state_dir);
    let previous = store.load()?;
    let enrolled_with = previous.as_ref().map(|identity| identity.collector.clone());
    let collector = settings.collector.clone().or(enrolled_with).ok_or(EnrollError::NoCollector)?;
    let target = Target::parse(&collector)?.through(settings.proxy.as_ref());
    let state_dir = &settings.state_dir;
    os::make_private_dir(state_dir).map_err(|source| EnrollError::StateDir { path: state_dir.clone(), source })?;
    state_files::check_access(state_dir)?;
    let number = match &previous {
        None => 1,
        // A revoked key stays revoked, and another collector gets another key.
        Some(identity) if identity.refused == Some(RefusalClass::Revoked) || identity.collector != collector => {
            identity.key + 1
        }
        // With the same key, a repeated enrollment is the same host to the collector.
        Some(identity) => identity.key,
    };
    let key = store.key(number)?;
    let (facts, fingerprint) = about_machine(root, settings).await?;
    let identity = uplink::enroll(&target, token, &key, facts, fingerprint, now).await?;
    store.save(&identity)?;
    state_files::remove_own_token(state_dir);
    tracing::info!(target: telemetry::ANNOUNCED, host = %identity.host_id, site = %identity.site, collector, token.id = %token.id, "enrolled");
    if previous.is_some_and(|previous| previous.host_id != identity.host_id) {
        // The new host id has no history at the collector, so nothing counts as acknowledged.
        state_files::remove_acknowledged(state_dir);
    }
    Ok(identity)
}

/// Facts and fingerprint of the machine. Without its fingerprint a machine that enrolls again would be another host, so a
/// machine id that cannot be read in time is an error.
async fn about_machine(root: Root, settings: &Settings) -> Result<(HostFacts, Option<[u8; 32]>), EnrollError> {
    let (limit, identity) = (settings.scan_time_limit, settings.identity);
    let options = ScanOptions { time_limit: limit, identity, ..ScanOptions::default() };
    let read = move || {
        let id = deadline::run("machine-id", limit, &STUCK, move || (fingerprint(&root), root));
        id.map(|(fingerprint, root)| (scan::read_facts(root, &options), fingerprint))
    };
    // Twice the limit and more: first the machine id, then the facts.
    let read = deadline::run_async("enrollment", limit * 3, &STUCK, read).await;
    read.and_then(|read| read).map_err(EnrollError::Machine)
}

/// Reads of an earlier attempt that hang. A service with a token tries again and again.
static STUCK: LazyLock<StuckWork> = LazyLock::new(StuckWork::default);

/// The fingerprint of the machine whose files are read. Without it, the collector would take every image that this machine
/// enrolls for this machine itself.
fn fingerprint(root: &Root) -> Option<[u8; 32]> {
    if root.is_running_system() {
        return identity::fingerprint();
    }
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    files.iter().find_map(|path| os::machine_fingerprint(&root.read_text(path).ok()?))
}
