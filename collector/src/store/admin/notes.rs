//! Texts that people wrote, such as the reason for an action. The ledger names them by hash.

use muster_proto::model::Digest;

use crate::store::sql::{AdminTx, Step};

const PUT: &str = "INSERT INTO note (hash, words) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";
const GET: &str = "SELECT words FROM note WHERE hash = $1";

/// Stores a text unless it is there; returns its hash.
pub(super) fn put(tx: &mut dyn AdminTx, text: &str) -> Step<Digest> {
    let hash = Digest::of(text.as_bytes());
    tx.execute(PUT, &[hash.as_bytes().as_slice().into(), text.into()])?;
    Ok(hash)
}

/// The text with this hash; `None` if it was forgotten.
pub(super) fn get(tx: &mut dyn AdminTx, hash: &Digest) -> Step<Option<String>> {
    let rows = tx.query(GET, &[hash.as_bytes().as_slice().into()])?;
    rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[PUT, GET];
