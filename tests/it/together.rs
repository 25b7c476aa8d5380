//! Two collectors on one PostgreSQL under load, and `kill -9` of either in turn: the agents go on at the other, nothing
//! that was acknowledged is lost, and nothing is there twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster_proto::canonical;
use muster_proto::model::{Digest, HostId};
use muster_tests::binaries;
use muster_tests::chance::Chance;
use muster_tests::lab::Lab;
use muster_tests::player::{Player, snapshot_of};
use muster_tests::postgres::{Database, Server};
use muster_tests::process::Answer;

use crate::crash::{Sent, compare};

/// How often a collector is killed.
const KILLS: u32 = 8;
const PLAYERS: usize = 4;

/// A player that goes to the other collector when the one that it talks to does not answer.
struct Commuter {
    player: Player,
    sent: Sent,
    next: u64,
}

impl Commuter {
    async fn run(mut self, doors: Arc<[String; 2]>, ca: PathBuf, stop: Arc<AtomicBool>) -> Self {
        let mut at = self.next as usize;
        while !stop.load(Ordering::SeqCst) {
            at += 1;
            let address = &doors[at % 2];
            let opened = tokio::time::timeout(Duration::from_secs(5), self.player.reconnect(address, &ca)).await;
            if !matches!(opened, Ok(Ok(()))) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            // A while at this one, then at the other, also when nothing goes wrong.
            for _ in 0..20 {
                if stop.load(Ordering::SeqCst) || !self.report().await {
                    break;
                }
            }
        }
        self
    }

    async fn report(&mut self) -> bool {
        self.next += 1;
        let own = format!("{}-package-{}", self.player.host, self.next);
        let (snapshot, sections) = snapshot_of(&["adduser", "dpkg", &own]);
        let digest = canonical::snapshot_digest(&snapshot);
        self.sent.attempted.push(digest);
        let answer = tokio::time::timeout(Duration::from_secs(20), self.player.deliver(&snapshot, &sections)).await;
        let acknowledged = matches!(answer, Ok(Ok(true)));
        if acknowledged {
            self.sent.acknowledged.push(digest);
        }
        acknowledged
    }
}

#[test]
fn of_two_collectors_on_one_postgresql_either_may_be_killed() -> Result<()> {
    let (mut chance, seed) = Chance::from_environment(20_240_929);
    println!("MUSTER_TEST_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = Server::shared()?;
    let database = server.database()?;
    let first = Lab::start_on(&database.url())?;
    let second = first.join()?;
    let mut commuters = Vec::new();
    for number in 0..PLAYERS {
        let player = runtime.block_on(Player::enroll(&first, &format!("commuter-{number}")))?;
        commuters.push(Commuter { player, sent: Sent::default(), next: number as u64 });
    }
    let doors = Arc::new([first.listening().agents.clone(), second.listening().agents.clone()]);
    let stop = Arc::new(AtomicBool::new(false));
    let running: Vec<_> = commuters
        .into_iter()
        .map(|commuter| runtime.spawn(commuter.run(Arc::clone(&doors), first.ca(), Arc::clone(&stop))))
        .collect();
    let mut labs = [first, second];
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_millis(300) + chance.moment(Duration::from_millis(700)));
        let lab = &mut labs[kill as usize % 2];
        lab.kill_collector()?;
        std::thread::sleep(Duration::from_millis(200) + chance.moment(Duration::from_millis(400)));
        lab.serve().with_context(|| format!("restart after kill {kill} with seed {seed}"))?;
    }
    // The last one is not started again: the agents, and what waits for judgement, are the other's alone.
    labs[0].kill_collector()?;
    std::thread::sleep(Duration::from_millis(800));
    stop.store(true, Ordering::SeqCst);
    let mut commuters = Vec::new();
    for task in running {
        commuters.push(runtime.block_on(task)?);
    }
    labs[1].judged()?;
    let kept = history(&database)?;
    for commuter in &commuters {
        compare(&commuter.sent, kept.get(&commuter.player.host), KILLS)
            .with_context(|| format!("host {} with seed {seed}", commuter.player.host))?;
        ensure!(commuter.sent.acknowledged.len() > 10, "there was no load");
    }
    let acknowledged: usize = commuters.iter().map(|commuter| commuter.sent.acknowledged.len()).sum();
    println!("{} kills of a collector, {acknowledged} snapshots acknowledged", KILLS + 1);
    Answer::of(&mut labs[1].collector_command("check")?)?.expect_code(0).with_context(|| format!("seed {seed}"))?;
    Ok(())
}

#[test]
fn a_collector_with_another_ca_is_refused_with_advice() -> Result<()> {
    let server = Server::shared()?;
    let database = server.database()?;
    let first = Lab::start_on(&database.url())?;
    let other = Lab::start()?;
    for has_ca in [false, true] {
        let folder = tempfile::tempdir()?;
        if has_ca {
            for name in ["ca.pem", "ca.key"] {
                std::fs::copy(other.data_dir().join(name), folder.path().join(name))?;
            }
        }
        let mut init = std::process::Command::new(binaries::find("muster-collector")?);
        init.env("MUSTER_COLLECTOR__STORE__URL", database.url()).arg("init").arg("--data-dir").arg(folder.path());
        let refused = Answer::of(&mut init)?.expect_code(1)?;
        ensure!(refused.stderr.contains("belongs to the CA with pin"), "{}", refused.stderr);
        ensure!(refused.stderr.contains("copy ca.pem and ca.key"), "{}", refused.stderr);
        ensure!(folder.path().join("ca.pem").exists() == has_ca, "no CA is made beside the one that there is");
    }
    drop(first);
    Ok(())
}

/// The snapshots that each host has had, oldest first, as the database has them.
pub(crate) fn history(database: &Database) -> Result<BTreeMap<HostId, Vec<Digest>>> {
    let rows = database.sql(
        "SELECT encode(h.id, 'hex'), encode(l.digest, 'hex') FROM (
             SELECT host, since, snapshot FROM host_snapshot
             UNION ALL SELECT host, snapshot_since, snapshot FROM host_current WHERE snapshot IS NOT NULL
         ) p JOIN host h ON h.no = p.host JOIN snapshot l ON l.no = p.snapshot ORDER BY p.host, p.since",
    )?;
    let mut history: BTreeMap<HostId, Vec<Digest>> = BTreeMap::new();
    for row in rows.lines() {
        let (host, snapshot) = row.split_once('|').context("a row without two columns")?;
        let decode = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes());
        let host = HostId::try_from(decode(host)?.as_slice())?;
        history.entry(host).or_default().push(Digest::try_from(decode(snapshot)?.as_slice())?);
    }
    Ok(history)
}
