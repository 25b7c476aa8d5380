//! `run`: the service. Looks and reports at the collector's pace until SIGTERM or ctrl-c.

use std::process::ExitCode;

use crate::app;
use crate::config::Flags;

pub(super) fn run(flags: &Flags) -> anyhow::Result<ExitCode> {
    let settings = super::settings(flags)?;
    app::block_on(app::run(settings))??;
    Ok(ExitCode::SUCCESS)
}
