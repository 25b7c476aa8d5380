//! The append-only history of verdict changes and operator operations: what an entry says.
//!
//! The store writes entries into the transaction of the operation that they tell of, so no operation is without its entry and no
//! entry without its operation. Sealing (batches under a Merkle root) reads them later and changes none.

pub mod entry;

pub use entry::{Entry, LaneChange, LaneChanges, NotAnEntry};
