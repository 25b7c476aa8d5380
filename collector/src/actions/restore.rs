//! Notes in the ledger that the store was restored from a backup.

use muster_proto::model::Timestamp;

use super::{ActionError, Caller};
use crate::ledger::entry::Entry;
use crate::store::{Store, admin};

/// Adds the entry of a restore to the restored store.
///
/// # Errors
/// The store fails.
pub async fn restore_record(
    store: &dyn Store,
    caller: &Caller,
    backup_at: Timestamp,
    now: Timestamp,
) -> Result<(), ActionError> {
    let record = move |tx: &mut dyn admin::AdminTx| {
        tx.record(Entry::Restored { backup_at });
        Ok(())
    };
    Ok(admin::write(store, "restore_record", caller.acting(now), record).await?)
}
