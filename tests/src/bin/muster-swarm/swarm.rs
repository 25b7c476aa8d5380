//! A fleet at one collector: makes missing keys, enrolls hosts that are not enrolled yet, and returns agents.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use muster_proto::model::EnrollmentToken;
use muster_proto::terminal::Progress;
use muster_proto::wire::agent_service_client::AgentServiceClient;
use tokio::sync::Mutex;

use crate::agent::{self, Agent, Enrolled, Versions};
use crate::drive;
use crate::fleet::{Model, Report};
use crate::keep::{Folder, KeptHost, KeptKey};
use crate::line::{Address, Line};
use crate::statistics::Tally;
use crate::trust::Trust;

/// Hosts that are written to the folder at once. An interrupted run has to repeat at most these.
const BATCH: u64 = 2_000;

/// A fleet and its collector.
#[derive(Debug)]
pub(crate) struct Swarm {
    /// The contents of its hosts.
    pub(crate) model: Arc<Model>,
    /// Its collector.
    pub(crate) address: Address,
    folder: Folder,
    keys: BTreeMap<u64, Vec<u8>>,
    hosts: BTreeMap<u64, KeptHost>,
    trust: Option<Trust>,
    versions: Arc<Versions>,
}

impl Swarm {
    /// Opens a new fleet, or one that an earlier run kept.
    pub(crate) fn open(model: Model, address: Address, folder: Option<&Path>) -> Result<Self> {
        let folder = Folder::open(folder, &model)?;
        let (keys, hosts) = (folder.keys()?, folder.hosts()?);
        let trust = folder.trust()?.map(|bundle| Trust::by_bundle(&bundle)).transpose()?;
        let versions = Arc::new(Versions::default());
        Ok(Self { model: Arc::new(model), address, folder, keys, hosts, trust, versions })
    }

    /// Makes missing keys on all cores.
    pub(crate) fn make_keys(&mut self, hosts: Range<u64>) -> Result<Tally> {
        let began = Instant::now();
        let mut tally = Tally::default();
        let missing: Vec<u64> = hosts.filter(|index| !self.keys.contains_key(index)).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let progress = Progress::default();
        progress.expect(missing.len() as u64);
        let _shown = progress.show("making keys");
        // Keys are written after each batch, so that an interrupted run loses few of them.
        for batch in missing.chunks(BATCH as usize * threads) {
            let share = batch.len().div_ceil(threads);
            let made = std::thread::scope(|scope| {
                let makers: Vec<_> = batch.chunks(share).map(|part| scope.spawn(move || make_keys(part))).collect();
                let ended = makers.into_iter().map(|maker| maker.join());
                ended
                    .map(|made| made.map_err(|_| anyhow::anyhow!("a thread that makes keys ended"))?)
                    .collect::<Result<Vec<_>>>()
            })?;
            progress.advance(batch.len() as u64);
            for (part, keys) in made {
                tally.merge(part);
                self.folder.add_keys(&keys)?;
                self.keys.extend(keys.into_iter().map(|kept| (kept.index, kept.key)));
            }
        }
        tally.elapsed = began.elapsed();
        Ok(tally)
    }

    /// The number of these hosts without a certificate.
    pub(crate) fn strangers(&self, hosts: Range<u64>) -> usize {
        hosts.filter(|index| !self.hosts.contains_key(index)).count()
    }

    /// Enrolls the hosts without a certificate.
    pub(crate) async fn enroll(&mut self, hosts: Range<u64>, token: &str, at_once: usize) -> Result<Tally> {
        let mut all = Tally::default();
        let missing: Vec<u64> = hosts.filter(|index| !self.hosts.contains_key(index)).collect();
        if missing.is_empty() {
            return Ok(all);
        }
        let pin = token.parse::<EnrollmentToken>().context("read the enrollment token")?.ca_pin;
        let tls = Trust::by_pin(pin).client(None)?;
        let mut lines = Vec::new();
        for _ in 0..at_once.min(missing.len()) {
            let line =
                Line::open(&self.address, &tls).await.context("connect to the agents' port with the token's pin")?;
            lines.push(AgentServiceClient::with_origin(line, self.address.origin()));
        }
        let lines = Arc::new(Mutex::new(lines));
        let progress = Progress::default();
        progress.expect(missing.len() as u64);
        let _shown = progress.show("enrolling hosts");
        for batch in missing.chunks(BATCH as usize) {
            let keys = batch.iter().filter_map(|index| Some((*index, self.keys.get(index)?.clone())));
            let (model, lines, token) =
                (Arc::clone(&self.model), Arc::clone(&lines), Arc::new(token.trim().to_owned()));
            let progress = progress.clone();
            let (tally, enrolled) = drive::each(keys.collect(), at_once, move |(index, key): (u64, Vec<u8>)| {
                let (model, lines, token) = (Arc::clone(&model), Arc::clone(&lines), Arc::clone(&token));
                let progress = progress.clone();
                async move {
                    // Only the facts are sent, and they do not depend on the watchlist.
                    let report = Report::of(&model.sight(index, 0, 0));
                    // There are at least as many connections as workers, and each worker returns the one that it took.
                    let line = lines.lock().await.pop();
                    let mut line = line.context("more workers than connections")?;
                    let answer = agent::enroll(&mut line, &token, index, &key, &report).await;
                    lines.lock().await.push(line);
                    progress.advance(1);
                    answer
                }
            })
            .await;
            self.keep(enrolled)?;
            // If a whole batch fails, the token or the collector is at fault, and the rest would fail, too.
            let hopeless = tally.done() == 0;
            all.append(tally);
            if hopeless {
                break;
            }
        }
        Ok(all)
    }

    fn keep(&mut self, enrolled: Vec<Enrolled>) -> Result<()> {
        let Some(first) = enrolled.first() else { return Ok(()) };
        // All hosts enroll at one collector, so the first bundle serves all of them.
        if self.trust.is_none() {
            self.folder.keep_trust(&first.ca_certificates)?;
            self.trust = Some(Trust::by_bundle(&first.ca_certificates)?);
        }
        let hosts: Vec<KeptHost> = enrolled.into_iter().map(|enrolled| enrolled.kept).collect();
        self.folder.add_hosts(&hosts)?;
        self.hosts.extend(hosts.into_iter().map(|kept| (kept.index, kept)));
        Ok(())
    }

    /// Gets the watchlist of the collector's rules with a check-in of one host. Real agents carry a watchlist of their build
    /// until then. Without it, a scan would not prove that products of the catalogue are absent.
    pub(crate) async fn learn_watchlist(&self) -> Result<()> {
        let Some(host) = self.hosts.keys().next() else { return Ok(()) };
        for agent in self.agents(*host..host + 1)? {
            let report = Report::of(&agent.scan(&self.model, 0));
            let mut call = agent.connect(&self.address).await?;
            call.check_in(agent::digest_bytes(&report), Some(&report)).await.context("get the watchlist")?;
        }
        Ok(())
    }

    /// The enrolled ones of these hosts, each as a new process.
    pub(crate) fn agents(&self, hosts: Range<u64>) -> Result<Vec<Arc<Agent>>> {
        let Some(trust) = &self.trust else { return Ok(Vec::new()) };
        let agent = |kept: &KeptHost| {
            let key =
                self.keys.get(&kept.index).with_context(|| format!("the key of host {} is missing", kept.index))?;
            Agent::new(kept, key, trust, Arc::clone(&self.versions))
        };
        self.hosts.range(hosts).map(|(_, kept)| agent(kept)).collect()
    }
}

fn make_keys(hosts: &[u64]) -> Result<(Tally, Vec<KeptKey>)> {
    let mut tally = Tally::default();
    let mut keys = Vec::with_capacity(hosts.len());
    for index in hosts {
        let began = Instant::now();
        let made = tally.count(began, agent::new_key());
        keys.extend(made.map(|key| KeptKey { index: *index, key }));
    }
    ensure!(tally.failed == 0, "{}", tally.first_failure.unwrap_or_default());
    Ok((tally, keys))
}
