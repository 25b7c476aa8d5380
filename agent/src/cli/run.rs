//! `run`: the service. Scans and reports on the collector's schedule and after changes, until SIGTERM or Ctrl-C.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app;
use crate::config::Flags;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scan the machine whose files are below DIR, and report it as this host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, flags: Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(&flags, telemetry::SERVICE_LEVEL)?;
    let reload: app::Reload = Box::new(move || super::read_settings(&flags));
    app::block_on(app::run(settings, arguments.root, reload))??;
    Ok(ExitCode::SUCCESS)
}
