//! The log on standard error, and the metrics of `/metrics`.
//!
//! Neither contains tokens, secrets or user data. A failure is logged once, where it is handled.

mod metrics;

use std::io::IsTerminal;

use muster_proto::settings::LogFormat;
use muster_proto::terminal::{Escaping, StderrAboveProgress};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::Log;

pub use metrics::{Call, CloseReason, HandshakeEnd, ListenerName, Metrics, ReloadEnd};

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not valid.
    #[error("read log.filter {filter:?}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// A log was started before.
    #[error("start the log")]
    Start(#[source] TryInitError),
}

/// Starts the log. The format `auto` is text on a terminal and JSON otherwise.
///
/// # Errors
/// The filter is not valid, or a log was started before.
pub fn start_log(log: &Log) -> Result<(), LogError> {
    let filter =
        EnvFilter::try_new(&log.filter).map_err(|source| LogError::Filter { filter: log.filter.clone(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer();
    // Names come from hosts, so the log is escaped like all other output.
    let started = if json {
        let layer = layer.with_writer(|| Escaping::json(StderrAboveProgress));
        // The span of a page has the number of its request, which the page of an error shows.
        registry.with(layer.json().flatten_event(true).with_current_span(true).with_span_list(false)).try_init()
    } else {
        // The format `text` may go to a file or the journal, which must not get colour codes.
        let layer = layer.with_writer(move || Escaping::text(StderrAboveProgress, terminal));
        registry.with(layer.with_ansi(terminal)).try_init()
    };
    started.map_err(LogError::Start)
}
