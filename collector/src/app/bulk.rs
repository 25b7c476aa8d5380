//! Goes on with changes of many hosts, also with those that a stop has interrupted.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::actions;
use crate::clock::Clock;
use crate::rules::RuleSet;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};

/// How often it looks for changes that are not done.
const EVERY: Duration = Duration::from_millis(500);
/// How long it waits after a failure of the store.
const PAUSE: Duration = Duration::from_secs(5);

/// Goes on until the stop. Several collectors may do this at once: each transaction takes the next hosts.
pub(super) async fn advance(store: Arc<dyn Store>, rules: Arc<ArcSwap<RuleSet>>, clock: Clock, stop: StopToken) {
    loop {
        let in_force = rules.load_full();
        // Each portion is one transaction, so the stop may come between two of them.
        let advanced = tokio::select! {
            () = stop.cancelled() => return,
            advanced = actions::bulk_advance(store.as_ref(), &in_force, &clock) => advanced,
        };
        let pause = match advanced {
            Ok(()) => EVERY,
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => {
                tracing::error!(error = %failed, "changing hosts failed; trying again");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
