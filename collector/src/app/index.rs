//! Builds the index of search, step by step, off the way of reports.

use std::sync::Arc;
use std::time::Duration;

use crate::shutdown::StopToken;
use crate::store::{IndexStep, Store, StoreError};

/// Observations that wait before a segment is made of their sections: until then they are searched one by one, which is
/// quick for so few.
const WAITING: usize = 100_000;
/// How often it is looked whether so many wait.
const EVERY: Duration = Duration::from_secs(1);
/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(30);

/// Builds until the stop. A failure is logged, and tried again: without the index answers are slower, and as right.
pub(super) async fn build(store: Arc<dyn Store>, stop: StopToken) {
    loop {
        let pause = match store.index_advance(WAITING).await {
            Ok(IndexStep::Taken) => Duration::ZERO,
            Ok(IndexStep::Nothing | IndexStep::Later) => EVERY,
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => {
                tracing::error!(error = %failed, "the index of search was not built further; tried again soon");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
