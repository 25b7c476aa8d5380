//! What has not been acknowledged yet survives the process: opaque bytes on disk, oldest first, deleted after the ack.
//!
//! Every entry is one file, written aside, synchronised and renamed, so an agent that is killed at any byte leaves a whole
//! entry or none. A checksum tells a disk that lied. The spool is bounded by bytes and age: the oldest scans are thinned
//! out first, to one an hour and then to one a day, and dropped after that; every loss is counted, exactly and in a way
//! that a kill cannot falsify. The newest entry is never dropped.

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
