//! Sealing the ledger. This is no action of an account: it writes no entry, and actions never wait for it.

use std::sync::Arc;

use muster_proto::model::Timestamp;

use crate::attestation::SealKey;
use crate::ledger::actor::Actor;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::tree::Hash;
use crate::store::admin::sealing;
use crate::store::{Acting, AdminTx, Store, StoreError, admin};

/// Seals all entries that are not sealed yet. Several collectors may do this at once: each transaction takes what comes next.
///
/// # Errors
/// The ledger has a gap or an entry that cannot be sealed, or the store failed.
pub async fn ledger_seal(store: &dyn Store, key: &Arc<SealKey>, now: Timestamp) -> Result<(), StoreError> {
    if !admin::read(store, "ledger_unsealed", sealing::is_pending).await? {
        return Ok(());
    }
    loop {
        let signer = KeySigner(Arc::clone(key));
        let seal = move |tx: &mut dyn AdminTx| sealing::seal(tx, &signer, now);
        if !admin::write(store, "ledger_seal", Acting { actor: Actor::Judge, now }, seal).await? {
            return Ok(());
        }
    }
}

/// Signs with the seal key.
struct KeySigner(Arc<SealKey>);

impl sealing::Signer for KeySigner {
    fn sign(&self, size: u64, root: &Hash) -> String {
        Checkpoint::sign(size, root, &self.0)
    }

    fn opened(&self, checkpoint: &str) -> Option<(u64, Hash)> {
        let opened = Checkpoint::open(checkpoint.as_bytes(), self.0.verifier()).ok()?;
        Some((opened.size, opened.root))
    }
}
