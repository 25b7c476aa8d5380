//! `status`: shows the state of the agent, read from its state directory. It contacts nobody and changes nothing.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Output;
use crate::app;
use crate::config::Flags;
use crate::spool::Spool;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags, telemetry::COMMAND_LEVEL)?;
    let identity = app::load_identity(&settings)?;
    let spool = Spool::open_read_only(&app::spool_dir(&settings), app::spool_bounds(&settings))?;
    let losses = spool.losses();
    let watchlist = app::last_watchlist(&settings);
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
    super::print(arguments.output, &status, || {
        let rows = rows(&status);
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// One line for each fact: what it is, and its value.
fn rows(status: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let enrolled = &status["enrolled"];
    let mut rows = vec![("running", text(&status["running"]))];
    if enrolled.is_null() {
        rows.push(("enrolled", "no".to_owned()));
    } else {
        let expired = if enrolled["certificate_expired"] == true { " (expired)" } else { "" };
        rows.extend([
            ("host id", text(&enrolled["host_id"])),
            ("site", text(&enrolled["site"])),
            ("collector", text(&enrolled["collector"])),
            ("certificate valid until", format!("{}{expired}", text(&enrolled["certificate_expires"]))),
            ("trust bundle version", text(&enrolled["trust_version"])),
        ]);
        if !enrolled["refused"].is_null() {
            rows.push(("refused by the collector", text(&enrolled["refused"])));
        }
    }
    let acknowledged: String = text(&status["last_acknowledged_snapshot"]).chars().take(12).collect();
    rows.extend([("last acknowledged snapshot", acknowledged), ("waiting in spool", waiting(&status["spool"]))]);
    let spool = &status["spool"];
    if ["coalesced", "dropped", "damaged"].iter().any(|name| spool[*name] != 0) {
        let lost = format!(
            "{} dropped, {} damaged, {} replaced by a later one before delivery",
            spool["dropped"], spool["damaged"], spool["coalesced"]
        );
        rows.push(("lost scans", lost));
    }
    rows.extend(watching(&status["watching"]));
    rows.extend([
        ("watchlist version", text(&status["watchlist_version"])),
        ("state directory", text(&status["state_dir"])),
        ("agent version", text(&status["version"])),
    ]);
    rows
}

fn waiting(spool: &Value) -> String {
    match spool["snapshots"].as_u64() {
        None | Some(0) => "nothing".to_owned(),
        Some(count) => {
            let snapshots = if count == 1 { "1 snapshot".to_owned() } else { format!("{count} snapshots") };
            let since = spool["since"].as_str().unwrap_or_default();
            format!("{snapshots}, {} bytes, the oldest from {since}", spool["bytes"])
        }
    }
}

fn watching(summary: &Value) -> Vec<(&'static str, String)> {
    if summary.is_null() {
        return Vec::new();
    }
    let mut rows = vec![("watched directories", summary["directories"].to_string())];
    rows.extend(summary["keys"].as_u64().map(|keys| ("watched registry keys", keys.to_string())));
    let unwatched = summary["unwatched"].as_array().into_iter().flatten().filter_map(Value::as_str);
    rows.extend(unwatched.map(|place| ("not watched", place.to_owned())));
    if let Some(more @ 1..) = summary["more_unwatched"].as_u64() {
        rows.push(("not watched", format!("{more} more")));
    }
    rows
}
