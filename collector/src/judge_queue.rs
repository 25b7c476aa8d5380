//! Works off the judge queue: claims hosts that wait, judges them, and writes hits and verdicts to the store. It is where
//! the store and the judge meet.
//!
//! ```text
//!  claim ─► sections ─► hits (once per section) ─► assessments (once per snapshot and state key) ─► place ─► settle
//!              ▲ on a blocking thread                  ▲ in memory only
//! ```
//!
//! A host whose snapshot cannot be read stays on the queue, keeps its last verdict, and is tried again. The queue's lag
//! shows it.

mod assessment_cache;
mod judging;
mod lane_moves;
mod proof;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use muster_proto::model::Timestamp;
use tokio::sync::{Mutex, Notify};

pub use self::lane_moves::lane_moves;

use self::assessment_cache::AssessmentCache;
use crate::attestation::SealKey;
use crate::clock::Clock;
use crate::rules::RuleSet;
use crate::shutdown;
use crate::store::{QueuedHost, Settlement, Store, StoreError};

/// Hosts in a claim, at first and after a slow batch: enough to make a transaction worthwhile, few enough that the first verdict
/// does not wait long.
const BATCH: usize = 256;
/// Most hosts in a claim. Each batch costs one sync of the disk, so machines of one image are judged in large ones.
const LARGEST_BATCH: usize = 1_024;
/// A batch that was judged faster than this is followed by a larger one.
const QUICK: Duration = Duration::from_millis(50);
/// How long to wait for a wake-up before looking anyway: another process may have queued hosts.
const IDLE: Duration = Duration::from_millis(200);
/// How long to wait after a failure of the store.
const PAUSE: Duration = Duration::from_secs(1);

/// Judges the hosts that wait.
pub struct JudgeQueue {
    store: Arc<dyn Store>,
    rules: Arc<ArcSwap<RuleSet>>,
    wake: Arc<Notify>,
    /// Signs attestations; without it, none are issued.
    seal: Option<Arc<SealKey>>,
    /// Locked for a whole batch, so that two batches never judge the same snapshot twice.
    cache: Mutex<AssessmentCache>,
}

impl JudgeQueue {
    /// A judge queue over this store. It judges under the rules that are in force at each claim.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, rules: Arc<ArcSwap<RuleSet>>) -> Self {
        let wake = store.queue_notify();
        Self { store, rules, wake, seal: None, cache: Mutex::default() }
    }

    /// The same judge queue, which attests the removals that it finds proven.
    #[must_use]
    pub fn sealing_with(self, key: Arc<SealKey>) -> Self {
        Self { seal: Some(key), ..self }
    }

    /// Wakes the judge queue. The store also wakes it when it queues a host.
    #[must_use]
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Judges until `shutdown`. A failure of the store is retried; the same failure in a row is logged once.
    pub async fn run(&self, clock: Clock, shutdown: shutdown::StopToken) {
        let mut failing = None;
        while !shutdown.is_cancelled() {
            let pause = match self.drain(clock()).await {
                Ok(_) => {
                    failing = None;
                    IDLE
                }
                // A closed store does not open again, so a retry would be useless.
                Err(StoreError::Closed { .. }) => return,
                Err(error) => {
                    let text = error.to_string();
                    if failing.as_ref() != Some(&text) {
                        tracing::error!(error = %text, "cannot judge waiting hosts: the store failed; retrying");
                        failing = Some(text);
                    }
                    PAUSE
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Judges every waiting host and returns how many were judged. A batch is judged while the store writes the one before it.
    ///
    /// # Errors
    /// The store failed. Batches that were settled before stay settled.
    pub async fn drain(&self, now: Timestamp) -> Result<u64, StoreError> {
        let (mut judged, mut batch, mut settlement) = (0, BATCH, None);
        loop {
            let began = Instant::now();
            let judge = async { (self.judge_batch(batch, now).await, began.elapsed()) };
            let ((next, took), settled) = tokio::join!(judge, self.settle(settlement.take()));
            if let (Err(_), Ok(Some(_))) = (&settled, &next) {
                // Otherwise these hosts would wait until their claims end. Of two failures the first is reported.
                let _ = self.settle(next?).await;
                return settled;
            }
            judged += settled?;
            settlement = next?;
            if settlement.is_none() {
                return Ok(judged);
            }
            batch = next_batch(batch, took);
        }
    }

    /// Judges at most so many hosts; `None` if none waits.
    async fn judge_batch(&self, most: usize, now: Timestamp) -> Result<Option<Settlement>, StoreError> {
        // Rules can be replaced while the queue drains, so every batch loads them again.
        let rules = self.rules.load_full();
        let mut cache = self.cache.lock().await;
        // Adoption puts every host on the queue, so it comes before the claim.
        if cache.is_outdated(&rules.version) {
            self.store.rules_adopt(&rules.version, now).await?;
            cache.restart(&rules.version);
        }
        let claimed = self.store.queue_claim(most, now).await?;
        if claimed.is_empty() {
            return Ok(None);
        }
        self.judge(&mut cache, &rules, &claimed, now).await.map(Some)
    }

    /// Writes what a batch has come to; returns how many hosts it judged.
    async fn settle(&self, settlement: Option<Settlement>) -> Result<u64, StoreError> {
        let Some(settlement) = settlement else { return Ok(0) };
        let judged = settlement.judgements.len() as u64;
        self.store.queue_settle(settlement).await?;
        Ok(judged)
    }

    async fn judge(
        &self,
        cache: &mut AssessmentCache,
        rules: &Arc<RuleSet>,
        claimed: &[QueuedHost],
        now: Timestamp,
    ) -> Result<Settlement, StoreError> {
        let hits = cache.load(&*self.store, rules, claimed).await?;
        let attests = self.seal.is_some();
        let judgements = claimed.iter().filter_map(|host| judging::judge(cache, rules, host, attests, now)).collect();
        let (rules_version, seal) = (rules.version.clone(), self.seal.clone());
        Ok(Settlement { judgements, hits, rules_version, now, seal })
    }
}

/// How many hosts to claim after a batch of so many, which took so long to judge.
fn next_batch(hosts: usize, took: Duration) -> usize {
    if took <= QUICK { (hosts * 2).min(LARGEST_BATCH) } else { BATCH }
}
