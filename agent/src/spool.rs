//! Keeps unacknowledged snapshots on disk: opaque payloads, delivered oldest first, removed after the acknowledgement.
//!
//! Every entry is a file that is written under a temporary name, synced and renamed, so an agent killed at any moment leaves
//! a complete entry or none. A checksum detects disk errors. The spool is bounded by bytes and age: old snapshots are thinned
//! out first, to one per hour and then to one per day, and dropped after that. Every loss is counted exactly, even if the
//! agent is killed. The newest entry is never dropped.

mod bounds;
mod disk;
mod entry;
mod losses;
mod queue;

pub use bounds::Bounds;
pub use entry::{EntryError, decode};
pub use queue::{Entry, Spool, SpoolError};

#[cfg(test)]
mod model_tests;
