//! Keeps the roster: writes what hosts are recognised by, matches entries with hosts, and goes on with imports.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::actions;
use crate::clock::Clock;
use crate::rules::RuleSet;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};

/// How often it reads what is to be done.
const EVERY: Duration = Duration::from_secs(1);
/// How long it waits after a failure of the store.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps it until the stop. Several collectors may do this at once: each transaction takes what waits.
pub(super) async fn keep(store: Arc<dyn Store>, rules: Arc<ArcSwap<RuleSet>>, clock: Clock, stop: StopToken) {
    loop {
        let pause = match actions::roster_advance(&store, &rules.load_full(), &clock).await {
            Ok(()) => EVERY,
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => {
                tracing::error!(error = %failed, "matching the roster failed; trying again");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
