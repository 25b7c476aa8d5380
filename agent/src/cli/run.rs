//! `run`: the service. Scans and reports on the collector's schedule and after changes, until SIGTERM, Ctrl-C or the service manager
//! stops it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use muster_proto::error_chain;
use muster_proto::terminal::printable;

use crate::app;
use crate::config::Flags;
use crate::os::supervisor;
use crate::os::system_log::{Severity, SystemLog};
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scan the machine whose files are below DIR, and report it as this host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, flags: Flags) -> anyhow::Result<ExitCode> {
    let work = move || serve(arguments, flags).inspect_err(report);
    supervisor::host(work).context("cannot run under the service manager")??;
    Ok(ExitCode::SUCCESS)
}

fn serve(arguments: Arguments, flags: Flags) -> anyhow::Result<()> {
    let settings = super::safe_settings(&flags, telemetry::SERVICE_LEVEL)?;
    let reload: app::Reload = Box::new(move || super::read_safe_settings(&flags));
    Ok(app::block_on(app::run(settings, arguments.root, reload))??)
}

/// Where nobody reads standard error, the system's log has why the service has ended.
fn report(error: &anyhow::Error) {
    let Some(log) = SystemLog::of_service() else { return };
    let mut text = format!("the agent has stopped: {}", error_chain(error.as_ref()));
    for line in super::advice(error) {
        text.push('\n');
        text.push_str(&line);
    }
    let lines: Vec<String> = text.lines().map(|line| printable(line).into_owned()).collect();
    log.report(Severity::Error, &lines.join("\n"));
}
