//! The key that signs attestations, in the data directory, and whether it belongs to the store. All collectors on one
//! store share it as they share the CA: the store has its public half and refuses another.
//!
//! ```text
//!  seal.key      store                    result
//!  there         has the same key         start
//!  there         has another key          refused: ForeignSealKey
//!  there         has none                 start; the store keeps its public half
//!  missing       has a key                refused: SealKeyLost
//!  missing       has none                 start with a new key
//! ```
//!
//! `seal.pub` has the public half and the origin. It is made again if it is lost.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use muster_proto::model::Timestamp;

use super::present::is_present;
use super::system_user;
use crate::actions;
use crate::attestation::{NotASealKey, NotAVerifierKey, Origin, OriginError, SealKey, VerifierKey};
use crate::config::Settings;
use crate::store::{self, Store};
use crate::tls::disk::{OWNER_ONLY, PUBLIC, open_to_others, write_atomically};

/// The private half.
pub(super) const SEAL_KEY: &str = "seal.key";
/// The public half with its origin, for those who verify.
pub(super) const SEAL_PUB: &str = "seal.pub";

/// Why the seal key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    /// The store has the public half of a key, and the file is missing.
    #[error("the seal key is lost: {} is missing, and the store {store} belongs to the seal key {theirs}", .directory.join(SEAL_KEY).display())]
    Lost { directory: PathBuf, store: String, theirs: String },
    /// The store has the public half of another key.
    #[error("the store {store} belongs to the seal key {theirs}; {} has the seal key {ours}", .directory.display())]
    Foreign { directory: PathBuf, store: String, theirs: String, ours: String },
    /// The two files do not belong together.
    #[error("{} is not the public half of {}", .directory.join(SEAL_PUB).display(), .directory.join(SEAL_KEY).display())]
    Pair { directory: PathBuf },
    /// Other users can read the private half.
    #[error("other users can read {} (mode bits {bits:03o})", .file.display())]
    Exposed { file: PathBuf, bits: u32 },
    /// The private half is damaged.
    #[error("{} is damaged", .file.display())]
    Key {
        file: PathBuf,
        #[source]
        source: NotASealKey,
    },
    /// The public half is damaged.
    #[error("{} is damaged", .file.display())]
    Public {
        file: PathBuf,
        #[source]
        source: NotAVerifierKey,
    },
    /// Another origin was asked for than the key has.
    #[error(
        "the origin of the seal key is {ours} and cannot become {asked}: it is part of every verifier key that was handed out"
    )]
    Fixed { ours: String, asked: String },
    /// The name of this machine is no origin.
    #[error("the name of this machine cannot be the origin of the seal key")]
    Name(#[source] OriginError),
}

impl SealError {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Lost { directory, .. } | Self::Foreign { directory, .. } | Self::Pair { directory } => format!(
                "copy {SEAL_KEY} and {SEAL_PUB} to {} from another collector on this store, or from `collector` in a backup, with \
                 the collector's user as the owner and {SEAL_KEY} with mode 600",
                directory.display()
            ),
            Self::Exposed { file, .. } => {
                format!("run `chmod 600 {}`, and find out whether somebody has read it", file.display())
            }
            Self::Key { file, .. } | Self::Public { file, .. } => {
                format!("restore {} from `collector` in a backup", file.display())
            }
            Self::Fixed { .. } => "leave out --origin".to_owned(),
            Self::Name(_) => "name it with `muster-collector init --origin NAME`".to_owned(),
        }
    }
}

/// Opens the key of this directory and compares it with the store's; creates it if neither has one. Returns a note.
///
/// # Errors
/// A [`SealError`]; a file cannot be read or written; the store fails.
pub(super) async fn open(
    settings: &Settings,
    store: &dyn Store,
    asked: Option<&Origin>,
    now: Timestamp,
) -> anyhow::Result<(SealKey, String)> {
    let directory = &settings.data_dir;
    let file = directory.join(SEAL_KEY);
    let theirs = actions::seal_key_get(store).await?;
    let is_new = !is_present(&file)?;
    if is_new {
        if let Some(theirs) = theirs {
            let store = store::place(settings.store.url());
            return Err(SealError::Lost { directory: directory.clone(), store, theirs }.into());
        }
        // The origin is checked before the key is made.
        origin(None, asked)?;
        let pem =
            SealKey::generate().context("create the seal key: the operating system returned no random numbers")?;
        write_atomically(&file, pem.as_bytes(), OWNER_ONLY).with_context(|| format!("write {}", file.display()))?;
    }
    let theirs_read = theirs.as_deref().map(|text| text.parse::<VerifierKey>());
    let theirs_read = theirs_read.transpose().context("read the public half of the seal key in the store")?;
    let key = load(directory, theirs_read.as_ref(), asked)?;
    let ours = key.verifier().to_string();
    if let Some(asked) = asked.filter(|asked| *asked != key.verifier().origin()) {
        let (ours, asked) = (key.verifier().origin().to_string(), asked.to_string());
        return Err(SealError::Fixed { ours, asked }.into());
    }
    // Of two first starts on one database, the second gets the key of the first.
    let theirs = actions::seal_key_claim(store, &system_user::caller(), key.verifier(), now).await?;
    if theirs != ours {
        let store = store::place(settings.store.url());
        return Err(SealError::Foreign { directory: directory.clone(), store, theirs, ours }.into());
    }
    let public = directory.join(SEAL_PUB);
    if !is_present(&public)? {
        let text = format!("{ours}\n");
        write_atomically(&public, text.as_bytes(), PUBLIC).with_context(|| format!("write {}", public.display()))?;
    }
    let made = if is_new { "created" } else { "found" };
    Ok((key, format!("{made} seal key {}, verifier key {ours}", file.display())))
}

/// Compares the files of this directory with the public half that the store has; for a check, which changes nothing. `None`
/// if neither has a key.
///
/// # Errors
/// A [`SealError`]; a file cannot be read.
pub(super) fn verify(settings: &Settings, theirs: Option<&str>) -> anyhow::Result<Option<VerifierKey>> {
    let directory = settings.data_dir.clone();
    let store = store::place(settings.store.url());
    match (is_present(&directory.join(SEAL_KEY))?, theirs) {
        (false, None) => Ok(None),
        (false, Some(theirs)) => Err(SealError::Lost { directory, store, theirs: theirs.to_owned() }.into()),
        (true, _) => {
            let read = theirs.and_then(|text| text.parse::<VerifierKey>().ok());
            let ours = load(&directory, read.as_ref(), None)?.verifier().clone();
            match theirs.filter(|theirs| *theirs != ours.to_string()) {
                Some(theirs) => {
                    let (theirs, ours) = (theirs.to_owned(), ours.to_string());
                    Err(SealError::Foreign { directory, store, theirs, ours }.into())
                }
                None => Ok(Some(ours)),
            }
        }
    }
}

/// Reads the private half. Its origin is that of `seal.pub`; without this file that of the store, or of a first start.
fn load(directory: &Path, theirs: Option<&VerifierKey>, asked: Option<&Origin>) -> anyhow::Result<SealKey> {
    let (file, public) = (directory.join(SEAL_KEY), directory.join(SEAL_PUB));
    let bits = open_to_others(&file).with_context(|| format!("read {}", file.display()))?;
    if bits != 0 {
        return Err(SealError::Exposed { file, bits }.into());
    }
    let pem = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let stated = if is_present(&public)? {
        let text = std::fs::read_to_string(&public).with_context(|| format!("read {}", public.display()))?;
        Some(text.parse::<VerifierKey>().map_err(|source| SealError::Public { file: public, source })?)
    } else {
        None
    };
    let origin = match &stated {
        Some(stated) => stated.origin().clone(),
        None => origin(theirs, asked)?,
    };
    let key = SealKey::read(&pem, origin).map_err(|source| SealError::Key { file, source })?;
    if stated.is_some_and(|stated| stated != *key.verifier()) {
        return Err(SealError::Pair { directory: directory.to_owned() }.into());
    }
    Ok(key)
}

/// The origin of a key without `seal.pub`: that of the store, the one that is asked for, or the name of this machine.
fn origin(theirs: Option<&VerifierKey>, asked: Option<&Origin>) -> anyhow::Result<Origin> {
    match theirs.map(VerifierKey::origin).or(asked) {
        Some(origin) => Ok(origin.clone()),
        None => {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            Ok(Origin::new(name).map_err(SealError::Name)?)
        }
    }
}

#[cfg(test)]
mod tests;
