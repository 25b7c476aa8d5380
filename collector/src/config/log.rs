//! `[log]`: what is written to standard error.

use muster_proto::settings::{Layers, LogFormat};

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `log.filter`: `info`, or `muster_collector=debug,info`.
    pub filter: String,
    /// `log.format`: `auto` is text on a terminal and JSON otherwise.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

impl Log {
    pub(super) fn check<K>(&self, layers: &mut Layers<K>) {
        // Only `serve` starts the log; checked here, a bad filter is a fault in every verb.
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.filter) {
            layers.fault("log.filter", format!("{:?} is not a filter: {error}", self.filter));
        }
    }
}
