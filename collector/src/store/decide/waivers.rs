//! Whether a waiver may be asked for, approved, refused or ended, and whether a disposition may: without a database.

use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{ApprovalRule, Holder, Timestamp, WaiverState};

/// Why a waiver is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskRefusal {
    /// It would end in the past.
    Past {
        /// When it would end.
        until: Timestamp,
    },
    /// It would last longer than waivers may.
    TooLong {
        /// The latest end that is possible now.
        latest: Timestamp,
    },
    /// It would last beyond the due milestone of the order.
    BeyondMilestone {
        /// The due milestone.
        due: Timestamp,
    },
    /// No host is named.
    NoHosts,
    /// It names more hosts than a waiver may.
    TooManyHosts,
    /// As many waivers of the order wait or are in force as may.
    TooManyWaivers,
    /// All waivers that wait or are in force have as many hosts as they may.
    TooManyWaived,
    /// Hosts are unknown, or of sites that the caller may not act on.
    NoSuchHosts {
        /// How many.
        hosts: u64,
        /// The first of them.
        first: String,
    },
    /// Another number of hosts came than was announced, or the request was thrown away because it took too long.
    Incomplete,
}

/// When a waiver would be in force, and what its order says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TermAsked {
    /// Its end.
    pub(crate) until: Timestamp,
    /// Whether it may last beyond the due milestone.
    pub(crate) beyond_milestone: bool,
    /// The due milestone of the order.
    pub(crate) due: Option<Timestamp>,
    /// How long a waiver may last.
    pub(crate) longest: Duration,
}

impl TermAsked {
    /// Checks the end of a waiver that is asked for now.
    ///
    /// # Errors
    /// It ends too early or too late.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), AskRefusal> {
        if self.until <= now {
            return Err(AskRefusal::Past { until: self.until });
        }
        let latest = now.plus(self.longest);
        if self.until > latest {
            return Err(AskRefusal::TooLong { latest });
        }
        match self.due {
            Some(due) if self.is_beyond() && !self.beyond_milestone => Err(AskRefusal::BeyondMilestone { due }),
            _ => Ok(()),
        }
    }

    /// Whether it lasts beyond the due milestone.
    pub(crate) fn is_beyond(&self) -> bool {
        self.due.is_some_and(|due| self.until > due)
    }
}

/// What waits or is in force when a waiver is asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct OpenWaivers {
    /// Waivers of the order.
    pub(in crate::store) of_order: u64,
    /// Hosts of the waivers of all orders.
    pub(in crate::store) hosts: u64,
}

/// Whether there is space for a waiver of so many hosts.
pub(in crate::store) const fn space(open: OpenWaivers, hosts: u64) -> Result<(), AskRefusal> {
    if open.of_order >= limits::WAIVERS_PER_ORDER as u64 {
        return Err(AskRefusal::TooManyWaivers);
    }
    if open.hosts.saturating_add(hosts) > limits::WAIVED_HOSTS as u64 {
        return Err(AskRefusal::TooManyWaived);
    }
    Ok(())
}

/// Why a waiver or a disposition is not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecideRefusal {
    /// There is none with this number at the caller's sites.
    Unknown,
    /// Some of its hosts are at sites that the caller may not act on.
    OtherSites,
    /// It is in another state, with this name.
    NotWaiting(&'static str),
    /// All hosts of a disposition have reported since it was asked for.
    Reported,
    /// Another collector, whose clock is ahead, has decided about it.
    Clocks,
    /// Only what is in force can be ended.
    NotInForce(WaiverState),
    /// The caller has asked for it.
    Own,
    /// The caller is a program.
    Machine,
}

/// Who decides, and by which rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decider<'a> {
    /// The id of the account.
    pub(crate) account: &'a str,
    /// Who holds it.
    pub(crate) holder: Holder,
    pub(crate) rule: ApprovalRule,
}

/// Whether an account may approve what another one, or it itself, has asked for.
pub(in crate::store) fn may_approve(requested_by: &str, by: Decider<'_>) -> Result<(), DecideRefusal> {
    // A program is no second person, even if another person made its account.
    if by.holder == Holder::Machine {
        return Err(DecideRefusal::Machine);
    }
    if requested_by == by.account && by.rule == ApprovalRule::TwoPeople {
        return Err(DecideRefusal::Own);
    }
    Ok(())
}

/// A waiver as it is stored: 2 requested, 3 approved, 4 refused.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct StoredState {
    pub(in crate::store) code: i64,
    pub(in crate::store) decided_at: Option<Timestamp>,
    pub(in crate::store) until: Timestamp,
    pub(in crate::store) ended_at: Option<Timestamp>,
}

pub(in crate::store) const REQUESTED: i64 = 2;
pub(in crate::store) const REFUSED: i64 = 4;

impl StoredState {
    /// The state at an instant.
    pub(in crate::store) fn at(self, now: Timestamp) -> WaiverState {
        let is_over = now >= self.until;
        match self.code {
            REFUSED => WaiverState::Refused,
            REQUESTED if is_over => WaiverState::Lapsed,
            REQUESTED => WaiverState::Requested,
            _ if self.ended_at.is_some_and(|ended| ended <= now && ended < self.until) => WaiverState::Ended,
            _ if is_over => WaiverState::Expired,
            // A collector whose clock is behind sees an approval of the next moment.
            _ if self.decided_at.is_none_or(|decided| decided > now) => WaiverState::Requested,
            _ => WaiverState::InForce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn a_waiver_ends_in_the_future_within_its_longest_time_and_before_the_milestone() {
        let asked = |until, beyond_milestone, due| {
            let term = TermAsked { until, beyond_milestone, due, longest: DAY * 180 };
            term.check(at(100))
        };
        assert_eq!(asked(at(100), true, None), Err(AskRefusal::Past { until: at(100) }));
        assert_eq!(asked(at(101), false, None), Ok(()));
        let latest = at(100).plus(DAY * 180);
        assert_eq!(asked(latest, false, None), Ok(()));
        assert_eq!(asked(latest.plus(DAY), true, None), Err(AskRefusal::TooLong { latest }));
        assert_eq!(asked(at(200), false, Some(at(200))), Ok(()), "it ends when everything must be done");
        assert_eq!(asked(at(201), false, Some(at(200))), Err(AskRefusal::BeyondMilestone { due: at(200) }));
        assert_eq!(asked(at(201), true, Some(at(200))), Ok(()));
        assert_eq!(asked(at(201), false, Some(at(50))), Err(AskRefusal::BeyondMilestone { due: at(50) }), "long ago");
    }

    #[test]
    fn waivers_and_their_hosts_are_bounded() {
        let open = |of_order, hosts| OpenWaivers { of_order, hosts };
        assert_eq!(space(open(999, 0), 100_000), Ok(()));
        assert_eq!(space(open(1_000, 0), 1), Err(AskRefusal::TooManyWaivers));
        assert_eq!(space(open(1, 1_900_000), 100_000), Ok(()));
        assert_eq!(space(open(1, 1_900_001), 100_000), Err(AskRefusal::TooManyWaived));
    }

    #[test]
    fn the_account_that_asked_cannot_approve_unless_one_person_is_enough_and_a_program_never_can() {
        let may = |account, holder, rule| may_approve("ada", Decider { account, holder, rule });
        assert_eq!(may("ada", Holder::Person, ApprovalRule::TwoPeople), Err(DecideRefusal::Own));
        assert_eq!(may("bob", Holder::Person, ApprovalRule::TwoPeople), Ok(()));
        assert_eq!(may("ada", Holder::Person, ApprovalRule::OnePerson), Ok(()));
        for rule in ApprovalRule::ALL {
            assert_eq!(may("job", Holder::Machine, *rule), Err(DecideRefusal::Machine));
        }
    }

    #[test]
    fn the_state_of_a_waiver_follows_from_the_time() {
        let state = |code, decided_at, ended_at| {
            let stored = StoredState { code, decided_at, until: at(20), ended_at };
            [at(9), at(10), at(15), at(20)].map(|now| stored.at(now))
        };
        use WaiverState::{Ended, Expired, InForce, Lapsed, Refused, Requested};
        assert_eq!(state(2, None, None), [Requested, Requested, Requested, Lapsed]);
        assert_eq!(state(3, Some(at(10)), None), [Requested, InForce, InForce, Expired]);
        assert_eq!(state(3, Some(at(10)), Some(at(15))), [Requested, InForce, Ended, Ended]);
        assert_eq!(state(4, Some(at(10)), None), [Refused; 4]);
    }
}
