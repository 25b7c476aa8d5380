//! Exit codes: the worst active order decides.

use muster_proto::model::{Board, BoardCounts, Lane, PastHostReport, VerdictReport};

/// A host in scope is unfinished after the order's due date, or a duty is past its time.
const OVERDUE: u8 = 5;
/// Work is left on a host.
const FINDINGS: u8 = 3;
/// A host could not be judged.
const GAPS: u8 = 4;

/// Overdue comes before findings, findings before gaps.
fn worst(overdue: bool, finding: bool, gap: bool) -> u8 {
    match (overdue, finding, gap) {
        (true, _, _) => OVERDUE,
        (false, true, _) => FINDINGS,
        (false, false, true) => GAPS,
        (false, false, false) => 0,
    }
}

/// The exit code for the boards of the active orders.
#[must_use]
pub fn of_boards(boards: &[Board]) -> u8 {
    let has = |test: fn(Lane) -> bool| {
        all_counts(boards).any(|counts| counts.lanes.iter().any(|(lane, hosts)| *hosts > 0 && test(*lane)))
    };
    let overdue = all_counts(boards).any(|counts| counts.overdue > 0);
    let overdue = overdue || boards.iter().any(|board| board.overdue_duties > 0);
    worst(overdue, has(Lane::is_finding), has(Lane::is_coverage_gap))
}

/// The counts of the machines on the roster, and of those that are not: both have work.
fn all_counts(boards: &[Board]) -> impl Iterator<Item = &BoardCounts> {
    boards.iter().flat_map(|board| std::iter::once(&board.counts).chain(&board.outside))
}

/// The exit code for one host's verdicts under the active orders.
#[must_use]
pub fn of_verdicts(verdicts: &[VerdictReport]) -> u8 {
    let bound = || verdicts.iter().filter(|verdict| verdict.in_scope);
    let overdue = bound().any(|verdict| verdict.overdue && !verdict.lane.is_finished());
    worst(overdue, bound().any(|one| one.lane.is_finding()), bound().any(|one| one.lane.is_coverage_gap()))
}

/// The exit code for one host at an instant of the past. A lane that is not known is a gap.
pub(super) fn of_past(report: &PastHostReport) -> u8 {
    let bound = || report.host.verdicts.iter().filter(|verdict| verdict.in_scope);
    let is_gap = !report.unknown.is_empty() || bound().any(|verdict| verdict.lane.is_coverage_gap());
    worst(bound().any(|verdict| verdict.overdue), bound().any(|verdict| verdict.lane.is_finding()), is_gap)
}
