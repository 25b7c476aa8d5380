//! The test kit: collectors and agents as real processes, canned machines to scan, and hostile certificates.
//!
//! ```text
//!  canned (roots) ──► agent process ──► collector process ◄── operator process
//!                                  lab starts, queries and kills them
//!  pki + door ───────────────────────► the same collector, called directly over gRPC
//! ```
//!
//! Everything uses port 0 and a temporary folder. [`eventually()`] polls with a deadline; nothing sleeps for a fixed time. A
//! process is killed by its id when the value that holds it is dropped.

pub mod bare;
pub mod binaries;
pub mod booted;
pub mod browser;
pub mod canned;
pub mod chance;
pub mod door;
pub mod eventually;
pub mod hung;
pub mod lab;
pub mod left_out;
pub mod pki;
pub mod player;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod web_client;
pub mod wine;
pub mod wiretap;

pub use eventually::eventually;
pub use left_out::left_out;
