//! The verdict on a host under one order, as its template shows it.

use std::time::Duration;

use muster_proto::model::{DecisionReport, Lane, Reason, ReasonKind, UnprotectedTime, VerdictReport};

use crate::api::web::format::{LaneMark, Moment, clean, span};

/// Reasons that a verdict with very many of them shows.
const REASONS: usize = 40;

/// A verdict.
pub(super) struct VerdictView {
    pub(super) order: String,
    pub(super) title: String,
    pub(super) in_scope: bool,
    pub(super) lane: LaneMark,
    pub(super) overdue: bool,
    pub(super) decision: Option<DecisionView>,
    pub(super) since: Moment,
    pub(super) due: Option<Moment>,
    pub(super) presence: &'static str,
    pub(super) protection: &'static str,
    /// The lane's reason.
    pub(super) because: String,
    pub(super) advice: String,
    pub(super) commands: Vec<Command>,
    pub(super) reasons: Vec<ReasonView>,
    pub(super) unprotected: Option<Unprotected>,
}

/// The waiver or the disposition that puts the host into its lane.
pub(super) struct DecisionView {
    /// `waiver 7, emergency`.
    pub(super) what: String,
    /// The lane without it.
    pub(super) true_lane: LaneMark,
    /// The control, or the evidence.
    pub(super) text: String,
    pub(super) until: Option<Moment>,
    pub(super) requested_by: String,
    pub(super) approved_by: String,
    pub(super) approved: Moment,
    pub(super) is_self_approved: bool,
}

/// A command that removes something.
pub(super) struct Command {
    pub(super) text: String,
    pub(super) what: String,
}

/// A reason with its evidence.
pub(super) struct ReasonView {
    pub(super) text: String,
    pub(super) source: String,
    pub(super) outcome: &'static str,
    pub(super) seen: String,
    pub(super) path: String,
    pub(super) rule: String,
}

/// How long nothing protected the host.
pub(super) struct Unprotected {
    pub(super) since: Option<Moment>,
    pub(super) longest: String,
    pub(super) total: String,
}

impl VerdictView {
    pub(super) fn of(verdict: &VerdictReport) -> Self {
        let lane_reason = verdict.reasons.iter().find(|reason| reason.kind == ReasonKind::Lane);
        let command = |reason: &Reason| {
            let what = reason.product.as_ref().map(ToString::to_string).unwrap_or_default();
            Some(Command { text: clean(reason.command.as_deref()?, 1_000), what: clean(&what, 128) })
        };
        let others =
            verdict.reasons.iter().filter(|reason| lane_reason.is_none_or(|lane| !std::ptr::eq(lane, *reason)));
        Self {
            order: verdict.order.id.to_string(),
            title: clean(&verdict.order.title, 200),
            in_scope: verdict.in_scope,
            lane: LaneMark::of(verdict.lane),
            overdue: verdict.overdue,
            decision: verdict.decision.as_ref().map(|decision| DecisionView::of(decision, verdict.true_lane)),
            since: Moment::at(verdict.since),
            due: verdict.order.due.map(Moment::deadline),
            presence: verdict.presence.name(),
            protection: verdict.protection.name(),
            because: lane_reason.map(|reason| clean(&reason.text, 500)).unwrap_or_default(),
            advice: clean(&verdict.advice, 2_000),
            commands: verdict.commands.iter().filter_map(command).collect(),
            reasons: others.take(REASONS).map(ReasonView::of).collect(),
            unprotected: verdict.unprotected.map(|time| Unprotected::of(&time)),
        }
    }
}

impl DecisionView {
    fn of(decision: &DecisionReport, true_lane: Lane) -> Self {
        let what = if decision.lane == Lane::Retired { "disposition" } else { "waiver" };
        Self {
            what: format!("{what} {}, {}", decision.number, clean(&decision.why, 64)),
            true_lane: LaneMark::of(true_lane),
            text: clean(&decision.text, 500),
            until: decision.until.map(Moment::deadline),
            requested_by: clean(&decision.requested_by, 128),
            approved_by: clean(&decision.approved_by, 128),
            approved: Moment::at(decision.approved_at),
            is_self_approved: decision.is_self_approved,
        }
    }
}

impl ReasonView {
    fn of(reason: &Reason) -> Self {
        let evidence = reason.evidence.as_ref();
        Self {
            text: clean(&reason.text, 500),
            source: reason.source.map(|source| source.to_string()).unwrap_or_default(),
            outcome: reason.outcome.map_or("", muster_proto::model::Outcome::name),
            seen: evidence.map(|seen| clean(&seen.to_string(), 300)).unwrap_or_default(),
            path: evidence.map(|seen| clean(&seen.path, 300)).unwrap_or_default(),
            rule: clean(&reason.rule, 128),
        }
    }
}

impl Unprotected {
    fn of(time: &UnprotectedTime) -> Self {
        let text = |millis: u64| span(Duration::from_millis(millis));
        Self { since: time.since.map(Moment::at), longest: text(time.longest_ms), total: text(time.total_ms) }
    }
}
