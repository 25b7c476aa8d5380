//! The end-to-end tests: the real binaries, a real store, real TLS; and the rules of the house.
//!
//! One program, so that the kit is linked once. The binaries are built by `cargo build --workspace` before; a test that
//! misses one says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare its scene fails there")]

mod api;
mod booted;
mod cli;
mod crash;
mod deliver;
mod disk;
mod enroll;
mod hostile;
mod judge;
mod layers;
mod packages;
mod proxy;
mod quickstart;
mod roots;
mod scan;
mod service;
mod swarm;
mod together;
mod units;
