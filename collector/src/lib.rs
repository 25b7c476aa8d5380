//! The collector of Muster: keeps what agents report, judges it under orders, and answers operators.
//!
//! ```text
//!  agents ─► intake ─► store ─► docket ─► judge ─► ledger ─► reports ─► faces (gRPC, command line) ◄─ operators
//!                        ▲         │        ▲
//!                        └─────────┘      rules (catalogue and orders: data)
//! ```
//!
//! `app` is the only wiring. `judge` is pure: no clock, no IO. `docket` is the one meeting of store and judge.

pub mod app;
pub mod clock;
pub mod config;
pub mod deeds;
pub mod docket;
pub mod faces;
pub mod intake;
pub mod judge;
pub mod ledger;
pub mod reports;
pub mod rules;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod tls;
