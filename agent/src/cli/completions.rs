//! `completions`: prints a script with which a shell completes the commands, options and closed lists of this program.

use std::io::Write;
use std::process::ExitCode;

use muster_proto::terminal::PipeSafe;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(arguments: &Arguments, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    // `generate` panics if it cannot write, for example to a full disk.
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "muster-agent", &mut text);
    let mut out = PipeSafe::stdout();
    out.write_all(&text)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
