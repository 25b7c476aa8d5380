//! The log: sentences with fields, on standard error. Text on a terminal, JSON otherwise. It never contains tokens, keys or
//! anything about users.

use std::io::IsTerminal;
use std::sync::OnceLock;

use muster_proto::settings::LogFormat;
use muster_proto::terminal::{Escaping, StderrAboveProgress};
use tracing_subscriber::EnvFilter;

type SetLevel = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// The level of the service's log unless the settings name one.
pub const SERVICE_LEVEL: &str = "info";

/// The level for every other command: its result is printed, so the log needs only what went wrong.
pub const COMMAND_LEVEL: &str = "warn";

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not a valid filter.
    #[error("log.level has the invalid filter {level:?}")]
    Level {
        /// The configured text.
        level: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Starts the log of this process. A second call has no effect.
///
/// # Errors
/// The level is not a valid filter.
pub fn start(level: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = filter_of(level)?;
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // Names of files come from the machine, so the log is escaped like all other output.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    // An existing subscriber, as in tests, stays.
    if json {
        let log = log.with_writer(|| Escaping::json(StderrAboveProgress));
        let log = log.json().flatten_event(true).with_filter_reloading();
        let handle = log.reload_handle();
        started(log.try_init().is_ok(), move |filter| handle.reload(filter).is_ok());
    } else {
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let log = log.with_writer(move || Escaping::text(StderrAboveProgress, colours));
        let log = log.with_ansi(colours).with_filter_reloading();
        let handle = log.reload_handle();
        started(log.try_init().is_ok(), move |filter| handle.reload(filter).is_ok());
    }
    Ok(())
}

fn started(is_ours: bool, set: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) {
    if is_ours {
        // A process has one log, so the cell is still empty.
        let _ = SET_LEVEL.set(Box::new(set));
    }
}

/// Changes the level of the log that [`start`] started.
///
/// # Errors
/// The level is not a valid filter; the old one stays.
pub fn set_level(level: &str) -> Result<(), TelemetryError> {
    let filter = filter_of(level)?;
    if let Some(set) = SET_LEVEL.get() {
        set(filter);
    }
    Ok(())
}

fn filter_of(level: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(level).map_err(|source| TelemetryError::Level { level: level.to_owned(), source })
}
