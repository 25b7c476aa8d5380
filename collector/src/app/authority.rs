//! Whether the CA and the store belong together. A CA is never replaced silently, because every agent would be locked
//! out; nor is a store that has hosts of the CA.
//!
//! ```text
//!  CA files      store                                  result
//!  there         has the same pin                       start
//!  there         has another pin                        refused: ForeignAuthority
//!  there         missing, empty or unused               start, unless the CA has signed for hosts: refused: StoreLost
//!  missing       has a pin or hosts                     refused: CaLost
//!  missing       missing, empty or unused               start with a new CA, unless `ca.issued` exists: refused: CaLost
//! ```

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use muster_proto::model::Timestamp;

use crate::config::Settings;
use crate::store::{self, SiteScope, Store};
use crate::tls::{Authority, CaError, how_to_restore};

/// The store has hosts of a CA, or the CA has signed for hosts, and the CA's files are missing.
#[derive(Debug, thiserror::Error)]
#[error("the CA is lost: {} is missing, and {evidence}", .directory.join("ca.pem").display())]
pub(super) struct CaLost {
    directory: PathBuf,
    evidence: String,
    is_shared: bool,
}

impl CaLost {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        how_to_restore_authority(&self.directory, self.is_shared)
    }
}

/// The store belongs to collectors with another CA.
#[derive(Debug, thiserror::Error)]
#[error("the store {store} belongs to the CA with pin {theirs}; {} has the CA with pin {ours}", .directory.display())]
pub(super) struct ForeignAuthority {
    store: String,
    theirs: String,
    ours: String,
    directory: PathBuf,
    is_shared: bool,
}

impl ForeignAuthority {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        how_to_restore_authority(&self.directory, self.is_shared)
    }
}

fn how_to_restore_authority(directory: &std::path::Path, is_shared: bool) -> String {
    let shared = "; another collector on this database has the same two files in its data directory";
    format!("{}{}", how_to_restore(directory), if is_shared { shared } else { "" })
}

/// The CA has signed for hosts, and the store that knew them is missing or empty.
#[derive(Debug, thiserror::Error)]
#[error("the store is lost: {store} {how}, and the CA in {} has signed certificates of hosts", .directory.display())]
pub(super) struct StoreLost {
    store: String,
    /// What is wrong with it: `is missing`, `is an empty file` or `has never been used`.
    how: &'static str,
    directory: PathBuf,
}

impl StoreLost {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        format!(
            "restore the backup into an empty directory with `muster-collector restore DIR`; to give up all hosts, history \
             and tokens and begin with an empty store, run `muster-collector serve --new-store --data-dir {}`: every agent \
             must then enroll again",
            self.directory.display()
        )
    }
}

/// A store and the CA that belongs to it.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) authority: Authority,
    pub(super) created_authority: bool,
    pub(super) created_store: bool,
}

/// What is known about an embedded store's file before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreFile {
    /// The store is a database server.
    None,
    Missing,
    Empty,
    HasContent,
}

impl StoreFile {
    /// # Errors
    /// The file cannot be examined. The text names it.
    pub(super) fn of(settings: &Settings) -> Result<Self, String> {
        let Some(path) = settings.store.file() else { return Ok(Self::None) };
        match std::fs::metadata(path) {
            Ok(found) if found.len() == 0 => Ok(Self::Empty),
            Ok(_) => Ok(Self::HasContent),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::Missing),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// What is wrong with a store that should have content.
    const fn fault(self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("is missing"),
            Self::Empty => Some("is an empty file"),
            Self::None | Self::HasContent => None,
        }
    }
}

/// The store is lost if its file has no content and the CA has signed for hosts. Reads only.
pub(super) fn store_lost(settings: &Settings, file: StoreFile) -> Result<Option<StoreLost>, CaError> {
    match file.fault() {
        Some(how) if Authority::has_issued_in(&settings.data_dir)? => Ok(Some(lost(settings, how))),
        _ => Ok(None),
    }
}

/// The refusal of a store that should have content.
pub(super) fn lost(settings: &Settings, how: &'static str) -> StoreLost {
    StoreLost { store: store::place(settings.store.url()), how, directory: settings.data_dir.clone() }
}

/// The CA of this directory does not fit to what the store says: its pin and its number of hosts. Reads only.
pub(super) fn mismatch(
    settings: &Settings,
    ours: Option<&Authority>,
    theirs: Option<String>,
    hosts: u64,
) -> anyhow::Result<()> {
    let (directory, store) = (settings.data_dir.clone(), store::place(settings.store.url()));
    let is_shared = settings.store.file().is_none();
    let evidence = match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            let ours = ours.pin().to_string();
            anyhow::ensure!(ours == theirs, ForeignAuthority { store, theirs, ours, directory, is_shared });
            return Ok(());
        }
        // The store of an interrupted first start has no pin yet.
        (Some(_), None) => return Ok(()),
        (None, Some(pin)) => {
            format!("the store {store} belongs to the CA with pin {pin}; number of hosts in it: {hosts}")
        }
        (None, None) if hosts > 0 => format!("number of hosts in the store {store}: {hosts}"),
        (None, None) if Authority::has_issued_in(&directory)? => "it has signed certificates of hosts".to_owned(),
        (None, None) => return Ok(()),
    };
    Err(CaLost { directory, evidence, is_shared }.into())
}

/// Opens CA and store, and creates what a first start needs. With `new_store`, a lost store is replaced.
///
/// # Errors
/// [`CaLost`], [`ForeignAuthority`], [`StoreLost`]; the CA or the store cannot be read. Nothing is created then, except
/// tables in a database server that had none.
pub(super) async fn open(settings: &Settings, now: Timestamp, new_store: bool) -> anyhow::Result<Opened> {
    let directory = &settings.data_dir;
    let found = Authority::open(directory, now)?;
    let file = StoreFile::of(settings).map_err(anyhow::Error::msg)?;
    // Before the store is opened, because that creates a file.
    if file.fault().is_some() {
        mismatch(settings, found.as_ref(), None, 0)?;
    }
    if let Some(lost) = store_lost(settings, file)?
        && !new_store
    {
        return Err(lost.into());
    }
    let store = store::connect(settings.store.url()).await?;
    match claim(settings, store.as_ref(), found, now, new_store).await {
        Ok((authority, created_authority)) => {
            Ok(Opened { store, authority, created_authority, created_store: file.fault().is_some() })
        }
        Err(refused) => {
            // The refusal is the error to report.
            let _ = store.close().await;
            Err(refused)
        }
    }
}

/// Whether the directory has a CA. It must be the one that the store is used with.
///
/// # Errors
/// [`CaLost`], [`ForeignAuthority`]; the CA or the store cannot be read.
pub(super) async fn verify(settings: &Settings, store: &dyn Store, now: Timestamp) -> anyhow::Result<bool> {
    let found = Authority::open(&settings.data_dir, now)?;
    mismatch(settings, found.as_ref(), store.authority_get().await?, store.host_count(&SiteScope::All).await?)?;
    Ok(found.is_some())
}

async fn claim(
    settings: &Settings,
    store: &dyn Store,
    found: Option<Authority>,
    now: Timestamp,
    new_store: bool,
) -> anyhow::Result<(Authority, bool)> {
    let (pin, hosts) = (store.authority_get().await?, store.host_count(&SiteScope::All).await?);
    let is_unused = pin.is_none() && hosts == 0;
    mismatch(settings, found.as_ref(), pin, hosts)?;
    if let Some(ours) = &found
        && is_unused
        && ours.has_issued()
        && !new_store
    {
        return Err(lost(settings, "has never been used").into());
    }
    let created = found.is_none();
    let authority = found.map_or_else(|| Authority::create(&settings.data_dir, now), Ok)?;
    // Two first starts on one database may both get here. The store keeps one pin, and the other collector stops.
    let theirs = store.authority_claim(&authority.pin().to_string()).await?;
    mismatch(settings, Some(&authority), Some(theirs), hosts)?;
    Ok((authority, created))
}

#[cfg(test)]
mod tests;
