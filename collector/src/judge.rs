//! The judge: pure functions from observations, rules and `now` to verdicts. No clock, no IO, no store.
//!
//! ```text
//!  section ─► detect ─► hits ─┐
//!                     look ───┼─► assess ─► assessment ─► advance(case) ─► place(host, now) ─► verdict
//!                    state ───┘
//! ```

mod case;
mod hit;

pub use case::{Case, Gone, HostSituation, Positive};
pub use hit::{Hit, Strength};
