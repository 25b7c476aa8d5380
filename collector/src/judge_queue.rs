//! The one meeting of store and judge: takes what waits, judges it, writes hits, assessments and verdicts.
//!
//! ```text
//!  claim ─► sections ─► hits (once a section) ─► assessments (once a snapshot and state) ─► case, place ─► settle
//!              ▲ detect on a thread that may block       ▲ kept in memory and in the store
//! ```
//!
//! A host whose look cannot be read stays on the judge queue and is tried again; its last verdict stands, and the lag shows.

mod assessment_cache;
mod judging;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_proto::model::Timestamp;
use tokio::sync::{Mutex, Notify};

use self::assessment_cache::AssessmentCache;
use crate::clock::Clock;
use crate::rules::RuleSet;
use crate::shutdown;
use crate::store::{QueuedHost, Settlement, Store, StoreError};

/// Hosts in one claim: enough for one settling transaction, few enough that the first verdict does not wait long.
const BATCH: usize = 256;
/// How often the judge queue snapshots without being woken: for hosts that a check or another process put there.
const IDLE: Duration = Duration::from_millis(200);
/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(1);

/// Judges what waits.
pub struct JudgeQueue {
    store: Arc<dyn Store>,
    rules: Arc<ArcSwap<RuleSet>>,
    wake: Arc<Notify>,
    /// One batch at a time: what one has judged, the next need not.
    cache: Mutex<AssessmentCache>,
}

impl JudgeQueue {
    /// A judge queue over this store, under the rules that are in force at the time.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, rules: Arc<ArcSwap<RuleSet>>) -> Self {
        let wake = store.queue_notify();
        Self { store, rules, wake, cache: Mutex::default() }
    }

    /// Wakes the judge queue. The store does so itself when a host has come to wait.
    #[must_use]
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Judges until the stop. A failure of the store is logged, once for each of its kind in a row, and tried again.
    pub async fn run(&self, clock: Clock, shutdown: shutdown::StopToken) {
        let mut failing = None;
        while !shutdown.is_cancelled() {
            let pause = match self.drain(clock()).await {
                Ok(_) => {
                    failing = None;
                    IDLE
                }
                Err(StoreError::Closed { .. }) => return,
                Err(error) => {
                    let text = error.to_string();
                    if failing.as_ref() != Some(&text) {
                        tracing::error!(error = %text, "hosts wait for judgement, and the store fails");
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

    /// Works off everything that waits, and says how many hosts were judged.
    ///
    /// # Errors
    /// The store fails; what was settled before stays settled.
    pub async fn drain(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut judged = 0;
        loop {
            let rules = self.rules.load_full();
            let mut cache = self.cache.lock().await;
            if cache.is_under_other(&rules.version) {
                self.store.rules_adopt(&rules.version, now).await?;
                cache.begin(&rules.version);
            }
            let claimed = self.store.queue_claim(BATCH, now).await?;
            if claimed.is_empty() {
                return Ok(judged);
            }
            let settlement = self.judge(&mut cache, &rules, &claimed, now).await?;
            judged += settlement.judgements.len() as u64;
            self.store.queue_settle(settlement).await?;
        }
    }

    async fn judge(
        &self,
        cache: &mut AssessmentCache,
        rules: &Arc<RuleSet>,
        claimed: &[QueuedHost],
        now: Timestamp,
    ) -> Result<Settlement, StoreError> {
        let hits = cache.learn(&*self.store, rules, claimed).await?;
        let judgements = claimed.iter().filter_map(|host| judging::judge(cache, rules, host, now)).collect();
        Ok(Settlement { judgements, hits, rules_version: rules.version.clone(), now })
    }
}
