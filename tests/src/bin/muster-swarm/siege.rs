//! `muster-swarm siege`: takes as much of a collector's agents' port as it gives, and measures an honest host beside it.

use std::future::Future;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use muster_proto::model::EnrollmentToken;
use muster_tests::bare;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::agent::Agent;
use crate::fleet::{Model, Profile, Report, Shares};
use crate::line::Address;
use crate::render::{Output, Phase, Writer};
use crate::statistics::Tally;
use crate::swarm::Swarm;
use crate::trust::Trust;

/// An attacker tries again after this, when it was disconnected.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// An honest check-in has failed after this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Open uploads on one connection of the greedy host.
const UPLOADS_PER_CONNECTION: u32 = 8;

/// Hold connections and uploads open, and measure the check-ins of an honest host meanwhile.
#[derive(Debug, Args)]
pub(crate) struct SiegeArgs {
    /// The agents' port as https://ADDRESS:PORT, on this machine.
    #[arg(long, value_name = "URL")]
    collector: String,
    /// File with an enrollment token for two hosts: the honest one and the one that uploads.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Number of sockets that never say anything.
    #[arg(long, default_value_t = 0)]
    sockets: u32,
    /// Number of connections that do the TLS handshake and then say nothing.
    #[arg(long, default_value_t = 0)]
    connections: u32,
    /// Number of uploads that one host opens and does not continue.
    #[arg(long, default_value_t = 0)]
    uploads: u32,
    /// Address of this machine from which strangers connect. The honest host uses 127.0.0.1; with the same address
    /// for both, the collector takes strangers for others of the same office.
    #[arg(long, default_value = "127.0.0.2")]
    from: IpAddr,
    /// Seconds of the siege, and half of it before as a comparison.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Milliseconds between two check-ins of the honest host; each is over a new connection.
    #[arg(long, default_value_t = 50)]
    pause_ms: u64,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What the attackers have at the moment, and how often they were disconnected.
#[derive(Debug, Default)]
struct Taken {
    open: AtomicU64,
    lost: AtomicU64,
}

/// Counts something as open while it exists.
struct Held<'a>(&'a Taken);

impl<'a> Held<'a> {
    fn new(taken: &'a Taken) -> Self {
        taken.open.fetch_add(1, Ordering::Relaxed);
        Self(taken)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the siege. Returns whether every honest check-in succeeded.
pub(crate) async fn run(args: SiegeArgs, out: &mut dyn Write) -> Result<bool> {
    let model = Model { seed: 1, profile: Profile::Images, shares: Shares::default() };
    let mut swarm = Swarm::open(model, Address::parse(&args.collector)?, None)?;
    let token = std::fs::read_to_string(&args.token_file);
    let token = token.with_context(|| format!("read {}", args.token_file.display()))?;
    swarm.make_keys(0..2)?;
    let enrolled = swarm.enroll(0..2, &token, 1).await?;
    ensure!(enrolled.failed == 0, "enrolling failed: {}", enrolled.first_failure.unwrap_or_default());
    let agents = swarm.agents(0..2)?;
    let [honest, greedy] = agents.as_slice() else { anyhow::bail!("two hosts were not enrolled") };
    let report = Report::of(&honest.scan(&swarm.model, 0));
    honest.connect(&swarm.address).await?.report(&report, true).await.context("the first report of the honest host")?;

    let mut writer = Writer::new(args.output, out);
    let calm = check_ins(honest, &swarm.address, &report, &args, Duration::from_secs(args.seconds.div_ceil(2))).await;
    writer.phase(Phase::of("before", &calm, 0))?;
    let (mut attack, taken) = besiege(&args, greedy, &swarm.address, &token)?;
    // The attackers need a moment, and the slow start would make the figures better.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let during = check_ins(honest, &swarm.address, &report, &args, Duration::from_secs(args.seconds)).await;
    let (open, lost) = (taken.open.load(Ordering::Relaxed), taken.lost.load(Ordering::Relaxed));
    attack.shutdown().await;
    writer.phase(Phase::of(&format!("siege, {open} held at the end, {lost} lost"), &during, 0))?;
    writer.end()
}

/// Check-ins of the honest host, each over a new connection, until the time is over.
async fn check_ins(agent: &Arc<Agent>, to: &Address, report: &Report, args: &SiegeArgs, span: Duration) -> Tally {
    let (mut tally, began) = (Tally::default(), Instant::now());
    while began.elapsed() < span {
        let call = Instant::now();
        let once = async { agent.connect(to).await?.report(report, false).await };
        let answer = tokio::time::timeout(PATIENCE, once).await.context("no answer in time");
        tally.count(call, answer.and_then(std::convert::identity));
        tokio::time::sleep(Duration::from_millis(args.pause_ms)).await;
    }
    tally.elapsed = began.elapsed();
    tally
}

/// Starts all attackers.
fn besiege(args: &SiegeArgs, greedy: &Arc<Agent>, to: &Address, token: &str) -> Result<(JoinSet<()>, Arc<Taken>)> {
    let (taken, mut attack) = (Arc::new(Taken::default()), JoinSet::new());
    let pin = token.parse::<EnrollmentToken>().context("read the enrollment token")?.ca_pin;
    let tls = TlsConnector::from(Trust::by_pin(pin).client(None)?);
    let (target, name, from) = (to.target().to_owned(), to.name(), args.from);
    for _ in 0..args.sockets {
        let (taken, target) = (Arc::clone(&taken), target.clone());
        attack.spawn(again_and_again(move || {
            let (taken, target) = (Arc::clone(&taken), target.clone());
            async move {
                let mut socket = bare::socket(&target, from).await?;
                let _held = Held::new(&taken);
                socket.read_to_end(&mut Vec::new()).await?;
                Ok(())
            }
        }));
    }
    for _ in 0..args.connections {
        let (taken, target, tls, name) = (Arc::clone(&taken), target.clone(), tls.clone(), name.clone());
        attack.spawn(again_and_again(move || {
            let (taken, target, tls, name) = (Arc::clone(&taken), target.clone(), tls.clone(), name.clone());
            async move {
                let mut silent = tls.connect(name, bare::socket(&target, from).await?).await?;
                let _held = Held::new(&taken);
                silent.read_to_end(&mut Vec::new()).await?;
                Ok(())
            }
        }));
    }
    for first in (0..args.uploads).step_by(UPLOADS_PER_CONNECTION as usize) {
        let (taken, greedy, to) = (Arc::clone(&taken), Arc::clone(greedy), to.clone());
        let count = UPLOADS_PER_CONNECTION.min(args.uploads - first);
        attack.spawn(again_and_again(move || {
            let (taken, greedy, to) = (Arc::clone(&taken), Arc::clone(&greedy), to.clone());
            async move {
                let call = greedy.connect(&to).await?;
                let mut uploads = JoinSet::new();
                for _ in 0..count {
                    let (held, mut call) = (Arc::clone(&taken), call.again());
                    uploads.spawn(async move {
                        let _held = Held::new(&held);
                        call.hold_upload().await
                    });
                }
                while uploads.join_next().await.is_some() {}
                Ok(())
            }
        }));
    }
    Ok((attack, taken))
}

/// Repeats an attack for ever. An attacker does not care for errors.
async fn again_and_again<R: Future<Output = Result<()>>>(attack: impl Fn() -> R) {
    loop {
        let _ = attack().await;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
