//! The sealed ledger for readers.

use super::{ReportContext, ReportError};
use crate::store::admin::{seal, sealing};
use crate::store::{AdminTx, SealedLedger, StoredLeaf, admin};

/// Entries that one answer has at most.
const LEAVES: usize = 200;
/// An answer ends after so many bytes: an entry may have 64 KiB, and a message 4 MiB.
const BYTES: usize = 2 << 20;

impl ReportContext {
    /// The ledger as it was sealed last, `None` before the first time; and the key that verifies it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn checkpoint(&self) -> Result<(Option<SealedLedger>, Option<String>), ReportError> {
        let read = |tx: &mut dyn AdminTx| Ok((sealing::sealed(tx)?, seal::get(tx)?));
        Ok(admin::read(self.store.as_ref(), "checkpoint_get", read).await?)
    }

    /// Entries after this number as the tree hashes them, at most so many. An answer may have fewer, and only the
    /// last has none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn leaves(&self, after: u64, most: usize) -> Result<Vec<StoredLeaf>, ReportError> {
        let read = move |tx: &mut dyn AdminTx| sealing::leaves(tx, after, most.min(LEAVES));
        let mut leaves = admin::read(self.store.as_ref(), "leaf_list", read).await?;
        let mut bytes = 0;
        let is_too_long = |leaf: &StoredLeaf| {
            bytes += leaf.line.len();
            bytes > BYTES
        };
        let most = leaves.iter().position(is_too_long).unwrap_or(leaves.len());
        leaves.truncate(most.max(1));
        Ok(leaves)
    }
}
