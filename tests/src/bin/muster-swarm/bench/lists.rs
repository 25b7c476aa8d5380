//! What operators read: the board, the first pages of hosts and findings, all findings, and searches. It is measured while the
//! collector is idle, and while distinct hosts report at half the rate of full reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::collector::{Collector, Operator};
use super::{Sizes, enough, progress};
use crate::agent::Agent;
use crate::fleet::{Model, Profile, Report, Shares};
use crate::line::Address;
use crate::render::rounded;
use crate::statistics::Tally;
use crate::swarm::Swarm;

/// One way to read, and how long it took.
#[derive(Debug, Serialize)]
pub(crate) struct ListFigures {
    what: String,
    /// Whether hosts reported meanwhile.
    with_reports: bool,
    calls: u64,
    p50_ms: f64,
    p99_ms: f64,
}

/// The results of reading.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(crate) figures: Vec<ListFigures>,
    /// Reports a second meanwhile; zero if hosts did not report.
    pub(crate) reports_per_s: f64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
}

/// What is read in turn.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Board,
    Hosts,
    Findings,
    /// All pages of the findings, which is much more work; once in so many turns.
    AllFindings,
    Search(&'static str),
}

/// How often all findings are read.
const ALL_EVERY: u64 = 20;

/// A product that few hosts have, one that is on every Linux host, the beginning of a thirtieth of all names, and a text that
/// no name has.
const READINGS: [Reading; 8] = [
    Reading::Board,
    Reading::Hosts,
    Reading::Findings,
    Reading::AllFindings,
    Reading::Search("kesl"),
    Reading::Search("openssl"),
    Reading::Search("garnet"),
    Reading::Search("qzqzqz"),
];

impl Reading {
    fn name(self) -> String {
        match self {
            Self::Board => "board".to_owned(),
            Self::Hosts => "hosts".to_owned(),
            Self::Findings => "findings".to_owned(),
            Self::AllFindings => "all findings".to_owned(),
            Self::Search(text) => format!("search {text}"),
        }
    }

    async fn call(self, operator: &Operator) -> Result<()> {
        match self {
            Self::Board => operator.board().await,
            Self::Hosts => operator.hosts().await,
            Self::Findings => operator.findings(String::new()).await.map(drop),
            Self::AllFindings => {
                let mut page = String::new();
                loop {
                    page = operator.findings(page).await?.next_page_token;
                    if page.is_empty() {
                        return Ok(());
                    }
                }
            }
            Self::Search(text) => operator.search(text).await,
        }
    }
}

/// Reads from the idle collector, and then while new hosts report at `rate` a second.
pub(crate) async fn measure(collector: &Collector, seed: u64, sizes: Sizes, rate: f64) -> Result<Lists> {
    let mut lists = Lists::default();
    let span = Duration::from_secs_f64(sizes.lists_seconds);
    read(collector, span, false, &mut lists).await;

    let hosts = (rate * sizes.lists_seconds).ceil() as u64 + 1;
    progress(&format!("{hosts} distinct hosts enroll, to report while lists are read"));
    let agents = strangers(collector, seed, sizes, hosts).await?;
    let (model, agents) = agents;
    let mut reports = Vec::with_capacity(agents.len());
    for agent in agents {
        let report = Report::of(&agent.scan(&model, 0));
        reports.push((agent, report));
    }
    let reporting = Reporting::begin(reports, Address::parse(&collector.listening.agents)?, rate, sizes.at_once);
    read(collector, span, true, &mut lists).await;
    let reported = reporting.end().await?;
    lists.reports_per_s = rounded(reported.per_second());
    lists.failed += reported.failed;
    lists.first_failure = lists.first_failure.take().or(reported.first_failure);
    Ok(lists)
}

/// Reads everything in turn until the time is over.
async fn read(collector: &Collector, span: Duration, with_reports: bool, lists: &mut Lists) {
    let mut tallies = READINGS.map(|_| Tally::default());
    let began = Instant::now();
    let mut turn = 0;
    while turn == 0 || began.elapsed() < span {
        for (reading, tally) in READINGS.iter().zip(&mut tallies) {
            if matches!(reading, Reading::AllFindings) && turn % ALL_EVERY != 0 {
                continue;
            }
            let call = Instant::now();
            tally.count(call, reading.call(&collector.operator).await);
        }
        turn += 1;
    }
    for (reading, tally) in READINGS.iter().zip(tallies) {
        let figures = ListFigures {
            what: reading.name(),
            with_reports,
            calls: tally.done(),
            p50_ms: rounded(tally.percentile_ms(0.5)),
            p99_ms: rounded(tally.percentile_ms(0.99)),
        };
        progress(&format!(
            "{}{}: p50 {} ms, p99 {} ms",
            figures.what,
            if with_reports { ", with reports" } else { "" },
            figures.p50_ms,
            figures.p99_ms
        ));
        lists.figures.push(figures);
        lists.failed += tally.failed;
        lists.first_failure = lists.first_failure.take().or(tally.first_failure);
    }
}

/// Enrolls distinct hosts that have not reported yet.
async fn strangers(
    collector: &Collector,
    seed: u64,
    sizes: Sizes,
    hosts: u64,
) -> Result<(Arc<Model>, Vec<Arc<Agent>>)> {
    let model = Model { seed, profile: Profile::Distinct, shares: Shares::default() };
    let mut swarm = Swarm::open(model, Address::parse(&collector.listening.agents)?, None)?;
    // Their numbers follow those of the fleet, because a number decides what a host is called.
    let numbers = sizes.image_hosts..sizes.image_hosts + hosts;
    swarm.make_keys(numbers.clone())?;
    enough(&swarm.enroll(numbers.clone(), &collector.token()?, sizes.at_once).await?, "enroll")?;
    swarm.learn_watchlist().await?;
    Ok((Arc::clone(&swarm.model), swarm.agents(numbers)?))
}

/// Hosts that report at a steady rate.
struct Reporting {
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Tally>>,
}

impl Reporting {
    fn begin(reports: Vec<(Arc<Agent>, Report)>, address: Address, rate: f64, at_once: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let pause = Duration::from_secs_f64(1.0 / rate.max(0.1));
        let task = tokio::spawn(async move {
            let mut due = tokio::time::interval(pause);
            let (began, turns) = (Instant::now(), Arc::new(Semaphore::new(at_once)));
            let (mut calls, mut tally) = (JoinSet::new(), Tally::default());
            for (agent, report) in reports {
                due.tick().await;
                // A collector that is too slow gets fewer reports, not ever more at once.
                let turn = Arc::clone(&turns).acquire_owned().await.context("wait for a turn")?;
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let address = address.clone();
                calls.spawn(async move {
                    let call = Instant::now();
                    let answer = async { agent.connect(&address).await?.report(&report, true).await }.await;
                    drop(turn);
                    (call, answer)
                });
                while let Some(ended) = calls.try_join_next() {
                    let (call, answer) = ended.context("report")?;
                    tally.count(call, answer);
                }
            }
            while let Some(ended) = calls.join_next().await {
                let (call, answer) = ended.context("report")?;
                tally.count(call, answer);
            }
            tally.elapsed = began.elapsed();
            Ok(tally)
        });
        Self { over, task }
    }

    /// The reports so far.
    async fn end(self) -> Result<Tally> {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.context("let hosts report")?
    }
}
