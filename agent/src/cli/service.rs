//! `service`: sets this program up as a service of the system, takes it away, and says how it stands. Machines that get
//! their software as packages need none of it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::Output;
use crate::os::service;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Write the service's files, make its account and directory, and start it
    Install(Place),
    /// Stop the service and remove its files; settings and identity stay
    Uninstall(Place),
    /// Say whether it is there, enabled and at work
    Status(Status),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Write below DIR, for an image that is being built; start nothing
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Status {
    #[command(flatten)]
    place: Place,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout();
    let done = match &arguments.verb {
        Verb::Install(place) => {
            let program = std::env::current_exe().context("find this program's own file")?;
            service::install(&program, place.root.as_deref())?
        }
        Verb::Uninstall(place) => service::uninstall(place.root.as_deref())?,
        Verb::Status(status) => return show(status),
    };
    for line in done {
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &Status) -> anyhow::Result<ExitCode> {
    let status = service::status(arguments.place.root.as_deref())?;
    let mut out = io::stdout();
    match arguments.output {
        Output::Json | Output::Ndjson => writeln!(out, "{}", serde_json::to_string(&status)?)?,
        Output::Table => {
            let or = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
            let unit = status.unit.map_or_else(|| "not installed".to_owned(), |unit| unit.display().to_string());
            let from = if status.packaged { " (from a package)" } else { "" };
            for (name, value) in [
                ("service", format!("{unit}{from}")),
                ("enabled", or(&status.enabled)),
                ("active", or(&status.active)),
                ("says", or(&status.says)),
            ] {
                writeln!(out, "{name:<10} {value}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
