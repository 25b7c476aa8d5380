//! The ledger: the append-only history of lane changes and actions.
//!
//! The store writes an entry in the transaction of the operation that it describes, so there is no operation without its
//! entry and no entry without its operation. Each entry has an actor. Sealing will read entries later and never change them.

pub mod actor;
pub mod entry;

pub use actor::{Actor, ActorId};
pub use entry::{Entry, LaneChange, LaneChanges, NotAnEntry};
