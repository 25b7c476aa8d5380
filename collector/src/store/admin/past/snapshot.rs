//! The snapshot and the judged state that a host had at an instant.

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostState, Timestamp};

use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

// A host has one snapshot at a time, so the last one that had begun by the instant is the one.
const SNAPSHOT_NOW: &str = "SELECT since, observed_at, digest FROM snapshot_now
     WHERE host = $1 AND since <= $2 ORDER BY since DESC LIMIT 1";
const SNAPSHOT_BEFORE: &str = "SELECT since, observed_at, digest FROM snapshot_before
     WHERE host = $1 AND since <= $2 ORDER BY since DESC LIMIT 1";
const STATE_NOW: &str =
    "SELECT since, state FROM state_now WHERE host = $1 AND since <= $2 ORDER BY since DESC LIMIT 1";
const STATE_BEFORE: &str =
    "SELECT since, state FROM state_before WHERE host = $1 AND since <= $2 ORDER BY since DESC LIMIT 1";
const REMOVED: &str = "SELECT history, until FROM history_removed ORDER BY history";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[SNAPSHOT_NOW, SNAPSHOT_BEFORE, STATE_NOW, STATE_BEFORE, REMOVED];

/// What a host had reported by an instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReportedThen {
    pub(crate) snapshot: Option<SnapshotThen>,
    /// The part of its state that is judged. The rest is not kept.
    pub(crate) state: Option<HostState>,
    /// Snapshots and states that had ended by then were removed.
    pub(crate) snapshots_removed: Option<Timestamp>,
    pub(crate) states_removed: Option<Timestamp>,
}

/// A snapshot that a host had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotThen {
    pub(crate) digest: Digest,
    /// When it was received.
    pub(crate) since: Timestamp,
    pub(crate) observed_at: Timestamp,
}

/// What a host had reported by an instant, by its row number.
///
/// # Errors
/// The database fails.
pub(crate) fn reported(tx: &mut dyn AdminTx, host: i64, at: Timestamp) -> Step<ReportedThen> {
    let mut reported = ReportedThen::default();
    if let Some(row) = last(tx, SNAPSHOT_NOW, SNAPSHOT_BEFORE, host, at)? {
        let digest = Digest::from_bytes(row.bytes(2)?);
        reported.snapshot = Some(SnapshotThen { digest, since: row.time(0)?, observed_at: row.time(1)? });
    }
    if let Some(row) = last(tx, STATE_NOW, STATE_BEFORE, host, at)? {
        let state = stored::read_state(row.blob(1)?);
        let state = state.map_err(|error| StoreFault::damaged("the state of a host", error.to_string()))?;
        reported.state = Some(state);
    }
    for row in tx.query(REMOVED, &[])? {
        match row.text(0)? {
            "snapshots" => reported.snapshots_removed = Some(row.time(1)?),
            "states" => reported.states_removed = Some(row.time(1)?),
            // Lanes and decisions are not asked for here.
            _ => {}
        }
    }
    Ok(reported)
}

fn last(tx: &mut dyn AdminTx, now: &'static str, before: &'static str, host: i64, at: Timestamp) -> Step<Option<Row>> {
    let values: [Value<'_>; 2] = [host.into(), at.into()];
    let present = tx.query(now, &values)?.pop();
    if present.is_some() { Ok(present) } else { Ok(tx.query(before, &values)?.pop()) }
}
