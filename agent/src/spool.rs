//! What has not been acknowledged yet survives the process: opaque bytes on disk, oldest first, deleted after the ack.
//!
//! Every entry is one file, written aside, synchronised and renamed, so a killed agent leaves a whole entry or none.
//! A checksum tells a disk that lied. The spool is bounded by bytes and age; what is dropped is counted, and the newest
//! entry is never dropped.

mod entry;
mod queue;

pub use entry::EntryError;
pub use queue::{Bounds, Entry, Losses, Spool, SpoolError};
