//! The judge: pure functions from observations, rules and `now` to verdicts. It has no clock, no IO and no store.
//!
//! ```text
//!  section ─► detect ─► hits ─┐
//!                  snapshot ──┼─► assess ─► assessment ─► advance(remediation) ─► place(host, now) ─► verdict
//!                host state ──┘
//! ```
//!
//! `detect` runs once per section, `assess` once per snapshot and [`state_key()`], `advance` and `place` once per host.
//! Every step gives its reasons as fields (`model::Reason`); no step reads another one's text.

mod advice;
mod assess;
mod check;
mod combine;
mod coverage;
mod date_scenario;
mod decision;
mod detect;
mod duties;
mod evidence;
mod freshness;
mod gap_advice;
mod hit;
mod live;
#[cfg(test)]
mod macos_outcomes_tests;
pub mod matching;
mod package_state;
mod place;
mod protection;
mod proving;
#[cfg(test)]
mod recall_tests;
mod remediation;
mod remnants;
mod scenario;
mod score;
mod sentence;
mod situation;
mod state_key;
mod timing;
mod uninstall;
mod unprotected;
#[cfg(test)]
mod windows_outcomes_tests;

pub use assess::assess;
pub use check::Checked;
pub(crate) use check::check_rules;
pub use combine::products_of;
pub use decision::{HostDecisions, InForce, RetirementTerm, WaiverTerm, decided_lane, is_shown_silent, true_lane};
pub use detect::detect;
pub use duties::{Finding, NewDuty, at_days, at_finding, at_milestones, following};
pub use evidence::{CleanScanSeen, RemovalEvidence, RestartSeen, ScanSeen, ShownIn};
pub use hit::{Hit, Strength};
pub use place::place;
pub use remediation::{Positive, Remediation, Removal};
pub use score::{Score, Scores};
pub use situation::{Decision, HostSituation};
pub use state_key::{StateKey, state_content, state_key};
pub use timing::{effective_lane, is_overdue, is_past_due, is_silent, silent_before};
pub use unprotected::Unprotected;
