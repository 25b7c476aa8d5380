//! `enroll`: enrolls this host, or the machine below `--root`, with a collector, with a token from an operator.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::Output;
use crate::app;
use crate::config::Flags;
use crate::sources::root::Root;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The collector's URL for agents, such as `https://muster.example.org:7443`
    #[arg(long, value_name = "URL")]
    collector: Option<String>,
    /// File with the enrollment token, or - for standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Enroll the machine whose files are below DIR instead of this one: the collector gets its name and system. Key and
    /// identity are stored in the state directory, so give each machine its own --state-dir, here and for `once --root`
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: Arguments, mut flags: Flags) -> anyhow::Result<ExitCode> {
    flags.collector = arguments.collector;
    let settings = super::safe_settings(&flags, telemetry::COMMAND_LEVEL)?;
    let path = arguments.token_file.or_else(|| app::token_file(&settings));
    let path = path.context("no enrollment token: use --token-file FILE, or --token-file - for standard input")?;
    let token = app::read_token(&path)?;
    let root = arguments.root.as_deref().map_or_else(Root::running_system, Root::below)?;
    let identity = app::block_on(app::enroll(&settings, &token, root, app::now()))??;
    let record = serde_json::json!({
        "host_id": identity.host_id, "site": identity.site, "collector": identity.collector,
        "certificate_expires": identity.expires,
    });
    super::print(arguments.output, &record, || {
        format!(
            "enrolled as host {} in site {} at {}; the certificate is valid until {}\n",
            identity.host_id, identity.site, identity.collector, identity.expires
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
