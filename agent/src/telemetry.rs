//! The log: sentences with fields on standard error. Text on a terminal, JSON otherwise. Never a token, never a key, and
//! of people nothing at all.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error("log.level {level:?} is not a filter")]
    Level {
        /// What was set.
        level: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Starts the log of this process. A second call changes nothing.
///
/// # Errors
/// The level is no filter.
pub fn start(level: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter =
        EnvFilter::try_new(level).map_err(|source| TelemetryError::Level { level: level.to_owned(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A log that is there already, as in tests, stays.
    let _ = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())).try_init()
    };
    Ok(())
}
