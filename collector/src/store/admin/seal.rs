//! The public half of the key that signs attestations. All collectors on one store must have this key.

use muster_proto::model::Timestamp;

use crate::ledger::entry::Entry;
use crate::store::sql::{AdminTx, Step, StoreFault};

/// Also read by a check, without a transaction of its own.
pub(in crate::store) const GET: &str = "SELECT verifier_key FROM seal";
const PUT: &str =
    "INSERT INTO seal (only_one, verifier_key, since) VALUES (1, $1, $2) ON CONFLICT (only_one) DO NOTHING";

/// The stored verifier key; `None` before the first collector.
///
/// # Errors
/// The database fails.
pub(crate) fn get(tx: &mut dyn AdminTx) -> Step<Option<String>> {
    tx.query(GET, &[])?.first().map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// Stores a verifier key unless there is one; returns the one that is stored.
///
/// # Errors
/// The database fails.
pub(crate) fn claim(tx: &mut dyn AdminTx, verifier_key: &str, now: Timestamp) -> Step<String> {
    if let Some(stored) = get(tx)? {
        return Ok(stored);
    }
    tx.execute(PUT, &[verifier_key.into(), now.into()])?;
    tx.record(Entry::SealKeyKept { verifier_key: verifier_key.to_owned() });
    get(tx)?.ok_or_else(|| StoreFault::damaged("the seal key", "it was added, but has no row"))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[GET, PUT];
