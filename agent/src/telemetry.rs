//! The log: sentences with fields, on standard error. Text on a terminal, JSON otherwise. A service of Windows has no standard
//! error: what an administrator should know is in the Event Log instead. The log never contains tokens, keys or anything
//! about users.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use muster_proto::settings::LogFormat;
use muster_proto::terminal::{Escaping, StderrAboveProgress, printable};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::os::system_log::{Severity, SystemLog};

type SetLevel = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// The level of the service's log unless the settings name one.
pub const SERVICE_LEVEL: &str = "info";

/// The target of events that the system's log gets although they are no warnings: the service has started or stopped.
pub const ANNOUNCED: &str = "muster_agent::announced";

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
    if let Some(system) = SystemLog::of_service() {
        // The system adds the time and the level.
        let log = log.without_time().with_level(false).with_ansi(false).with_writer(ForSystemLog(system));
        let log = log.with_filter_reloading();
        let handle = log.reload_handle();
        started(log.try_init().is_ok(), move |filter| handle.reload(filter).is_ok());
    } else if json {
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

/// Passes on what the system's log should have.
#[derive(Debug, Clone, Copy)]
struct ForSystemLog(SystemLog);

/// One event, if the system's log should have it.
struct Entry(Option<(SystemLog, Severity)>);

/// How important the event is to an administrator; `None` if it is not for the system's log.
fn severity(metadata: &Metadata<'_>) -> Option<Severity> {
    match *metadata.level() {
        Level::ERROR => Some(Severity::Error),
        Level::WARN => Some(Severity::Warning),
        _ if metadata.target() == ANNOUNCED => Some(Severity::Information),
        _ => None,
    }
}

impl MakeWriter<'_> for ForSystemLog {
    type Writer = Entry;

    fn make_writer(&self) -> Entry {
        Entry(None)
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Entry {
        Entry(severity(metadata).map(|severity| (self.0, severity)))
    }
}

impl Write for Entry {
    /// An event comes as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if let Some((log, severity)) = self.0 {
            log.report(severity, &printable(String::from_utf8_lossy(event).trim_end()));
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
