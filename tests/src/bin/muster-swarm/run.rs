//! `muster-swarm run`: enrolls a fleet and lets it report for some simulated days.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use muster_proto::terminal::Progress;

use crate::agent::{Agent, Call};
use crate::drive;
use crate::fleet::{Model, Profile, Report, Shares};
use crate::line::Address;
use crate::render::{Output, Phase, Writer};
use crate::swarm::Swarm;

/// How hosts connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Connections {
    /// A new connection for every report, like hosts that report once an hour.
    Fresh,
    /// One connection for each host, kept for all days.
    Kept,
}

/// Simulate a fleet against a running collector.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// URL of the agents' port, https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    collector: String,
    /// File with an enrollment token that has enough uses; not needed if all hosts are enrolled.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Number of hosts.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    hosts: u64,
    /// How similar the hosts are.
    #[arg(long, value_enum, default_value_t = Profile::Images)]
    profile: Profile,
    /// Folder for the fleet's keys and certificates; a later run resumes from it.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Seed of the random numbers; the same seed gives the same fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of simulated days after the first.
    #[arg(long, default_value_t = 1)]
    days: u64,
    /// Number of the first day; later days have later patch levels.
    #[arg(long, default_value_t = 0)]
    first_day: u64,
    /// How hosts connect.
    #[arg(long, value_enum, default_value_t = Connections::Fresh)]
    connections: Connections,
    /// Number of concurrent calls.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    at_once: u16,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten, next_help_heading = "Shares of the fleet (profile images)")]
    shares: Shares,
}

/// A host with the connection that it keeps.
struct Member {
    agent: Arc<Agent>,
    call: Option<Call>,
    has_checked_in: bool,
}

/// Runs the fleet and prints the phases. Returns whether every call succeeded.
pub(crate) async fn run(args: RunArgs, out: &mut dyn Write) -> Result<bool> {
    let model = Model { seed: args.seed, profile: args.profile, shares: args.shares.clone() };
    let mut swarm = Swarm::open(model, Address::parse(&args.collector)?, args.dir.as_deref())?;
    let mut writer = Writer::new(args.output, out);
    let at_once = usize::from(args.at_once);
    let hosts = 0..args.hosts;

    writer.phase(Phase::of("keys", &swarm.make_keys(hosts.clone())?, 0))?;
    let token = match &args.token_file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?,
        None if swarm.strangers(hosts.clone()) == 0 => String::new(),
        None => bail!("{} hosts are not enrolled yet; name a token with --token-file", swarm.strangers(hosts)),
    };
    writer.phase(Phase::of("enroll", &swarm.enroll(hosts.clone(), &token, at_once).await?, 0))?;

    swarm.learn_watchlist().await?;
    let agents = swarm.agents(hosts)?;
    let mut members: Vec<Member> =
        agents.into_iter().map(|agent| Member { agent, call: None, has_checked_in: false }).collect();
    for day in args.first_day..=args.first_day.saturating_add(args.days) {
        let name = format!("day {day}");
        let (phase, back) = live(&swarm, members, day, &args, &name).await;
        writer.phase(phase)?;
        members = back;
    }
    writer.end()
}

/// Lets every host that is awake report once.
async fn live(swarm: &Swarm, members: Vec<Member>, day: u64, args: &RunArgs, name: &str) -> (Phase, Vec<Member>) {
    let (awake, mut asleep): (Vec<Member>, Vec<Member>) =
        members.into_iter().partition(|member| swarm.model.is_awake(member.agent.index, day));
    let bytes = Arc::new(AtomicU64::new(0));
    let kept = args.connections == Connections::Kept;
    let progress = Progress::default();
    progress.expect(awake.len() as u64);
    let shown = progress.show(&format!("{name}: hosts report"));
    let (model, address, sent) = (Arc::clone(&swarm.model), swarm.address.clone(), Arc::clone(&bytes));
    let (tally, reported) = drive::each(awake, usize::from(args.at_once), move |mut member: Member| {
        let (model, address, sent) = (Arc::clone(&model), address.clone(), Arc::clone(&sent));
        let progress = progress.clone();
        async move {
            let report = Report::of(&member.agent.scan(&model, day));
            let operation = async {
                let mut call = match member.call.take() {
                    Some(call) => call,
                    None => member.agent.connect(&address).await?,
                };
                let bytes = call.report(&report, !member.has_checked_in).await?;
                Ok::<_, anyhow::Error>((call, bytes))
            };
            let answer = tokio::time::timeout(PATIENCE, operation).await.context("no answer within a minute");
            progress.advance(1);
            let (call, bytes) = answer??;
            sent.fetch_add(bytes as u64, Ordering::Relaxed);
            member.call = kept.then_some(call);
            member.has_checked_in = true;
            Ok(member)
        }
    })
    .await;
    drop(shown);
    // A host whose report failed is not among them and takes no part in later days.
    asleep.extend(reported);
    (Phase::of(name, &tally, bytes.load(Ordering::Relaxed)), asleep)
}

/// How long one report may take.
const PATIENCE: Duration = Duration::from_secs(60);
