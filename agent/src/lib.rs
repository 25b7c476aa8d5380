//! The endpoint agent of Muster: scans a machine for security software and reports to a collector. It carries no rules.
//!
//! ```text
//!  os ─► config ─► telemetry                                 (used by every verb)
//!
//!  watch ─┐                                                  (a change triggers a scan early)
//!  sources ──► scan ──► spool ──► uplink ──► collector       (data flows one way)
//!     │          │        │         │
//!  root, OS   outcomes,  survives  identity, TLS with pin,
//!  calls,     sections,  kill -9   check-in, upload, pace
//!  parsers    redaction
//!
//!  app wires them together; cli has one file per verb
//! ```
//!
//! What reads a disk that may not answer runs under a `deadline`, and everything stays within the limits of `memory`. A source that fails still has an outcome:
//! every source of the scanned machine's platform is in every snapshot. The agent only reads. It runs no programs and changes
//! nothing outside its state directory, except for `service install` and `service uninstall`.

pub mod app;
pub mod cli;
pub mod config;
#[cfg(test)]
mod corpus_tests;
pub mod deadline;
pub mod identity;
pub mod memory;
pub mod os;
pub mod scan;
pub mod schedule;
pub mod sources;
pub mod spool;
pub mod telemetry;
pub mod uplink;
pub mod watch;
