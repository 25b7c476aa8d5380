//! Purging a host: removing what it sent, as far as no other host has it.

use muster_proto::model::RunId;

/// What a purge of a host has removed in one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// What belongs to the host alone: rows of its history, its current snapshot and its state.
    pub own: u64,
    /// Snapshots that no other host has or had.
    pub snapshots: u64,
    /// Their sections, as far as they are in no other snapshot.
    pub sections: u64,
    /// Whether nothing is left. Otherwise the rest needs another transaction.
    pub is_done: bool,
}

/// The run of a host that was purged. No agent has it: the next check-in is of another run, and must say everything.
pub(in crate::store) const NO_RUN: RunId = RunId::from_bytes([0; 16]);
