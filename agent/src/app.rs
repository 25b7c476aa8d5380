//! Wires the agent together: the only module that uses scan, spool and uplink together, and the only one that reads the
//! clock.
//!
//! [`Agent`] owns a state directory for one process. The verb `once` scans and delivers once; `run` repeats it on the
//! collector's schedule until the system stops the service.

mod agent;
mod enrollment;
mod own_files;
mod service;
mod state_files;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_proto::error_chain;
use muster_proto::model::Timestamp;
use muster_proto::terminal::Progress;

pub use agent::{Agent, DeliverySummary};
pub use enrollment::{EnrollError, enroll, read_token, token_file};
pub use own_files::{Changes, OwnFilesError, configure, purge};
pub use service::{Reload, run};
pub use state_files::{
    StateFileError, current_watchlist, is_running, last_acknowledged, last_watchlist, load_identity, spool_bounds,
    spool_dir, watch_summary,
};

use crate::config::Settings;
use crate::os::access::AccessError;
use crate::scan::{ScanMemory, ScanOptions};
use crate::sources::root::RootError;
use crate::uplink::{ConnectError, TlsError, UplinkError};
use crate::{identity, os, spool};

/// Why the agent cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The state directory or something in it cannot be used.
    #[error("cannot use the state directory")]
    StateFile(#[from] StateFileError),
    /// Others can read or change what belongs to the agent.
    #[error("the agent's files are not safe")]
    Access(#[from] AccessError),
    /// Another agent process uses the state directory.
    #[error("another agent is running in {0}")]
    Busy(String),
    /// The host has no identity, so it has no collector to report to.
    #[error("this host is not enrolled (no identity in {})", .0.display())]
    NotEnrolled(PathBuf),
    /// The root to scan cannot be opened.
    #[error("cannot open the system to scan")]
    Root(#[from] RootError),
    /// The identity cannot be used.
    #[error("cannot use this host's identity")]
    Identity(#[from] identity::IdentityError),
    /// The spool cannot be used.
    #[error("cannot use the spool")]
    Spool(#[from] spool::SpoolError),
    /// The collector could not be reached, or refused.
    #[error("cannot deliver the snapshot")]
    Uplink(#[from] UplinkError),
    /// The enrollment failed.
    #[error("cannot enroll this host")]
    Enroll(#[from] EnrollError),
    /// The thread that scans has panicked.
    #[error("the scan was aborted")]
    ScanAborted,
    /// Signal handlers cannot be installed.
    #[error("cannot listen for signals")]
    Signal(#[source] std::io::Error),
    /// The async runtime cannot be started.
    #[error("cannot start the async runtime")]
    Runtime(#[source] std::io::Error),
}

impl AppError {
    /// What to do about it, if a person can do something.
    #[must_use]
    pub fn advice(&self) -> Option<Cow<'static, str>> {
        let fixed = match self {
            Self::NotEnrolled(state_dir) => return Some(enroll_command(state_dir).into()),
            Self::Access(error) => return error.advice().map(Cow::Owned),
            Self::Busy(_) => Some("stop the service, or use another --state-dir"),
            Self::Uplink(error) => error.advice(),
            Self::Enroll(error) => return error.advice(),
            Self::StateFile(_)
            | Self::Root(_)
            | Self::Identity(_)
            | Self::Spool(_)
            | Self::ScanAborted
            | Self::Signal(_)
            | Self::Runtime(_) => None,
        };
        fixed.map(Cow::Borrowed)
    }
}

/// The advice to enroll. It repeats the state directory unless it is the default one, because the identity is saved there.
#[must_use]
pub fn enroll_command(state_dir: &Path) -> String {
    let flag = if state_dir == os::default_state_dir() {
        String::new()
    } else {
        format!(" --state-dir {}", state_dir.display())
    };
    format!("run `muster-agent enroll --collector URL --token-file FILE{flag}`")
}

impl From<TlsError> for AppError {
    fn from(error: TlsError) -> Self {
        Self::Uplink(error.into())
    }
}

impl From<ConnectError> for AppError {
    fn from(error: ConnectError) -> Self {
        Self::Uplink(error.into())
    }
}

/// The machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    // A clock before 1970 is wrong, but no reason to stop: the time is then 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A random number from 0 to 1. Without a random source it is 0.5: the fleet's calls are then not spread, but work.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

/// Runs a task to completion on one thread: the agent mostly waits, and each thread costs memory.
///
/// # Errors
/// The async runtime cannot be started.
pub fn block_on<T>(task: impl Future<Output = T>) -> Result<T, AppError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(AppError::Runtime)?;
    let done = runtime.block_on(task);
    // A plain drop would wait for the blocking threads, for instance for a name server that does not answer.
    runtime.shutdown_background();
    Ok(done)
}

/// The scan options for these settings and this watchlist.
fn scan_options(settings: &Settings, watchlist: muster_proto::model::Watchlist, memory: ScanMemory) -> ScanOptions {
    let key = identity::user_key(&settings.state_dir).inspect_err(|error| {
        tracing::error!(
            error = %error_chain(error),
            "cannot load the secret for user pseudonyms; this scan does not report per-user items"
        );
    });
    ScanOptions {
        wmi: None,
        keep_wmi: false,
        sources: Vec::new(),
        watchlist: Some(watchlist),
        time_limit: settings.scan_time_limit,
        user_scope: settings.user_scope,
        identity: settings.identity,
        user_key: key.ok(),
        memory,
        progress: Progress::default(),
    }
}

#[cfg(test)]
mod tests;
