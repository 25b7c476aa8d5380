//! The wiring: the only place where looks, spool and uplink meet, and the only one that reads the clock.
//!
//! [`Agent`] is one process' hold of a state directory. `once` looks and delivers once; `run` does so at the pace that
//! the collector sets, until the system wants it to end.

mod agent;
mod enrolment;
mod keep;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_proto::model::{RefusalClass, Timestamp};

pub use agent::{Agent, Report};
pub use enrolment::{EnrolError, enrol, read_token};
pub use keep::{KeepError, identity_of, last_acknowledged, spool_bounds, spool_dir, watchlist_in_force};

use crate::config::Settings;
use crate::look::LookOptions;
use crate::sources::root::{Root, RootError};
use crate::uplink::{ConnectError, TlsError, UplinkError};
use crate::{identity, os, schedule, spool};

/// Why the agent cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The state directory or something in it cannot be used.
    #[error("the state directory cannot be used")]
    Keep(#[from] KeepError),
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
    #[error("the look was not delivered")]
    Uplink(#[from] UplinkError),
    /// The enrolment failed.
    #[error("the enrolment failed")]
    Enrol(#[from] EnrolError),
    /// The thread that looks has ended.
    #[error("the look was broken off")]
    Look,
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
            Self::Refused(_) => Some("enrol again with a new token, if the host should report"),
            Self::Busy(_) => Some("stop the service, or give another --state-dir"),
            Self::Uplink(error) => error.advice(),
            Self::Enrol(EnrolError::Uplink(error)) => error.advice(),
            Self::Keep(_)
            | Self::Root(_)
            | Self::Identity(_)
            | Self::Spool(_)
            | Self::Enrol(_)
            | Self::Look
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

/// Looks at this machine at the collector's pace until the process is told to end.
///
/// # Errors
/// The state directory cannot be used, or the host is not enrolled and cannot enrol by itself.
pub async fn run(settings: Settings) -> Result<(), AppError> {
    let end = os::termination();
    tokio::pin!(end);
    let mut agent = Agent::open(settings)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        state_dir = %agent.settings().state_dir.display(),
        spool.entries = agent.waiting(),
        "the agent is at work"
    );
    let mut failures = 0;
    loop {
        let pause = tokio::select! {
            signal = &mut end => return ended(signal),
            turn = turn(&mut agent, &mut failures) => turn?,
        };
        tracing::debug!(pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "waiting");
        tokio::select! {
            signal = &mut end => return ended(signal),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn ended(signal: std::io::Result<&'static str>) -> Result<(), AppError> {
    let signal = signal.map_err(AppError::Signal)?;
    tracing::info!(signal, "the agent ends; what was not acknowledged stays in the spool");
    Ok(())
}

/// One look and its delivery; how long to wait then. Only what no later turn can mend is an error.
async fn turn(agent: &mut Agent, failures: &mut u32) -> Result<Duration, AppError> {
    let root = Root::running_system()?;
    match agent.look_and_deliver(root).await {
        Ok(report) => {
            *failures = 0;
            Ok(schedule::next(report.pace, chance()))
        }
        Err(error @ (AppError::Keep(_) | AppError::Signal(_) | AppError::Runtime(_))) => Err(error),
        Err(AppError::NotEnrolled) if agent.settings().token_file.is_none() => Err(AppError::NotEnrolled),
        Err(error) => {
            *failures = failures.saturating_add(1);
            let retry = schedule::retry(*failures, chance());
            // A collector that answered sets the pace also when it refuses.
            let pace = if let AppError::Uplink(uplink) = &error { uplink.pace() } else { None };
            let pause = pace.map_or(retry, |pace| schedule::next(pace, chance()).max(retry));
            let chain = chain(&error);
            let advice = error.advice().unwrap_or_default();
            let pause_s = pause.as_secs();
            tracing::warn!(error = %chain, advice, failures, pause_s, spool.entries = agent.waiting(), "the collector has no new look");
            Ok(pause)
        }
    }
}

/// An error with everything that led to it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// How to look, by the settings and the watchlist in force.
fn look_options(
    settings: &Settings,
    watchlist: muster_proto::model::Watchlist,
) -> Result<LookOptions, crate::identity::IdentityError> {
    Ok(LookOptions {
        sources: Vec::new(),
        watchlist,
        time_limit: settings.look_time_limit,
        user_scope: settings.user_scope,
        user_key: crate::identity::user_key(&settings.state_dir)?,
    })
}

#[cfg(test)]
mod tests;
