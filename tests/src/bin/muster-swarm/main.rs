//! `muster-swarm`: plays a whole fleet against a collector, and measures what it takes.
//!
//! ```text
//!  fleet (model) ──► keep (keys, certificates) ──► swarm ──► agent ──► line (TLS, HTTP/2) ──► collector
//!                                                    └── drive ──► statistics ──► render
//! ```
//!
//! `run` enrolls a fleet of any size and lets it report; `bench` starts collector and yardstick itself and prints
//! ratios. Exit codes: 0 all was answered well, 1 it was not, 2 usage.

mod agent;
mod bench;
mod drive;
mod fleet;
mod keep;
mod line;
mod render;
mod run;
mod statistics;
mod swarm;
mod trust;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Plays a whole fleet against a collector, and measures what it takes.
#[derive(Debug, Parser)]
#[command(name = "muster-swarm", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Enrolls a fleet at a collector that runs already, and lets it report for some days.
    Run(Box<run::RunArgs>),
    /// Starts a collector and a yardstick, and measures one against the other.
    Bench(Box<bench::BenchArgs>),
    /// The yardstick of `bench`, which starts it.
    #[command(hide = true)]
    Echo(bench::echo::EchoArgs),
}

fn main() -> ExitCode {
    match work(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to hear of a failure to say so.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(cli: Cli) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let mut out = std::io::stdout().lock();
    match cli.verb {
        Verb::Run(args) => runtime.block_on(run::run(*args, &mut out)),
        Verb::Bench(args) => runtime.block_on(bench::run(*args, &mut out)),
        Verb::Echo(args) => runtime.block_on(bench::echo::serve(args)),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(of)
}
