//! Attestations: signed statements that the removal of a product from a host is proven.
//!
//! ```text
//!  RemovalProof (facts) ─► statement (in-toto, JSON) ─► envelope (DSSE, signed) ─► file ─► verify (public key only)
//! ```
//!
//! Pure: stored facts in, bytes out. The same facts and the same key give the same bytes. Nothing here reads a clock, a
//! file or the store. `deploy/VERIFY.md` describes the format for third parties.

mod envelope;
mod hex;
mod json;
mod proof;
mod seal_key;
mod statement;
mod verifier_key;
mod verify;

pub use envelope::{PAYLOAD_TYPE, seal};
pub use proof::{CleanScan, Found, NewBoot, RemovalProof, RemovedProduct, ReportedBy, WaivedTime};
pub use seal_key::{NotASealKey, SealKey};
pub use statement::{AS_REPORTED, PREDICATE_TYPE, STATEMENT_TYPE};
pub use verifier_key::{NotAVerifierKey, ORIGIN_BYTES, Origin, OriginError, VerifierKey};
pub use verify::{ATTESTATION_BYTES, Verified, VerifyError, verify};

#[cfg(test)]
mod tests;
