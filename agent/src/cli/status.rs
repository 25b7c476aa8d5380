//! `status`: what this agent knows of itself, from its state directory. Asks nobody and changes nothing.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Output;
use crate::app;
use crate::config::Flags;
use crate::spool::Spool;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags)?;
    let identity = app::identity_of(&settings)?;
    let spool = Spool::peek_into(&app::spool_dir(&settings), app::spool_bounds(&settings))?;
    let losses = spool.losses();
    let watchlist = app::watchlist_in_force(&settings);
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
        "running": app::at_work(&settings.state_dir)?,
        "enrolled": enrolled,
        "last_acknowledged_snapshot": app::last_acknowledged(&settings.state_dir),
        "spool": {
            "snapshots": spool.len(), "bytes": spool.bytes(), "since": spool.since(),
            "coalesced": losses.coalesced, "dropped": losses.dropped, "damaged": losses.damaged,
        },
        "watching": app::watching(&settings.state_dir)?,
        "watchlist_version": watchlist.version,
    });
    let mut out = io::stdout();
    match arguments.output {
        Output::Json | Output::Ndjson => writeln!(out, "{status}")?,
        Output::Table => {
            for (name, value) in flat("", &status) {
                writeln!(out, "{name:<32} {value}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn flat(prefix: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                flat(&if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") }, value)
            })
            .collect(),
        Value::String(text) => vec![(prefix.to_owned(), text.clone())],
        Value::Null => vec![(prefix.to_owned(), "no".to_owned())],
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => vec![(prefix.to_owned(), value.to_string())],
    }
}
