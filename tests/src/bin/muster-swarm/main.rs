//! `muster-swarm`: simulates a fleet against a collector, and measures a collector.
//!
//! ```text
//!  fleet (model) ──► keep (keys, certificates) ──► swarm ──► agent ──► line (TLS, HTTP/2) ──► collector
//!                                                    └── drive ──► statistics ──► render
//! ```
//!
//! `run` enrolls a fleet of any size and lets it report. `bench` starts a collector and a bare echo server as the yardstick,
//! and prints ratios. `siege` attacks a collector's port and measures an honest host beside the attack. Exit codes: 0 every call succeeded, 1 a call failed or an error occurred, 2 wrong usage.

mod agent;
mod bench;
mod drive;
mod fleet;
mod keep;
mod line;
mod render;
mod run;
mod siege;
mod statistics;
mod swarm;
mod trust;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use muster_proto::terminal::PipeSafe;

/// Load-test a collector with a simulated fleet.
#[derive(Debug, Parser)]
#[command(name = "muster-swarm", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Enroll a fleet at a running collector and let it report for some days.
    Run(Box<run::RunArgs>),
    /// Start a collector and a bare echo server, and measure one against the other.
    Bench(Box<bench::BenchArgs>),
    /// Hold connections and uploads open, and measure the check-ins of an honest host meanwhile.
    Siege(Box<siege::SiegeArgs>),
    /// Serve as the yardstick. `bench` starts this.
    #[command(hide = true)]
    Echo(bench::echo::EchoArgs),
}

fn main() -> ExitCode {
    match work(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If standard error is closed too, there is nowhere to report.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(cli: Cli) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let mut out = PipeSafe::stdout();
    match cli.verb {
        Verb::Run(args) => runtime.block_on(run::run(*args, &mut out)),
        Verb::Bench(args) => runtime.block_on(bench::run(*args, &mut out)),
        Verb::Siege(args) => runtime.block_on(siege::run(*args, &mut out)),
        Verb::Echo(args) => runtime.block_on(bench::echo::serve(args)),
    }
}
