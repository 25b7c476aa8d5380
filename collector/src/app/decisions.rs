//! Keeps what people decided about hosts: notes retired hosts that report again, and removes what ended long ago.

use std::sync::Arc;
use std::time::Duration;

use crate::actions;
use crate::clock::Clock;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};

/// How often retired hosts are looked for that report again. Readers see it at once; this is for the record.
const EVERY: Duration = Duration::from_secs(15);
/// How often it is removed what ended long ago: each so many rounds.
const ROUNDS: u32 = 240;
/// How long a request for a waiver may take.
const REQUEST: Duration = Duration::from_secs(3600);

/// Keeps them until the stop. What ended is kept for `retention`, as the lanes of hosts are. Several collectors may do this at once.
pub(super) async fn keep(store: Arc<dyn Store>, retention: Duration, clock: Clock, stop: StopToken) {
    for round in (0..ROUNDS).cycle() {
        match pass(store.as_ref(), retention, &clock, round == 0).await {
            Ok(()) => {}
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => tracing::error!(error = %failed, "keeping waivers and dispositions failed; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn pass(store: &dyn Store, retention: Duration, clock: &Clock, removes: bool) -> Result<(), StoreError> {
    let now = clock();
    actions::hosts_returned(store, now).await?;
    if removes {
        actions::decisions_remove(store, now.minus(retention), now.minus(REQUEST), now).await?;
    }
    Ok(())
}
