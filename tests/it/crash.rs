//! `kill -9` of collector and agents at random moments under load: what was acknowledged is stored, and stored once.
//!
//! Players (agents that the test plays message by message) deliver new snapshots as fast as they are answered. Real agents
//! scan real roots at the same time and are killed too. After each kill of the collector the store is checked and compared
//! with what was acknowledged. `MUSTER_TEST_SEED` repeats a run.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use muster_proto::canonical;
use muster_proto::model::{Digest, HostId};
use muster_tests::canned::Root;
use muster_tests::chance::Chance;
use muster_tests::eventually;
use muster_tests::lab::{Agent, Lab, PATIENCE};
use muster_tests::player::{Player, snapshot_of};
use muster_tests::process::{Answer, Process};

/// How often the collector is killed, and agents at least.
const KILLS: u32 = 50;
/// The whole store is checked after every fifth kill; what was acknowledged is compared after each.
const CHECKED: u32 = 5;
const PLAYERS: usize = 3;

/// What one player has sent, and what was acknowledged.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sent {
    pub(crate) attempted: Vec<Digest>,
    pub(crate) acknowledged: Vec<Digest>,
}

/// A player with its record.
struct Contestant {
    player: Player,
    sent: Sent,
    next: u64,
}

impl Contestant {
    /// Delivers one new snapshot after another until the collector is killed.
    async fn run(mut self, listening: String, ca: std::path::PathBuf) -> Self {
        if self.player.reconnect(&listening, &ca).await.is_err() {
            return self;
        }
        loop {
            self.next += 1;
            let own = format!("{}-package-{}", self.player.host, self.next);
            let (snapshot, sections) = snapshot_of(&["adduser", "dpkg", &own]);
            let digest = canonical::snapshot_digest(&snapshot);
            self.sent.attempted.push(digest);
            match self.player.deliver(&snapshot, &sections).await {
                Ok(true) => self.sent.acknowledged.push(digest),
                // It was not acknowledged, so nothing is promised. The next snapshot follows.
                Ok(false) | Err(_) => return self,
            }
        }
    }
}

#[test]
fn fifty_kills_neither_lose_nor_duplicate_an_acknowledged_snapshot() -> Result<()> {
    let (mut chance, seed) = Chance::from_environment(20_240_929);
    println!("MUSTER_TEST_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut lab = Lab::start()?;
    let mut contestants = Vec::new();
    for number in 0..PLAYERS {
        let player = runtime.block_on(Player::enroll(&lab, &format!("player-{number}")))?;
        contestants.push(Contestant { player, sent: Sent::default(), next: 0 });
    }
    let victim = Victim::start(&lab, chance.number())?;
    for kill in 1..=KILLS {
        let (listening, ca) = (lab.listening().agents.clone(), lab.ca());
        let running: Vec<_> = contestants
            .drain(..)
            .map(|contestant| runtime.spawn(contestant.run(listening.clone(), ca.clone())))
            .collect();
        std::thread::sleep(Duration::from_millis(20) + chance.moment(Duration::from_millis(800)));
        lab.kill_collector()?;
        for task in running {
            contestants.push(runtime.block_on(task)?);
        }
        // What a kill has damaged stays damaged, so a check after some of them finds it.
        if kill.is_multiple_of(CHECKED) {
            Answer::of(&mut lab.collector_command("check")?)?
                .expect_code(0)
                .with_context(|| format!("check after kill {kill} with seed {seed}"))?;
        }
        let kept = history(&lab.data_dir())?;
        for contestant in &contestants {
            compare(&contestant.sent, kept.get(&contestant.player.host), kill)
                .with_context(|| format!("player {} with seed {seed}", contestant.player.host))?;
        }
        lab.serve().with_context(|| format!("restart after kill {kill} with seed {seed}"))?;
    }
    let acknowledged: usize = contestants.iter().map(|contestant| contestant.sent.acknowledged.len()).sum();
    let unanswered: usize = contestants.iter().map(|c| c.sent.attempted.len() - c.sent.acknowledged.len()).sum();
    println!("{KILLS} kills of the collector, {acknowledged} snapshots acknowledged, {unanswered} not");
    ensure!(acknowledged >= 10 * PLAYERS, "there was no load: {acknowledged} snapshots");
    let report = victim.finish(&mut lab)?;
    println!("{} kills of the agent, {} of its reports acknowledged", report.kills, report.acknowledged.len());
    // On a slow machine few of its reports are acknowledged between two kills; without any, the test would show nothing.
    ensure!(report.acknowledged.len() > 2, "the agent hardly ever came through");
    assert_current(&lab, &contestants)
}

/// The snapshots of each host in the store, oldest first.
pub(crate) fn history(data_dir: &Path) -> Result<BTreeMap<HostId, Vec<Digest>>> {
    let database = rusqlite::Connection::open(data_dir.join("muster.db"))?;
    let mut statement = database.prepare(
        "SELECT host.id, snapshot.digest FROM ( \
             SELECT host, since, snapshot FROM host_snapshot UNION ALL SELECT no, snapshot_since, snapshot FROM host \
         ) had JOIN host ON host.no = had.host JOIN snapshot ON snapshot.no = had.snapshot ORDER BY had.host, had.since",
    )?;
    let mut history: BTreeMap<HostId, Vec<Digest>> = BTreeMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (host, snapshot): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        history.entry(HostId::try_from(host.as_slice())?).or_default().push(Digest::try_from(snapshot.as_slice())?);
    }
    Ok(history)
}

/// Every acknowledged snapshot is in the history, in order. Nothing is there twice, and nothing that was never sent.
pub(crate) fn compare(sent: &Sent, kept: Option<&Vec<Digest>>, kill: u32) -> Result<()> {
    let none = Vec::new();
    let kept = kept.unwrap_or(&none);
    let acknowledged: Vec<&Digest> = kept.iter().filter(|digest| sent.acknowledged.contains(digest)).collect();
    ensure!(
        acknowledged.iter().copied().eq(sent.acknowledged.iter()),
        "after kill {kill}: {} snapshots were acknowledged, {} of them are kept, or in another order",
        sent.acknowledged.len(),
        acknowledged.len()
    );
    for (index, digest) in kept.iter().enumerate() {
        ensure!(sent.attempted.contains(digest), "after kill {kill}: a snapshot is kept that nobody sent");
        ensure!(!kept[..index].contains(digest), "after kill {kill}: snapshot {digest} is kept twice");
    }
    Ok(())
}

/// After the last restart deliveries continue, and the last snapshot is current.
fn assert_current(lab: &Lab, contestants: &[Contestant]) -> Result<()> {
    lab.judged()?;
    for contestant in contestants {
        let host = lab.muster(&["host", &contestant.player.host.to_string(), "-o", "json"])?.json()?;
        let current = host["snapshot"].as_str().unwrap_or_default().to_owned();
        let last = contestant.sent.acknowledged.last().map(ToString::to_string);
        let later = contestant.sent.attempted.last().map(ToString::to_string);
        ensure!(
            Some(&current) == last.as_ref() || Some(&current) == later.as_ref(),
            "the current snapshot is {current}, and neither the last acknowledged {last:?} nor the last sent"
        );
    }
    Ok(())
}

/// A real agent that scans a changing root and is killed repeatedly.
struct Victim {
    agent: Agent,
    root: Arc<Root>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Report>>,
}

/// What the killed agent saw acknowledged, and how often it was killed.
#[derive(Debug, Default)]
struct Report {
    kills: u32,
    acknowledged: Vec<Digest>,
}

impl Victim {
    fn start(lab: &Lab, seed: u64) -> Result<Self> {
        let agent = lab.enrolled_agent("victim")?;
        let root = Arc::new(Root::debian("victim")?);
        let stop = Arc::new(AtomicBool::new(false));
        let log = lab.folder().join("victim.log");
        let thread = {
            let (agent, root, stop) = (agent.clone(), Arc::clone(&root), Arc::clone(&stop));
            let address = lab.listening().agents.clone();
            std::thread::spawn(move || -> Result<Report> {
                let mut chance = Chance::new(seed);
                let mut report = Report::default();
                let mut round = 0;
                // How long one delivery takes on this machine, so that kills hit every part of it.
                let mut whole = Duration::from_millis(300);
                while !stop.load(Ordering::SeqCst) || report.kills < KILLS {
                    round += 1;
                    root.install(&format!("round-{round}"), "1.0")?;
                    let mut command = agent.command("once")?;
                    command.args(["-o", "json", "--root"]).arg(root.path());
                    let begun = Instant::now();
                    let mut process = Process::start(command, &log)?;
                    let spared = round % 3 == 0;
                    if !spared {
                        std::thread::sleep(chance.moment(whole));
                    }
                    match if spared { Some(process.wait(PATIENCE)?) } else { process.ended()? } {
                        None => {
                            process.kill()?;
                            report.kills += 1;
                        }
                        Some(status) if status.success() => {
                            whole = begun.elapsed();
                            report.acknowledged.push(acknowledged_by(&process)?);
                        }
                        // The collector is away and the snapshot is in the spool; more snapshots would test nothing new.
                        Some(_) => eventually("the collector is back", PATIENCE, || {
                            Ok(TcpStream::connect(&address).is_ok().then_some(()))
                        })?,
                    }
                }
                Ok(report)
            })
        };
        Ok(Self { agent, root, stop, thread })
    }

    /// After all kills the agent still has its identity and a valid spool: it delivers, every acknowledged snapshot is stored
    /// once, and its last snapshot is current.
    fn finish(self, lab: &mut Lab) -> Result<Report> {
        self.stop.store(true, Ordering::SeqCst);
        let mut report = self.thread.join().map_err(|_| anyhow::anyhow!("the victim's thread panicked"))??;
        self.root.install("last-of-all", "9.9")?;
        let last = Answer::of(self.agent.command("once")?.args(["-o", "json", "--root"]).arg(self.root.path()))?;
        let last = digest_of(&last.expect_code(0).context("the victim's last report")?.stdout)?;
        report.acknowledged.push(last);
        let host = lab.muster(&["host", "victim", "-o", "json"])?.json()?;
        ensure!(host["snapshot"] == last.to_string(), "the current snapshot is not that of the last report");
        lab.stop_collector()?;
        let id = host["id"].as_str().unwrap_or_default().parse::<HostId>()?;
        let kept = history(&lab.data_dir())?.remove(&id).unwrap_or_default();
        for digest in &report.acknowledged {
            let times = kept.iter().filter(|other| *other == digest).count();
            ensure!(times == 1, "an acknowledged snapshot is stored {times} times");
        }
        lab.serve()?;
        Ok(report)
    }
}

/// The snapshot that the agent reports as acknowledged, in the last line of its output.
fn acknowledged_by(process: &Process) -> Result<Digest> {
    let output = process.output();
    digest_of(output.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default())
}

fn digest_of(report: &str) -> Result<Digest> {
    let report: serde_json::Value = serde_json::from_str(report).with_context(|| format!("no report: {report:?}"))?;
    Ok(report["snapshot"].as_str().context("a report without a snapshot")?.parse::<Digest>()?)
}
