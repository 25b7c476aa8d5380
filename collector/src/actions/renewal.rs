//! Notes in the ledger that the collector replaced a secret of its own that was lost.

use muster_proto::model::{Timestamp, TokenId};

use super::{ActionError, Caller};
use crate::ledger::entry::Entry;
use crate::store::{Store, admin};

/// Adds the entry of a server key that was lost and created anew.
///
/// # Errors
/// The store fails.
pub async fn server_key_renewed(store: &dyn Store, caller: &Caller, now: Timestamp) -> Result<(), ActionError> {
    record(store, caller, Entry::ServerKeyRenewed, now).await
}

/// Adds the entry of an admin token whose file was lost, with the public part of the new one.
///
/// # Errors
/// The store fails.
pub async fn admin_token_renewed(
    store: &dyn Store,
    caller: &Caller,
    token: TokenId,
    now: Timestamp,
) -> Result<(), ActionError> {
    record(store, caller, Entry::AdminTokenRenewed { token }, now).await
}

async fn record(store: &dyn Store, caller: &Caller, entry: Entry, now: Timestamp) -> Result<(), ActionError> {
    let record = move |tx: &mut dyn admin::AdminTx| {
        tx.record(entry.clone());
        Ok(())
    };
    Ok(admin::write(store, "renewal_record", caller.acting(now), record).await?)
}
