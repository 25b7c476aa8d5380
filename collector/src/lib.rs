//! The collector of Muster: keeps what agents report, judges it under orders, and answers operators.
//!
//! ```text
//!  agents ─► ingest ─► store ─► judge queue ─► judge ─► ledger ─► reports ─► api (gRPC, command line) ◄─ operators
//!                        ▲         │        ▲
//!                        └─────────┘      rules (catalogue and orders: data)
//! ```
//!
//! `app` is the only wiring. `judge` is pure: no clock, no IO. `judge_queue` is the one meeting of store and judge.

pub mod actions;
pub mod api;
pub mod app;
pub mod attestation;
pub mod cli;
pub mod clock;
pub mod config;
pub mod filter;
pub mod ingest;
pub mod judge;
pub mod judge_queue;
pub mod ledger;
pub mod oidc;
pub mod reports;
pub mod roster_file;
pub mod rules;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod tls;
