//! `once`: scans and delivers once. Exits with 0 when the collector has acknowledged the snapshot.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::Output;
use crate::app::{self, Agent, AppError};
use crate::config::Flags;
use crate::sources::root::Root;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scan the machine whose files are below DIR, and report it as this host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags)?;
    let root =
        arguments.root.as_ref().map_or_else(Root::running_system, |dir| Root::below(dir)).map_err(AppError::from)?;
    let summary = app::block_on(async { Agent::open(settings)?.scan_and_deliver(root).await })??;
    let mut out = io::stdout();
    match arguments.output {
        Output::Table => writeln!(
            out,
            "the collector acknowledged snapshot {} of host {}: sent {} ({} bytes), {} bytes on the wire",
            summary.snapshot.short(),
            summary.host_id,
            sections(summary.sections_sent),
            summary.section_bytes,
            summary.bytes_sent
        )?,
        Output::Json | Output::Ndjson => writeln!(out, "{}", serde_json::to_string(&summary)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn sections(count: usize) -> String {
    if count == 1 { "1 section".to_owned() } else { format!("{count} sections") }
}
