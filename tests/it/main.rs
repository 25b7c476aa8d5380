//! The end-to-end tests, with the real programs, a real store and real TLS; and the rules about the tree (`layers`).
//!
//! They are one program, so that the kit is linked once. Build the programs first with `cargo build --workspace`; a test that
//! does not find one fails with that advice.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare fails there")]

mod accounts;
mod attestations;
mod backup;
mod booted;
mod bounds;
mod changes;
mod cli;
mod crash;
mod deliver;
mod disk;
mod duties;
mod enroll;
mod fresh_machine;
mod hostile;
mod judge;
mod layers;
mod ledger;
mod lost;
mod many_hosts;
mod operation;
mod operators_port;
mod orders;
mod packages;
mod passwords;
mod past;
mod proxy;
mod quickstart;
mod roots;
mod roster;
mod scan;
mod service;
mod swarm;
mod terminal;
mod together;
mod units;
mod waivers;
mod web;
mod windows;
