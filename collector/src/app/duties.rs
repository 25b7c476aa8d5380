//! Opens duties: follows what the judge has found, milestones, days, and orders that are switched on and off.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::actions;
use crate::clock::Clock;
use crate::rules::RuleSet;
use crate::shutdown::StopToken;
use crate::store::{Store, StoreError};

/// How often it reads what is to be done.
const EVERY: Duration = Duration::from_millis(500);
/// How long it waits after a failure of the store.
const PAUSE: Duration = Duration::from_secs(5);

/// Opens them until the stop. Several collectors may do this at once: what one has opened, another does not open again.
pub(super) async fn follow(store: Arc<dyn Store>, rules: Arc<ArcSwap<RuleSet>>, clock: Clock, stop: StopToken) {
    let mut followed = String::new();
    loop {
        let set = rules.load_full();
        let pause = match actions::duties_follow(store.as_ref(), &set, followed != set.version, clock()).await {
            Ok(is_in_force) => {
                if is_in_force {
                    followed.clone_from(&set.version);
                }
                EVERY
            }
            Err(StoreError::Closed { .. }) => return,
            Err(failed) => {
                tracing::error!(error = %failed, "opening duties failed; trying again");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests;
