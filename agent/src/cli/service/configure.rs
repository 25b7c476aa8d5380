//! `service configure`: sets single keys of the settings and leaves a token for the service, as an installer does.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{self, Changes};
use crate::cli::{self, Output};
use crate::config::Flags;
use crate::{os, telemetry};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Set the collector's URL for agents in the settings, such as `https://muster.example.org:7443`
    #[arg(long, value_name = "URL")]
    collector: Option<String>,
    /// Copy the enrollment token from FILE, or from standard input if FILE is -, for the service to enroll with. The copy is
    /// owner-only, and is deleted after the enrollment
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, mut flags: Flags) -> anyhow::Result<ExitCode> {
    flags.collector.clone_from(&arguments.collector);
    // Reports faults of the address and of the other settings before anything changes.
    let settings = cli::safe_settings(&flags, telemetry::COMMAND_LEVEL)?;
    let token = arguments.token_file.as_deref().map(app::read_token).transpose()?;
    let file = flags.config.clone().unwrap_or_else(os::default_config_file);
    let changes = Changes { collector: arguments.collector.clone(), token };
    let done = app::configure(&file, &settings.state_dir, &changes)?;
    flags.collector = None;
    let in_force = cli::read_settings(&flags)?.collector;
    if arguments.collector.is_some() && in_force != settings.collector {
        anyhow::bail!(
            "{} has the new collector, but the agent uses {}: a file in {} or MUSTER_AGENT_COLLECTOR comes first",
            file.display(),
            in_force.unwrap_or_default(),
            file.with_extension("d").display()
        );
    }
    super::print_done(arguments.output, &done)
}
