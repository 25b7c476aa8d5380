//! The test kit: collectors and agents as real processes, canned machines to look at, and hostile certificates.
//!
//! ```text
//!  canned (roots) ──► agent process ──► collector process ◄── operator process
//!                                  lab starts, asks and kills them
//!  pki + door ───────────────────────► the same collector, asked by strangers
//! ```
//!
//! Everything runs on port 0 below a folder that goes away; nothing sleeps for luck, [`eventually()`] polls with a
//! deadline; a process ends with the value that holds it, by its own id.

pub mod binaries;
pub mod booted;
pub mod canned;
pub mod chance;
pub mod door;
pub mod eventually;
pub mod lab;
pub mod left_out;
pub mod pki;
pub mod player;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod wiretap;

pub use eventually::eventually;
pub use left_out::left_out;
