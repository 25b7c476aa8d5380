//! Shows in the metrics how many hosts have spent a budget.

use std::time::Duration;

use crate::clock::Clock;
use crate::ingest::Budgets;
use crate::shutdown::StopToken;
use crate::telemetry::Metrics;

/// How often they are counted.
const EVERY: Duration = Duration::from_secs(2);

/// Counts until the stop.
pub(super) async fn watch(budgets: &Budgets, metrics: &Metrics, clock: &Clock, stop: StopToken) {
    loop {
        metrics.set_throttled(budgets.throttled(clock()).len());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
