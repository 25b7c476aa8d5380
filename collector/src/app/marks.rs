//! Shows in the metrics how many hosts have each mark. Every collector counts the marks of the whole store.

use std::sync::Arc;
use std::time::Duration;

use crate::shutdown::StopToken;
use crate::store::{AdminTx, SiteScope, Store, StoreError, admin};
use crate::telemetry::Metrics;

/// How often they are counted: as often as metrics are usually read.
const EVERY: Duration = Duration::from_secs(15);

/// Counts them until the stop.
pub(super) async fn watch(store: Arc<dyn Store>, metrics: Arc<Metrics>, stop: StopToken) {
    loop {
        let count = move |tx: &mut dyn AdminTx| admin::hosts::count(tx, &SiteScope::All);
        match admin::read(store.as_ref(), "marks_count", count).await {
            Ok(counts) => metrics.set_marked(&counts),
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => tracing::error!(error = %failed, "the marks of hosts could not be counted"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
