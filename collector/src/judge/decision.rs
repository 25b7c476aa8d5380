//! What people decided about a host: waivers and dispositions. Pure: whether they are in force is asked at an instant.

use muster_proto::model::{DispositionKind, Lane, OrderId, Timestamp, WaiverReason};

use super::situation::Decision;
use super::timing::effective_lane;

/// A waiver that was approved and covers a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverTerm {
    /// Its number.
    pub number: u64,
    /// The order from which it is an exception.
    pub order: OrderId,
    /// Why.
    pub reason: WaiverReason,
    /// When it was approved.
    pub approved_at: Timestamp,
    /// Until when it is in force.
    pub until: Timestamp,
    /// When a person ended it.
    pub ended_at: Option<Timestamp>,
    /// Whether the account that asked for it has approved it.
    pub is_self_approved: bool,
}

impl WaiverTerm {
    /// Whether it is in force. It ends at `until` itself.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.approved_at <= now && now < self.end()
    }

    /// When it ends or has ended.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.ended_at.map_or(self.until, |ended| ended.min(self.until))
    }
}

/// A disposition that was approved and names a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetirementTerm {
    /// Its number.
    pub number: u64,
    /// Why the host left.
    pub kind: DispositionKind,
    /// When it was asked for. A host that reported later has not left.
    pub requested_at: Timestamp,
    /// When it was approved.
    pub approved_at: Timestamp,
    /// When a person took the host back.
    pub ended_at: Option<Timestamp>,
    /// When it was noticed that the host reported again.
    pub returned_at: Option<Timestamp>,
    /// Whether it needed a second person, and the account that asked for it has approved it.
    pub is_self_approved: bool,
}

impl RetirementTerm {
    /// Whether the host is retired.
    #[must_use]
    pub fn is_in_force(&self, last_seen: Option<Timestamp>, now: Timestamp) -> bool {
        let ends = [self.ended_at, self.returned_at].into_iter().flatten();
        self.approved_at <= now && ends.into_iter().all(|end| now < end) && !self.has_returned(last_seen)
    }

    /// Whether the host reported after it was said to have left.
    #[must_use]
    pub fn has_returned(&self, last_seen: Option<Timestamp>) -> bool {
        last_seen.is_some_and(|seen| seen > self.requested_at)
    }
}

/// The approved waivers and dispositions of a host, in force or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostDecisions {
    /// Waivers under any order.
    pub waivers: Vec<WaiverTerm>,
    /// Dispositions.
    pub retirements: Vec<RetirementTerm>,
}

/// The decision that gives a host its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce<'d> {
    /// The host is retired.
    Retired(&'d RetirementTerm),
    /// The host is waived.
    Waived(&'d WaiverTerm),
}

impl InForce<'_> {
    /// What was decided.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        match self {
            Self::Retired(_) => Decision::Retired,
            Self::Waived(_) => Decision::Waived,
        }
    }

    /// Whether the account that asked for it has approved it.
    #[must_use]
    pub const fn is_self_approved(&self) -> bool {
        match self {
            Self::Retired(term) => term.is_self_approved,
            Self::Waived(term) => term.is_self_approved,
        }
    }

    /// Since when it holds.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        match self {
            Self::Retired(term) => term.approved_at,
            Self::Waived(term) => term.approved_at,
        }
    }
}

impl HostDecisions {
    /// The decision about the host under an order at an instant. If several are in force, a disposition comes before a waiver, and
    /// one that two people made before one that one person made; then the one with the lower number.
    #[must_use]
    pub fn under(&self, order: &OrderId, last_seen: Option<Timestamp>, now: Timestamp) -> Option<InForce<'_>> {
        let retirements = self.retirements.iter().filter(|term| term.is_in_force(last_seen, now));
        let retired = retirements.min_by_key(|term| (term.is_self_approved, term.number));
        let waivers = self.waivers.iter().filter(|term| term.order == *order && term.is_in_force(now));
        let waived = waivers.min_by_key(|term| (term.is_self_approved, term.number));
        retired.map(InForce::Retired).or(waived.map(InForce::Waived))
    }
}

/// The lane of a host: what was decided comes before what was found.
#[must_use]
pub fn decided_lane(decision: Option<Decision>, awake: Lane, silent: bool) -> Lane {
    decision.map_or_else(|| effective_lane(awake, silent), Decision::lane)
}

/// The lane of a host without the decision. A retired host is not expected to report, so it keeps the lane of its last report.
#[must_use]
pub fn true_lane(decision: Option<Decision>, awake: Lane, silent: bool) -> Lane {
    effective_lane(awake, is_shown_silent(decision, silent))
}

/// Whether a host counts as silent. A retired one is not expected to report.
#[must_use]
pub fn is_shown_silent(decision: Option<Decision>, silent: bool) -> bool {
    silent && decision != Some(Decision::Retired)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn order() -> OrderId {
        "an-order".parse().expect("an id")
    }

    fn waiver(number: u64) -> WaiverTerm {
        WaiverTerm {
            number,
            order: order(),
            reason: WaiverReason::LegacySystem,
            approved_at: at(10),
            until: at(20),
            ended_at: None,
            is_self_approved: false,
        }
    }

    fn retirement(number: u64) -> RetirementTerm {
        RetirementTerm {
            number,
            kind: DispositionKind::Sold,
            requested_at: at(5),
            approved_at: at(10),
            ended_at: None,
            returned_at: None,
            is_self_approved: false,
        }
    }

    #[test]
    fn a_waiver_is_in_force_from_its_approval_until_its_end() {
        for (ended_at, expected) in [
            (None, [false, true, true, false]),
            (Some(at(15)), [false, true, false, false]),
            (Some(at(30)), [false, true, true, false]),
        ] {
            let term = WaiverTerm { ended_at, ..waiver(1) };
            assert_eq!([9, 10, 15, 20].map(|second| term.is_in_force(at(second))), expected, "{ended_at:?}");
        }
    }

    #[test]
    fn a_host_that_reports_after_it_was_said_to_have_left_is_not_retired() {
        let term = retirement(1);
        assert!(!term.is_in_force(None, at(9)) && term.is_in_force(None, at(10)));
        assert!(term.is_in_force(Some(at(5)), at(10)), "it was said after this report");
        assert!(!term.is_in_force(Some(at(6)), at(10)), "it reported before the approval, but after the request");
        let back = RetirementTerm { ended_at: Some(at(12)), ..retirement(1) };
        assert!(back.is_in_force(None, at(11)) && !back.is_in_force(None, at(12)));
        let noticed = RetirementTerm { returned_at: Some(at(12)), ..retirement(1) };
        assert!(noticed.is_in_force(None, at(11)) && !noticed.is_in_force(None, at(12)));
    }

    #[test]
    fn a_disposition_comes_before_a_waiver_and_two_people_before_one() {
        let of = |waivers: Vec<WaiverTerm>, retirements: Vec<RetirementTerm>| HostDecisions { waivers, retirements };
        let own = WaiverTerm { is_self_approved: true, ..waiver(1) };
        let decided = |host: &HostDecisions, second: i64| {
            host.under(&order(), Some(at(1)), at(second)).map(|found| (found.decision(), found.is_self_approved()))
        };
        assert_eq!(decided(&of(vec![], vec![]), 15), None);
        assert_eq!(decided(&of(vec![own.clone()], vec![]), 15), Some((Decision::Waived, true)));
        assert_eq!(decided(&of(vec![own.clone(), waiver(2)], vec![]), 15), Some((Decision::Waived, false)));
        let both = of(vec![waiver(2)], vec![retirement(1)]);
        assert_eq!(decided(&both, 15), Some((Decision::Retired, false)));
        assert_eq!(both.under(&order(), Some(at(7)), at(15)).map(|found| found.decision()), Some(Decision::Waived));
        let other: OrderId = "another".parse().expect("an id");
        assert_eq!(of(vec![waiver(1)], vec![]).under(&other, None, at(15)), None);
    }

    #[test]
    fn what_was_decided_comes_before_silence_and_the_true_lane_stays() {
        assert_eq!(decided_lane(Some(Decision::Waived), Lane::Replace, true), Lane::Waived);
        assert_eq!(decided_lane(None, Lane::Clear, true), Lane::Silent);
        assert_eq!(true_lane(Some(Decision::Waived), Lane::Clear, true), Lane::Silent);
        assert_eq!(true_lane(Some(Decision::Retired), Lane::Clear, true), Lane::Clear, "it cannot report");
        assert!(!is_shown_silent(Some(Decision::Retired), true) && is_shown_silent(Some(Decision::Waived), true));
    }
}
