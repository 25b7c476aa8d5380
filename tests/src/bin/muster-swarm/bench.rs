//! `muster-swarm bench`: starts a real collector and the yardstick, loads both in turn from the same hosts, and prints the
//! collector's rate divided by the yardstick's.
//!
//! ```text
//!  stores ──► collector (real, on that store) ─┐
//!             echo (bare tonic, same TLS) ─────┴── full, check_ins: slices in turn ──► Run ──► stdout
//!             collector (fresh) ◄── footprint: a fleet of images, bytes for a host; days of reports, lists, rejudge
//! ```
//!
//! Slices of collector and yardstick alternate in the order a b b a, so that noise on the machine affects both. Before each
//! slice both servers must be idle. `memory` notes the collector's memory after each phase.

mod check_ins;
mod collector;
pub(crate) mod echo;
mod figures;
mod footprint;
mod full;
mod lists;
mod load;
mod memory;
mod rejudge;
mod stores;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;

use crate::agent::Agent;
use crate::bench::collector::{Build, Collector};
use crate::bench::figures::{Document, Run};
use crate::bench::memory::MemoryWatch;
use crate::bench::stores::Store;
use crate::fleet::{Model, Profile, Shares};
use crate::line::Address;
use crate::render::rounded;
use crate::statistics::{Tally, percentile, ratio};
use crate::swarm::Swarm;

/// Measure a collector against a bare echo server.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Use small sizes: all stores in less than five minutes.
    #[arg(long)]
    quick: bool,
    /// Number of pairs of slices of each kind, one for the collector and one for the echo server.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pairs: Option<u64>,
    /// Number of hosts in one slice of full reports.
    #[arg(long, value_name = "HOSTS", value_parser = clap::value_parser!(u64).range(1..))]
    wave: Option<u64>,
    /// Length of one slice of check-ins, in seconds.
    #[arg(long, value_name = "SECONDS")]
    slice_seconds: Option<f64>,
    /// Number of hosts in the fleet of images whose database size is measured.
    #[arg(long, value_name = "HOSTS", value_parser = clap::value_parser!(u64).range(1..))]
    image_hosts: Option<u64>,
    /// Number of days on which that fleet reports again.
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u64).range(..=30))]
    days: u64,
    /// How long lists are read from the idle collector, and again while hosts report, in seconds.
    #[arg(long, value_name = "SECONDS")]
    lists_seconds: Option<f64>,
    /// Number of concurrent calls.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    at_once: Option<u64>,
    /// In every second slice of full reports, also make this many administrative transactions a second.
    #[arg(long, value_name = "RATE", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1_000))]
    admin_rate: u64,
    /// Store to measure; can be repeated [default: all].
    #[arg(long, value_enum)]
    store: Vec<Store>,
    /// Collector program to measure [default: the release build beside this program, otherwise the debug build].
    #[arg(long, value_name = "FILE")]
    collector_program: Option<PathBuf>,
    /// Folder for databases and logs [default: a temporary folder].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Json)]
    output: Output,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One JSON document.
    Json,
    /// One JSON object for each store.
    Ndjson,
}

/// The amount of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Pairs of slices of each kind.
    pairs: u64,
    /// Hosts that report in one slice of full reports.
    wave: u64,
    /// Seconds of one slice of check-ins.
    slice_seconds: f64,
    /// Hosts of the fleet of images.
    image_hosts: u64,
    /// Days on which that fleet reports again.
    days: u64,
    /// Seconds of reading lists.
    lists_seconds: f64,
    /// Calls at once.
    at_once: usize,
    /// Administrative transactions a second in every second slice of full reports; 0 means none.
    admin_rate: u64,
}

impl Sizes {
    fn of(args: &BenchArgs) -> Self {
        let (pairs, wave, slice_seconds, image_hosts, lists_seconds) =
            if args.quick { (4, 4_000, 2.5, 10_000, 5.0) } else { (10, 8_000, 6.0, 50_000, 20.0) };
        Self {
            pairs: args.pairs.unwrap_or(pairs),
            wave: args.wave.unwrap_or(wave),
            slice_seconds: args.slice_seconds.unwrap_or(slice_seconds).clamp(0.05, 600.0),
            image_hosts: args.image_hosts.unwrap_or(image_hosts),
            days: args.days,
            lists_seconds: args.lists_seconds.unwrap_or(lists_seconds).clamp(0.05, 600.0),
            at_once: usize::try_from(args.at_once.unwrap_or(64)).unwrap_or(64),
            admin_rate: args.admin_rate,
        }
    }
}

/// The results of both sides of one comparison.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    measured: Side,
    /// The collector while it is administered.
    administered: Side,
    admin_transactions: u64,
    echo: Side,
}

/// One side of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Side {
    tally: Tally,
    /// Time from the last answer until the server had done all its work.
    after: std::time::Duration,
    /// CPU time of the server.
    cpu: std::time::Duration,
}

impl Side {
    fn per_second(&self) -> f64 {
        ratio(self.tally.done() as f64, (self.tally.elapsed + self.after).as_secs_f64())
    }

    fn cpu_us(&self) -> f64 {
        rounded(ratio(self.cpu.as_secs_f64() * 1e6, self.tally.done() as f64))
    }
}

impl Pair {
    fn ratio(&self) -> f64 {
        rounded(ratio(self.measured.per_second(), self.echo.per_second()))
    }
}

/// Runs the comparison and prints it. Returns whether every call succeeded.
pub(crate) async fn run(args: BenchArgs, out: &mut dyn Write) -> Result<bool> {
    let sizes = Sizes::of(&args);
    let folder = match &args.dir {
        Some(path) => {
            std::fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
            tempfile::Builder::new().prefix("muster-bench-").tempdir_in(path)
        }
        None => tempfile::Builder::new().prefix("muster-bench-").tempdir(),
    };
    let folder = folder.context("make a folder for the bench")?;
    let (program, build) = collector::program(args.collector_program.as_deref())?;
    progress(&format!("collector: {} ({build} build)", program.display()));
    let mut runs = Vec::new();
    for store in stores::chosen(&args.store) {
        let place = folder.path().join(store.name());
        std::fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
        match store.prepare(&place) {
            Ok(prepared) => runs.push(measure(&prepared, &program, build, args.seed, sizes).await?),
            Err(reason) => {
                progress(&format!("{}: skipped: {reason:#}", store.name()));
                continue;
            }
        }
        if args.output == Output::Ndjson {
            serde_json::to_writer(&mut *out, runs.last().context("a run that has just ended")?)?;
            writeln!(out)?;
        }
    }
    if args.output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, &Document { runs: &runs })?;
        writeln!(out)?;
    }
    Ok(!runs.is_empty() && runs.iter().all(|run| run.failed == 0))
}

async fn measure(
    store: &stores::Prepared,
    program: &std::path::Path,
    build: Build,
    seed: u64,
    sizes: Sizes,
) -> Result<Run> {
    let mut collector = Collector::start(program, store, "distinct").await?;
    let mut memory = MemoryWatch::of("distinct");
    memory.note(&collector, "start").await;
    let echo = echo::Yardstick::start(&collector)?;
    let model = Model { seed, profile: Profile::Distinct, shares: Shares::default() };
    let mut swarm = Swarm::open(model, Address::parse(&collector.listening.agents)?, None)?;
    let hosts = sizes.wave * sizes.pairs;
    progress(&format!("{}: enrolling {hosts} hosts", store.name));
    swarm.make_keys(0..hosts)?;
    let enrolled = swarm.enroll(0..hosts, &collector.token()?, sizes.at_once).await?;
    enough(&enrolled, "enroll")?;
    memory.note(&collector, "enrollments").await;
    swarm.learn_watchlist().await?;
    let agents = swarm.agents(0..hosts)?;

    let context = BenchContext { collector: &collector, echo: &echo, swarm: &swarm, sizes };
    let (full, lags, full_report_bytes) = full::compare(&context, &agents).await?;
    memory.note(&collector, "full reports").await;
    let fresh = check_ins::compare(&context, &agents, check_ins::Way::Fresh).await?;
    let kept = check_ins::compare(&context, &agents, check_ins::Way::Kept).await?;
    memory.note(&collector, "check-ins").await;
    drop(agents);
    let bytes_per_host = collector.stop_and_measure()? / hosts;
    drop(echo);
    let rate = full.measured.per_second() / 2.0;
    let images = footprint::of_images(store, program, seed, sizes, rate).await?;
    let lag_p99_ms = lag_p99(lags);
    let distinct = figures::DistinctFleet {
        hosts,
        enrolled,
        full,
        fresh,
        kept,
        lag_p99_ms,
        full_report_bytes,
        bytes_per_host,
        memory: memory.phases,
    };
    let run = Run::of(store.name, build, sizes, distinct, images);
    if let Some(reason) = &run.first_failure {
        progress(&format!("{}: {} calls failed, the first with: {reason}", store.name, run.failed));
    }
    Ok(run)
}

/// What all comparisons on one store use.
pub(crate) struct BenchContext<'a> {
    collector: &'a Collector,
    echo: &'a echo::Yardstick,
    swarm: &'a Swarm,
    sizes: Sizes,
}

/// Some of the agents, spread evenly over all.
fn some(agents: &[Arc<Agent>], count: usize) -> Vec<Arc<Agent>> {
    agents.iter().step_by((agents.len() / count.max(1)).max(1)).take(count).cloned().collect()
}

fn lag_p99(mut lags: Vec<u64>) -> u64 {
    lags.sort_unstable();
    percentile(&lags, 0.99).unwrap_or(0)
}

/// Requires that a preparing stage succeeded completely; otherwise the next one would measure something else.
fn enough(tally: &Tally, what: &str) -> Result<()> {
    let reason = tally.first_failure.as_deref().unwrap_or_default();
    anyhow::ensure!(
        tally.failed == 0,
        "{what}: {} of {} failed, the first with: {reason}",
        tally.failed,
        tally.failed + tally.done()
    );
    Ok(())
}

/// Prints progress to standard error.
fn progress(text: &str) {
    // Progress is not worth failing for.
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}
