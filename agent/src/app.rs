//! The wiring: the only place where looks, spool and uplink meet, and the only one that reads the clock.
//!
//! [`Agent`] is one process' hold of a state directory. `once` scans and delivers once; `run` does so at the pace that
//! the collector sets, until the system wants it to end.

mod agent;
mod enrollment;
mod service;
mod state_files;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_proto::error_chain;
use muster_proto::model::{RefusalClass, Timestamp};

pub use agent::{Agent, Report};
pub use enrollment::{EnrollError, enroll, read_token};
pub use service::{Reload, run};
pub use state_files::{
    StateFileError, at_work, identity_of, last_acknowledged, spool_bounds, spool_dir, watching, watchlist_in_force,
};

use crate::config::Settings;
use crate::scan::{LeftBehind, ScanOptions};
use crate::sources::root::RootError;
use crate::uplink::{ConnectError, TlsError, UplinkError};
use crate::{identity, spool};

/// Why the agent cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The state directory or something in it cannot be used.
    #[error("the state directory cannot be used")]
    Keep(#[from] StateFileError),
    /// Another agent works there.
    #[error("another agent is at work in {0}")]
    Busy(String),
    /// There is nobody to report to.
    #[error("this host is not enrolled")]
    NotEnrolled,
    /// The collector withdrew this host.
    #[error("the collector has refused this host ({0})")]
    Refused(RefusalClass),
    /// What should be looked at cannot be opened.
    #[error("there is nothing to look at")]
    Root(#[from] RootError),
    /// The identity cannot be used.
    #[error("the identity cannot be used")]
    Identity(#[from] identity::IdentityError),
    /// The spool cannot be used.
    #[error("the spool cannot be used")]
    Spool(#[from] spool::SpoolError),
    /// The collector was not reached, or refused.
    #[error("the scan was not delivered")]
    Uplink(#[from] UplinkError),
    /// The enrollment failed.
    #[error("the enrollment failed")]
    Enroll(#[from] EnrollError),
    /// The thread that scans has ended.
    #[error("the scan was broken off")]
    Snapshot,
    /// Signals cannot be caught.
    #[error("the end of the process cannot be waited for")]
    Signal(#[source] std::io::Error),
    /// The runtime cannot be made.
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
}

impl AppError {
    /// What to do about it, where a person can do something.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NotEnrolled => Some("run `muster-agent enroll --collector URL --token-file FILE`"),
            Self::Refused(_) => Some("enroll again with a new token, if the host should report"),
            Self::Busy(_) => Some("stop the service, or give another --state-dir"),
            Self::Uplink(error) => error.advice(),
            Self::Enroll(EnrollError::Uplink(error)) => error.advice(),
            Self::Keep(_)
            | Self::Root(_)
            | Self::Identity(_)
            | Self::Spool(_)
            | Self::Enroll(_)
            | Self::Snapshot
            | Self::Signal(_)
            | Self::Runtime(_) => None,
        }
    }
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
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A number from 0 to 1 by chance. Without randomness the fleet loses its spread, not its work.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

/// Runs a task to its end on one thread: the agent waits most of its life, and threads cost memory.
///
/// # Errors
/// The runtime cannot be made.
pub fn block_on<T>(task: impl Future<Output = T>) -> Result<T, AppError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(AppError::Runtime)?;
    let done = runtime.block_on(task);
    runtime.shutdown_background();
    Ok(done)
}

/// How to look, by the settings and the watchlist in force.
fn scan_options(
    settings: &Settings,
    watchlist: muster_proto::model::Watchlist,
    left_behind: LeftBehind,
) -> ScanOptions {
    let key = identity::user_key(&settings.state_dir).inspect_err(|error| {
        tracing::error!(
            error = %error_chain(error),
            "there is no secret for the pseudonyms of people, so this scan does not tell who has what at home"
        );
    });
    ScanOptions {
        sources: Vec::new(),
        watchlist,
        time_limit: settings.scan_time_limit,
        user_scope: settings.user_scope,
        user_key: key.ok(),
        left_behind,
    }
}

#[cfg(test)]
mod tests;
