//! What the collector records about hosts that have spent a budget. No account acts: the agent has sent too much.

use std::collections::BTreeMap;

use muster_proto::model::{Budget, HostId, Timestamp};

use crate::ledger::actor::Actor;
use crate::store::admin::throttled::{self, PORTION};
use crate::store::{Acting, AdminTx, Store, StoreError, admin};

/// Marks hosts that have spent a budget, with a ledger entry.
///
/// # Errors
/// The store failed.
pub async fn hosts_throttled(store: &dyn Store, spent: &[(HostId, Budget)], now: Timestamp) -> Result<(), StoreError> {
    let mut by_budget: BTreeMap<Budget, Vec<HostId>> = BTreeMap::new();
    for (host, budget) in spent {
        by_budget.entry(*budget).or_default().push(*host);
    }
    for (budget, hosts) in by_budget {
        for portion in hosts.chunks(PORTION) {
            let portion = portion.to_vec();
            let mark = move |tx: &mut dyn AdminTx| throttled::mark(tx, &portion, budget, now);
            admin::write(store, "hosts_throttled", acting(now), mark).await?;
        }
    }
    Ok(())
}

/// Takes the mark from hosts that have had it for a day.
///
/// # Errors
/// The store failed.
pub async fn throttling_ended(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let unmark = move |tx: &mut dyn AdminTx| throttled::unmark(tx, now);
        if admin::write(store, "throttling_ended", acting(now), unmark).await? < PORTION {
            return Ok(());
        }
    }
}

const fn acting(now: Timestamp) -> Acting {
    Acting { actor: Actor::Agent, now }
}
