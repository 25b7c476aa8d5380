//! The append-only history of verdict changes and operator deeds: what an entry says.
//!
//! The store writes entries into the transaction of the deed that they tell of, so no deed is without its entry and no
//! entry without its deed. Sealing (batches under a Merkle root) reads them later and changes none.

pub mod entry;

pub use entry::{Entry, LaneChange, LaneChanges, NotAnEntry};
