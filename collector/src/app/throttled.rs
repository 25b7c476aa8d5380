//! Shows which hosts have spent a budget: their number in the metrics, and a mark that `muster hosts` and `status` show.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{HostId, Timestamp};

use crate::actions;
use crate::clock::Clock;
use crate::ingest::Budgets;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How often they are counted.
const EVERY: Duration = Duration::from_secs(2);
/// How often marks are set again and old ones removed.
const AGAIN: Duration = Duration::from_secs(3600);

/// Shows them until the stop.
pub(super) async fn watch(store: Arc<dyn Store>, budgets: &Budgets, metrics: &Metrics, clock: &Clock, stop: StopToken) {
    let mut told = Told::default();
    loop {
        match told.tell(store.as_ref(), budgets, metrics, clock()).await {
            Ok(()) => {}
            Err(StoreError::Closed { .. }) => return,
            // The next round tries again.
            Err(failed) => tracing::error!(error = %failed, "hosts that have spent a budget could not be marked"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// The hosts that were marked lately, so that a throttled host costs one write an hour at most.
#[derive(Debug, Default)]
struct Told {
    hosts: HashSet<HostId>,
    since: Option<Timestamp>,
}

impl Told {
    async fn tell(
        &mut self,
        store: &dyn Store,
        budgets: &Budgets,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let throttled = budgets.throttled(now);
        metrics.set_throttled(throttled.len());
        if self.since.is_none_or(|since| now.since(since) >= AGAIN) {
            actions::throttling_ended(store, now).await?;
            self.hosts.clear();
            self.since = Some(now);
        }
        let news = throttled.iter().filter(|one| !self.hosts.contains(&one.host));
        let news: Vec<_> = news.map(|one| (one.host, one.budget)).collect();
        if !news.is_empty() {
            actions::hosts_throttled(store, &news, now).await?;
            self.hosts.extend(news.iter().map(|(host, _)| *host));
        }
        Ok(())
    }
}
