//! `once`: scans and delivers once. Exits with 0 when the collector has acknowledged the snapshot.

use std::path::PathBuf;
use std::process::ExitCode;

use muster_proto::terminal::Progress;

use super::Output;
use crate::app::{self, Agent, AppError, DeliverySummary};
use crate::config::{Flags, Settings};
use crate::sources::root::Root;
use crate::telemetry;
use crate::uplink::UplinkError;

/// The delivery failed, and the snapshot waits in the spool.
#[derive(Debug, thiserror::Error)]
#[error("cannot deliver the snapshot")]
pub(super) struct Undelivered {
    /// How many snapshots wait, this one included.
    pub(super) waiting: usize,
    source: UplinkError,
}

impl Undelivered {
    /// What happens to the snapshots.
    pub(super) fn consequence(&self) -> String {
        match self.waiting {
            1 => "the snapshot is kept in the spool until it is delivered".to_owned(),
            waiting => format!("{waiting} snapshots are kept in the spool until they are delivered"),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scan the machine whose files are below DIR, and report it as this host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::safe_settings(flags, telemetry::COMMAND_LEVEL)?;
    let root =
        arguments.root.as_ref().map_or_else(Root::running_system, |dir| Root::below(dir)).map_err(AppError::from)?;
    let progress = Progress::default();
    let shown = progress.show("scanning and delivering");
    let summary = app::block_on(scan_and_deliver(settings, root));
    drop(shown);
    let summary = summary??;
    super::print(arguments.output, &summary, || format!("{}\n", sentence(&summary)))?;
    Ok(ExitCode::SUCCESS)
}

async fn scan_and_deliver(settings: Settings, root: Root) -> anyhow::Result<DeliverySummary> {
    let mut agent = Agent::open_in_time(settings).await?;
    let result = agent.scan_and_deliver(root).await;
    result.map_err(|error| match (error, agent.waiting()) {
        // The snapshot is safe, so this failure must not read like a loss.
        (AppError::Uplink(source), waiting @ 1..) => Undelivered { waiting, source }.into(),
        (error, _) => error.into(),
    })
}

fn sentence(summary: &DeliverySummary) -> String {
    let DeliverySummary { host_id, sections_sent, bytes_sent, snapshots_delivered, .. } = summary;
    let snapshot = summary.snapshot.short();
    if !summary.snapshot_sent && *sections_sent == 0 {
        return format!("checked in as host {host_id}; snapshot {snapshot} is unchanged");
    }
    let sections = if *sections_sent == 1 { "1 section".to_owned() } else { format!("{sections_sent} sections") };
    let earlier = match snapshots_delivered {
        0 | 1 => String::new(),
        count => format!(", {count} snapshots"),
    };
    format!(
        "the collector acknowledged snapshot {snapshot} of host {host_id}: sent {sections}{earlier}, {bytes_sent} bytes in \
         total"
    )
}
