//! Seals the ledger every ten seconds.

use std::sync::Arc;
use std::time::Duration;

use crate::actions;
use crate::attestation::SealKey;
use crate::clock::Clock;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};

/// How often new entries are sealed.
const EVERY: Duration = Duration::from_secs(10);

/// Seals until the stop.
pub(super) async fn keep(store: Arc<dyn Store>, key: Arc<SealKey>, clock: Clock, stop: StopToken) {
    loop {
        match actions::ledger_seal(store.as_ref(), &key, clock()).await {
            Ok(()) => {}
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => tracing::error!(error = %failed, "sealing the ledger failed; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
