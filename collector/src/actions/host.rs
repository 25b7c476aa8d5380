//! Actions on hosts.

use muster_proto::model::{HostId, Timestamp};

use super::{ActionError, Caller};
use crate::store::{Store, admin};

/// Revokes all keys of a host: it can no longer report, and stays in all counts. `false` if there is no such host at the
/// caller's sites.
///
/// # Errors
/// The store fails.
pub async fn host_revoke(
    store: &dyn Store,
    caller: &Caller,
    host: HostId,
    now: Timestamp,
) -> Result<bool, ActionError> {
    let scope = caller.scope.clone();
    let revoke = move |tx: &mut dyn admin::AdminTx| admin::hosts::revoke(tx, host, &|site| scope.contains(site), now);
    Ok(admin::write(store, "host_revoke", caller.acting(now), revoke).await?)
}
