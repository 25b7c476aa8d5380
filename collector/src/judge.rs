//! The judge: pure functions from observations, rules and `now` to verdicts. No clock, no IO, no store.
//!
//! ```text
//!  section ─► detect ─► hits ─┐
//!                     look ───┼─► assess ─► assessment ─► advance(remediation) ─► place(host, now) ─► verdict
//!                    state ───┘
//! ```
//!
//! `detect` runs once a section, `assess` once a snapshot and [`state_key()`], `advance` and `place` once a host.

mod assess;
mod check;
mod combine;
mod coverage;
mod detect;
mod freshness;
mod hit;
pub mod matching;
mod place;
mod protection;
#[cfg(test)]
mod recall_tests;
mod remediation;
mod removal;
mod scenario;
mod score;
mod state_key;

pub use assess::assess;
pub use check::{Checked, check_dir};
pub use combine::products_of;
pub use detect::detect;
pub use hit::{Hit, Strength};
pub use place::place;
pub use remediation::{Gone, HostSituation, Positive, Remediation};
pub use score::{Score, Scores};
pub use state_key::{StateKey, state_content, state_key};
