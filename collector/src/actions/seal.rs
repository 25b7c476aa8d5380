//! The key that signs attestations: which one belongs to the store.

use muster_proto::model::Timestamp;

use super::{ActionError, Caller};
use crate::attestation::VerifierKey;
use crate::store::{Store, admin};

/// The verifier key that the store has; `None` before the first collector.
///
/// # Errors
/// The store fails.
pub async fn seal_key_get(store: &dyn Store) -> Result<Option<String>, ActionError> {
    Ok(admin::read(store, "seal_key_get", admin::seal::get).await?)
}

/// Makes the store keep a verifier key unless it has one. Returns the one that it has.
///
/// # Errors
/// The store fails.
pub async fn seal_key_claim(
    store: &dyn Store,
    caller: &Caller,
    key: &VerifierKey,
    now: Timestamp,
) -> Result<String, ActionError> {
    let text = key.to_string();
    let claim = move |tx: &mut dyn admin::AdminTx| admin::seal::claim(tx, &text, now);
    Ok(admin::write(store, "seal_key_claim", caller.acting(now), claim).await?)
}
