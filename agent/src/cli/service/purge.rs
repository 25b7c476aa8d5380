//! `service purge`: deletes what the agent has stored on this machine.

use std::process::ExitCode;

use crate::app;
use crate::cli::Output;
use crate::config::Flags;
use crate::os;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, flags: &Flags) -> anyhow::Result<ExitCode> {
    let file = flags.config.clone().unwrap_or_else(os::default_config_file);
    // Only the agent's own folder, or one that a person names here: the settings could name any other.
    let state_dir = flags.state_dir.clone().unwrap_or_else(os::default_state_dir);
    let elsewhere = crate::cli::read_settings(flags).ok().map(|settings| settings.state_dir);
    let mut done = app::purge(&file, &state_dir)?;
    if let Some(elsewhere) = elsewhere.filter(|dir| *dir != state_dir) {
        done.push(format!("kept {}, which the settings name; delete it yourself", elsewhere.display()));
    }
    super::print_done(arguments.output, &done)
}
