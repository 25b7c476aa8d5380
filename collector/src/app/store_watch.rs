//! Watches whether the store accepts writes, and says so: in readiness, status and metrics, and in the log once a minute.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{StoreRefuses, Timestamp};
use tracing::{error, info};

use crate::api::probes::Readiness;
use crate::clock::Clock;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How often the log repeats that the store accepts no writes.
const AGAIN: Duration = Duration::from_secs(60);

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Notice {
    Refuses,
    Accepts { since: Timestamp },
}

/// What is known, and what was said about it.
#[derive(Debug, Default)]
struct Knowledge {
    refuses: Option<StoreRefuses>,
    said: Option<Timestamp>,
}

impl Knowledge {
    /// Learns the outcome of a write: nothing, or why it failed.
    fn learn(&mut self, failed: Option<String>, now: Timestamp) -> Option<Notice> {
        let Some(reason) = failed else {
            self.said = None;
            return self.refuses.take().map(|was| Notice::Accepts { since: was.since });
        };
        // It is one condition as long as it lasts, even if its reason changes.
        let since = self.refuses.as_ref().map_or(now, |was| was.since);
        self.refuses = Some(StoreRefuses { since, reason });
        if self.said.is_some_and(|said| now.since(said) < AGAIN) {
            return None;
        }
        self.said = Some(now);
        Some(Notice::Refuses)
    }
}

/// Watches the store of a running collector.
pub(super) struct StoreWatch {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) every: Duration,
    /// A write that takes longer counts as failed.
    pub(super) deadline: Duration,
    pub(super) readiness: Arc<Readiness>,
    pub(super) metrics: Arc<Metrics>,
}

impl StoreWatch {
    /// Watches until the stop.
    pub(super) async fn run(self, stop: StopToken) {
        let mut knowledge = Knowledge::default();
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            let written = tokio::select! {
                () = &mut stopped => return,
                written = tokio::time::timeout(self.deadline, self.store.write_check()) => written,
            };
            let failed = match written {
                Ok(Ok(())) => None,
                Ok(Err(StoreError::Closed { .. })) => return,
                Ok(Err(failed)) => Some(failed.to_string()),
                Err(_) => {
                    Some(format!("a write took longer than {} s (store.check_deadline)", self.deadline.as_secs_f64()))
                }
            };
            let notice = knowledge.learn(failed, (self.clock)());
            self.publish(&knowledge, notice).await;
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }

    async fn publish(&self, knowledge: &Knowledge, notice: Option<Notice>) {
        self.readiness.store_refuses.store(knowledge.refuses.clone().map(Arc::new));
        self.metrics.set_store_refuses(knowledge.refuses.as_ref().map(|refuses| refuses.since));
        match (notice, &knowledge.refuses) {
            (Some(Notice::Refuses), Some(StoreRefuses { since, reason })) => {
                // It may be that nothing can be read either; then the number is left out.
                let waiting = self.store.queue_depth().await.ok().map(|depth| depth.waiting);
                error!(
                    since = %since.whole_seconds().to_rfc3339(),
                    judge_queue.hosts = waiting,
                    "the store accepts no writes: {reason}; agents keep what they have to report"
                );
            }
            (Some(Notice::Accepts { since }), _) => {
                info!(since = %since.whole_seconds().to_rfc3339(), "the store accepts writes again");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_told_at_once_then_once_a_minute_and_when_it_ends() {
        let mut knowledge = Knowledge::default();
        let at = |seconds: u64| Timestamp::from_millis(0).plus(Duration::from_secs(seconds));
        let mut learn = |seconds: u64, failed: Option<&str>| {
            let notice = knowledge.learn(failed.map(str::to_owned), at(seconds));
            (notice, knowledge.refuses.clone().map(|refuses| (refuses.since, refuses.reason)))
        };
        let full = |since: u64, reason: &str| Some((at(since), reason.to_owned()));
        assert_eq!(learn(0, None), (None, None));
        assert_eq!(learn(10, Some("full")), (Some(Notice::Refuses), full(10, "full")));
        assert_eq!(learn(20, Some("read-only")), (None, full(10, "read-only")));
        assert_eq!(learn(69, Some("full")), (None, full(10, "full")));
        assert_eq!(learn(70, Some("full")), (Some(Notice::Refuses), full(10, "full")));
        assert_eq!(learn(80, None), (Some(Notice::Accepts { since: at(10) }), None));
        assert_eq!(learn(90, Some("full")), (Some(Notice::Refuses), full(90, "full")), "another condition");
    }
}
