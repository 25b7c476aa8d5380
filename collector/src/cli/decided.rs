//! A waiver or a disposition in the text of a host, now or in the past.

use muster_proto::model::{DecisionReport, Lane, Timestamp};

use super::render::{Paint, clean, when};

/// The lane without the decision, and who decided.
pub(super) fn decided(decision: &DecisionReport, true_lane: Lane, now: Timestamp, paint: &Paint) -> String {
    let DecisionReport { lane, number, why, text, until, requested_by, approved_by, .. } = decision;
    let noun = if *lane == Lane::Waived { "waiver" } else { "disposition" };
    let until = until.map(|until| format!(", until {}", when(until, now))).unwrap_or_default();
    let asked = if *lane == Lane::Retired && approved_by == requested_by && !decision.is_self_approved {
        format!("by {}; no second person was needed", clean(requested_by))
    } else {
        format!("asked for by {}, approved by {}", clean(requested_by), clean(approved_by))
    };
    let asked = if decision.is_self_approved { paint.alarm(&format!("{asked} (self-approved)")) } else { asked };
    let true_lane = paint.lane(true_lane, true_lane.name());
    format!("  true lane   {true_lane}\n  {noun:<11} {number} ({why}){until}, {asked}\n              {}\n", clean(text))
}
