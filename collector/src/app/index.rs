//! Builds the search index in the background, step by step.

use std::sync::Arc;
use std::time::Duration;

use crate::shutdown::StopToken;
use crate::store::{IndexStep, Store, StoreError};

/// How many observations may wait before a segment is built from their sections. Until then they are searched one by one.
const WAITING: usize = 100_000;
/// How often to check whether that many wait.
const EVERY: Duration = Duration::from_secs(1);
/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(30);

/// Builds until the stop. A failure is logged and tried again: without the index, searches are slower but still correct.
pub(super) async fn build(store: Arc<dyn Store>, stop: StopToken) {
    loop {
        let pause = match store.index_advance(WAITING).await {
            // More may wait, so the next step follows at once.
            Ok(IndexStep::Taken) => Duration::ZERO,
            Ok(IndexStep::Nothing | IndexStep::Later) => EVERY,
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => {
                tracing::error!(error = %failed, "building the search index failed; trying again in 30 s");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
