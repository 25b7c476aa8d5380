//! The endpoint agent of Muster: looks at a machine, and tells the collector what it saw. It carries no rules.
//!
//! ```text
//!  os ─► config ─► telemetry                                (what every verb needs)
//!
//!  watch ─┐                                                (a change wakes the agent before its time)
//!  sources ──► look ──► spool ──► uplink ──► collector       (data goes one way)
//!     │          │         │         │
//!  root, OS   outcomes,  survives  identity, TLS by pin,
//!  calls,     sections,  kill -9   check-in, upload, pace
//!  parsers    redaction
//!
//!  app wires them; cli has one file a verb
//! ```
//!
//! A source that fails is an outcome, never a silence: every source that this agent knows stands in every scan. The
//! agent reads; it runs nothing and changes nothing outside its own state directory, `service install` apart, by which an
//! administrator sets it up.

pub mod app;
pub mod cli;
pub mod config;
#[cfg(test)]
mod corpus_tests;
pub mod identity;
pub mod os;
pub mod scan;
pub mod schedule;
pub mod sources;
pub mod spool;
pub mod telemetry;
pub mod uplink;
pub mod watch;
