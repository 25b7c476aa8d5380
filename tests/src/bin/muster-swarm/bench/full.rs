//! Full reports: every host has 300 observations that no other host has, and reports them once over a connection that is
//! opened before the measurement. For the collector the time runs until its judge queue is empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::echo::{self, proto};
use super::load::{cpu, rest};
use super::{BenchContext, Pair, Side, enough, progress};
use crate::agent::{Agent, Call, digest_bytes};
use crate::bench::collector::Operator;
use crate::drive;
use crate::fleet::{Model, Report};
use crate::line::Line;
use proto::echo_service_client::EchoServiceClient;

/// One host of a wave, with what it sends to the collector and to the yardstick.
struct Member {
    agent: Arc<Agent>,
    report: Report,
    items: proto::ReportRequest,
}

/// Measures both sides. Returns also samples of the judge queue's lag in milliseconds, and the mean bytes of a report.
pub(crate) async fn compare(context: &BenchContext<'_>, agents: &[Arc<Agent>]) -> Result<(Pair, Vec<u64>, u64)> {
    let (mut pair, mut lags, mut bytes) = (Pair::default(), Vec::new(), 0);
    let wave = usize::try_from(context.sizes.wave)?;
    for (number, agents) in agents.chunks(wave).enumerate() {
        let members = prepare(&context.swarm.model, agents).await?;
        bytes += members.iter().map(|member| member.report.size() as u64).sum::<u64>();
        let (reports, items): (Vec<_>, Vec<_>) = members
            .into_iter()
            .map(|member| ((Arc::clone(&member.agent), member.report), (member.agent, member.items)))
            .unzip();
        // The sides take turns at being first, so that a drift of the machine affects both.
        let is_first = number % 2 == 0;
        let mut items = Some(items);
        if let Some(items) = items.take_if(|_| !is_first) {
            yardstick(context, items, &mut pair.echo).await?;
        }
        if context.sizes.admin_rate > 0 && number % 2 == 1 {
            let administration = Administration::begin(context.collector.operator.clone(), context.sizes.admin_rate);
            measured(context, reports, &mut pair.administered, &mut lags).await?;
            pair.admin_transactions += administration.end().await?;
        } else {
            measured(context, reports, &mut pair.measured, &mut lags).await?;
        }
        if let Some(items) = items {
            yardstick(context, items, &mut pair.echo).await?;
        }
        let (ours, echo) = (pair.measured.per_second(), pair.echo.per_second());
        progress(&format!(
            "full reports {}: {ours:.0}/s, yardstick {echo:.0}/s, ratio {:.3}",
            number + 1,
            pair.ratio()
        ));
    }
    let bytes = bytes / (agents.len() as u64).max(1);
    Ok((pair, lags, bytes))
}

/// Makes the contents of a wave on all cores.
async fn prepare(model: &Arc<Model>, agents: &[Arc<Agent>]) -> Result<Vec<Member>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tasks: Vec<_> = agents
        .chunks(agents.len().div_ceil(threads).max(1))
        .map(|part| {
            let (model, part) = (Arc::clone(model), part.to_vec());
            tokio::task::spawn_blocking(move || part.into_iter().map(|agent| member(&model, agent)).collect::<Vec<_>>())
        })
        .collect();
    let mut members = Vec::with_capacity(agents.len());
    for task in tasks {
        members.extend(task.await.context("make the contents of a wave")?);
    }
    Ok(members)
}

fn member(model: &Model, agent: Arc<Agent>) -> Member {
    let sight = agent.scan(model, 0);
    Member { report: Report::of(&sight), items: echo::items(&sight), agent }
}

async fn measured(
    context: &BenchContext<'_>,
    wave: Vec<(Arc<Agent>, Report)>,
    side: &mut Side,
    lags: &mut Vec<u64>,
) -> Result<()> {
    let address = context.swarm.address.clone();
    let (opened, calls) = drive::each(wave, context.sizes.at_once, move |(agent, report): (Arc<Agent>, Report)| {
        let address = address.clone();
        async move {
            let mut call = agent.connect(&address).await?;
            call.check_in(digest_bytes(&report), Some(&report)).await?;
            Ok((call, report))
        }
    })
    .await;
    enough(&opened, "open connections to the collector")?;
    context.collector.judged().await?;
    rest(&[context.collector.pid(), context.echo.pid()]).await;

    let before = cpu(context.collector.pid());
    let watch = Watch::begin(context.collector.operator.clone());
    let (tally, lines) = drive::each(calls, context.sizes.at_once, |(mut call, report): (Call, Report)| async move {
        call.upload(&report, None).await?;
        Ok(call)
    })
    .await;
    let answered = Instant::now();
    context.collector.judged().await?;
    side.after += answered.elapsed();
    lags.extend(watch.end().await?);
    side.cpu += cpu(context.collector.pid()).saturating_sub(before);
    side.tally.append(tally);
    // Close the connections after the measurement: that is work for the server, too.
    drop(lines);
    rest(&[context.collector.pid(), context.echo.pid()]).await;
    Ok(())
}

async fn yardstick(
    context: &BenchContext<'_>,
    wave: Vec<(Arc<Agent>, proto::ReportRequest)>,
    side: &mut Side,
) -> Result<()> {
    type Opened = (EchoServiceClient<Line>, proto::ReportRequest);
    let address = context.echo.address.clone();
    let (opened, calls) =
        drive::each(wave, context.sizes.at_once, move |(agent, items): (Arc<Agent>, proto::ReportRequest)| {
            let address = address.clone();
            async move {
                // Opened in the same way as the connection to the collector.
                let mut call = agent.connect(&address).await?;
                call.check_in(vec![0; 32].into(), None).await?;
                Ok((EchoServiceClient::with_origin(call.line(), address.origin()), items))
            }
        })
        .await;
    enough(&opened, "open connections to the yardstick")?;
    rest(&[context.collector.pid(), context.echo.pid()]).await;

    let before = cpu(context.echo.pid());
    let (tally, lines) = drive::each(calls, context.sizes.at_once, |(mut client, items): Opened| async move {
        client.report(items).await.map_err(|status| anyhow::anyhow!("{status}"))?;
        Ok(client)
    })
    .await;
    side.cpu += cpu(context.echo.pid()).saturating_sub(before);
    side.tally.append(tally);
    drop(lines);
    rest(&[context.collector.pid(), context.echo.pid()]).await;
    Ok(())
}

/// Makes administrative transactions at a steady rate until it is stopped.
struct Administration {
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<u64>>,
}

impl Administration {
    fn begin(operator: Operator, rate: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let task = tokio::spawn(async move {
            let mut due = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1).max(1));
            let mut done = 0;
            while !is_over.load(Ordering::Relaxed) {
                due.tick().await;
                operator.create_token().await?;
                done += 1;
            }
            Ok(done)
        });
        Self { over, task }
    }

    /// The number of transactions.
    async fn end(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.context("administer the collector")?
    }
}

/// The time between two samples of the judge queue's lag.
const SAMPLE: Duration = Duration::from_millis(20);

/// Samples the judge queue's lag until it is stopped.
struct Watch {
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Vec<u64>>>,
}

impl Watch {
    fn begin(operator: Operator) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let task = tokio::spawn(async move {
            let mut lags = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                lags.push(operator.status().await?.judge_queue_lag_ms);
                tokio::time::sleep(SAMPLE).await;
            }
            Ok(lags)
        });
        Self { over, task }
    }

    async fn end(self) -> Result<Vec<u64>> {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.context("sample the judge queue's lag")?
    }
}
