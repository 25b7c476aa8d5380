//! `status`: shows the state of the agent, read from its state directory. It contacts nobody and changes nothing.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Output;
use crate::app;
use crate::config::Flags;
use crate::spool::Spool;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags)?;
    let identity = app::load_identity(&settings)?;
    let spool = Spool::open_read_only(&app::spool_dir(&settings), app::spool_bounds(&settings))?;
    let losses = spool.losses();
    let watchlist = app::current_watchlist(&settings);
    let enrolled = identity.as_ref().map(|identity| {
        json!({
            "host_id": identity.host_id, "site": identity.site, "collector": identity.collector,
            "certificate_expires": identity.expires, "certificate_expired": identity.expires <= app::now(),
            "trust_version": identity.trust.version, "refused": identity.refused,
        })
    });
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state_dir": settings.state_dir,
        "running": app::is_running(&settings.state_dir)?,
        "enrolled": enrolled,
        "last_acknowledged_snapshot": app::last_acknowledged(&settings.state_dir),
        "spool": {
            "snapshots": spool.len(), "bytes": spool.bytes(), "since": spool.since(),
            "coalesced": losses.coalesced, "dropped": losses.dropped, "damaged": losses.damaged,
        },
        "watching": app::watch_summary(&settings.state_dir)?,
        "watchlist_version": watchlist.version,
    });
    let mut out = io::stdout();
    match arguments.output {
        Output::Json | Output::Ndjson => writeln!(out, "{status}")?,
        Output::Table => {
            for (name, value) in flatten("", &status) {
                writeln!(out, "{name:<32} {value}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn flatten(prefix: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                flatten(&if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, value)
            })
            .collect(),
        Value::String(text) => vec![(prefix.to_owned(), text.clone())],
        Value::Null => vec![(prefix.to_owned(), "-".to_owned())],
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => vec![(prefix.to_owned(), value.to_string())],
    }
}
