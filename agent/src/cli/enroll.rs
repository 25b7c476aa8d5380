//! `enroll`: makes this host known to a collector, with a token that an operator gave.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::app;
use crate::config::Flags;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the collector listens for agents
    #[arg(long, value_name = "URL")]
    collector: Option<String>,
    /// A file with the token, or - for standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, mut flags: Flags) -> anyhow::Result<ExitCode> {
    flags.collector = arguments.collector;
    let settings = super::settings(&flags)?;
    let path = arguments.token_file.or_else(|| settings.token_file.clone());
    let path = path.context("no token: give --token-file FILE, or - to read it from standard input")?;
    let token = app::read_token(&path)?;
    let identity = app::block_on(app::enroll(&settings, &token))??;
    writeln!(
        io::stdout(),
        "enrolled as {} of site {} at {}; the certificate is valid until {}",
        identity.host_id,
        identity.site,
        identity.collector,
        identity.expires
    )?;
    Ok(ExitCode::SUCCESS)
}
