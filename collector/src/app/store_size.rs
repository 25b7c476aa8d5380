//! Notes the size of the store from time to time.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::api::ResourceWatch;
use crate::clock::Clock;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};

/// A day has 144 of them.
const EVERY: Duration = Duration::from_secs(600);

/// Notes it until the stop.
pub(super) async fn watch(store: Arc<dyn Store>, resources: Arc<ResourceWatch>, clock: Clock, stop: StopToken) {
    loop {
        match store.size().await {
            Ok(size) => resources.store_size(size, clock()),
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => error!(error = %failed, "the size of the store could not be read"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
