//! The ledger: the append-only history of lane changes and actions.
//!
//! The store writes an entry in the transaction of the operation that it describes, so there is no operation without its
//! entry and no entry without its operation. Each entry has an actor. Its entries are the leaves of a transparency log by open
//! standards, so that others can verify it without Muster:
//!
//! ```text
//!  entry ─► leaf (one line) ─► tree (RFC 6962) ─► checkpoint (signed note) ─► tiles (a directory to hand out)
//!                                         └─► verify: entries of the store against checkpoints and exports
//! ```

pub mod actor;
pub mod checkpoint;
pub mod entry;
pub mod leaf;
pub mod note;
pub mod tiles;
pub mod tree;
pub mod verify;

pub use actor::{Actor, ActorId};
pub use entry::{Entry, LaneChange, LaneChanges, NotAnEntry};

#[cfg(test)]
mod samples;
