//! Verifies the ledger: its entries, in order, against the hashes that were stored when they were sealed, against
//! signed checkpoints, and against an earlier export.
//!
//! ```text
//!  store ─ number, line, sealed hash ─► Verifier ◄─ checkpoints (verified with the key)     ─► Report
//!                          └─────► EarlierExport ◄─ directory (verified with the key)       ─► faults
//! ```

mod earlier;
mod fault;
mod verifier;

pub use earlier::{Compared, EarlierExport};
pub use fault::Fault;
pub use verifier::{Report, Verifier};

#[cfg(test)]
mod tests;
