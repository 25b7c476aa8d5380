//! What the days of an order were like, and when it will be finished: the same structs for the command line and the API.

use std::collections::BTreeMap;

use super::closed_list::closed_list;
use super::{Cause, Label, Lane, OrderId, SiteId, Timestamp};

closed_list! {
    /// How a timeline divides its numbers.
    TimelineBy {
        /// The counts of each site.
        Site = 1, "site";
        /// The machines that came into each lane, by the cause.
        Cause = 2, "cause";
        /// The counts of the hosts with each label.
        Label = 3, "label";
    }
}

closed_list! {
    /// Why nothing is said of an instant.
    PastUnknown {
        /// The order was not active then, so no host was judged under it.
        NotActive = 1, "not-active";
        /// The store has nothing from that time.
        BeforeFirst = 2, "before-first";
        /// Lanes of that time were removed when their retention ended.
        LanesRemoved = 3, "lanes-removed";
        /// It is not known any more which hosts were silent: that is kept for two years.
        SilenceRemoved = 4, "silence-removed";
        /// Which hosts were silent was not noted, because no order was as impatient when they came back.
        SilenceUnknown = 5, "silence-unknown";
        /// The store was restored from a backup that was made before.
        Lost = 6, "lost";
        /// The rules of that time are not kept.
        RulesUnknown = 7, "rules-unknown";
        /// Waivers and dispositions that were in force then were removed when their retention ended.
        DecisionsRemoved = 8, "decisions-removed";
    }
}

impl PastUnknown {
    /// Why days are left out, as a part of a sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NotActive => "the order was not active",
            Self::BeforeFirst => "the store has nothing from that time",
            Self::LanesRemoved => "the lanes were removed when their retention ended (retention.verdicts)",
            Self::SilenceRemoved => "which hosts were silent is not kept for so long",
            Self::SilenceUnknown => {
                "which hosts were silent is not known: when they came back, no order was as impatient"
            }
            Self::Lost => "it was lost when the store was restored from a backup",
            Self::RulesUnknown => "the rules of that time are not kept",
            Self::DecisionsRemoved => {
                "waivers and dispositions of that time were removed when their retention ended (retention.verdicts)"
            }
        }
    }
}

/// The machines of an order at an instant: the hosts, whether they are on the roster or not, and the machines of the roster that
/// never enrolled. Lanes and the machines out of scope add up to the total.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct DayCounts {
    /// Machines in each lane, empty lanes included.
    pub lanes: BTreeMap<Lane, u64>,
    /// Machines to which the order does not apply.
    pub out_of_scope: u64,
    /// All machines.
    pub total: u64,
}

impl DayCounts {
    /// Machines in which work is left: in scope and in a lane that is not finished.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.lanes.iter().filter(|(lane, _)| !lane.is_finished()).map(|(_, machines)| machines).sum()
    }
}

/// Machines that were in another lane than at the instant before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct LaneStep {
    /// The lane before; `None` if the machine was not counted in any.
    pub from: Option<Lane>,
    /// The lane after; `None` if the machine is not counted in any.
    pub to: Option<Lane>,
    /// The cause of the last change between both instants.
    pub cause: Cause,
    /// How many machines.
    pub hosts: u64,
}

/// The counts of one part of the machines.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TimelineGroup {
    /// The site; `None` for machines of the roster of which no list says it.
    pub site: Option<SiteId>,
    /// The label, if the counts are divided by labels; then there is no site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Its counts.
    pub counts: DayCounts,
}

/// The end of one day in UTC, or the present.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TimelineDay {
    /// The last millisecond of the day, or now.
    pub at: Timestamp,
    /// The counts.
    pub counts: DayCounts,
    /// The same by site or by label, if that was asked for. Labels are those of then; a host can have several or none, so counts by
    /// label do not add up.
    pub groups: Vec<TimelineGroup>,
    /// What changed since the instant before in the timeline. For each lane they add up to the difference of the counts.
    pub steps: Vec<LaneStep>,
    /// Machines that were finished since the instant before, by their true lanes, less those on which work was found again and new
    /// ones with work. Waivers, retirements, excused machines and changes of rules or scope count neither way.
    pub progress: i64,
}

/// Days that a timeline leaves out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OmittedDays {
    /// The end of the first of them.
    pub from: Timestamp,
    /// The end of the last of them.
    pub until: Timestamp,
    /// Why.
    pub why: PastUnknown,
}

/// What the days of an order were like, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TimelineReport {
    /// The order.
    pub order: OrderId,
    /// The days of which the counts are known.
    pub days: Vec<TimelineDay>,
    /// The others.
    pub omitted: Vec<OmittedDays>,
}

/// How fast work was done in the last days, and when it ends at this rate. Rates are machines a day: the progress of a day of the
/// timeline, [`TimelineDay::progress`]. The end is when neither open machines nor those whose waivers end before the
/// due milestone are left.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RateForecast {
    /// How many days were asked for.
    pub window: u32,
    /// How many of them are known.
    pub days: u32,
    /// The median of the days.
    pub median: f64,
    /// The slowest day. Below zero more work came than went.
    pub least: i64,
    /// The fastest day.
    pub most: i64,
    /// When no work is left at the median; `None` if there is no end at this rate.
    pub end: Option<Timestamp>,
    /// When no work is left if every day is like the fastest one.
    pub earliest: Option<Timestamp>,
    /// When no work is left if every day is like the slowest one.
    pub latest: Option<Timestamp>,
}

closed_list! {
    /// What a forecast can say.
    ForecastState {
        /// No work is left, on waived machines either.
        Finished = 1, "finished";
        /// Fewer than 14 days in a row are known.
        TooFewDays = 2, "too-few-days";
        /// It has rates.
        Rates = 3, "rates";
        /// Nothing is open, and no waiver ends before a due milestone that is ahead; but work is left on waived machines.
        Waived = 4, "waived";
    }
}

/// When an order will be finished.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ForecastReport {
    /// The order.
    pub order: OrderId,
    /// Now.
    pub as_of: Timestamp,
    /// Machines on which work is left and which are not waived.
    pub open: u64,
    /// Machines on which work is left and which are waived now, but not any more at the due milestone.
    pub waivers_ending: u64,
    /// All machines on which work is left and which are waived now.
    pub waived: u64,
    /// What it can say.
    pub state: ForecastState,
    /// For how many days in a row up to now the progress is known.
    pub days: u32,
    /// The last 7 and 28 days; empty if nothing is forecast.
    pub rates: Vec<RateForecast>,
    /// The order's due milestone.
    pub due: Option<Timestamp>,
    /// Machines that must be finished each day so that nothing is open at the due milestone, with those whose waivers end before
    /// it; `None` if there is none or it is past, or if there are no such machines.
    pub needed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_of_a_timeline_are_read_back() {
        for by in TimelineBy::ALL {
            assert_eq!((TimelineBy::from_code(by.code()), by.name().parse()), (Some(*by), Ok(*by)));
        }
        for why in PastUnknown::ALL {
            assert_eq!((PastUnknown::from_code(why.code()), why.name().parse()), (Some(*why), Ok(*why)));
        }
    }

    #[test]
    fn everything_that_is_not_finished_is_open() {
        let lanes = Lane::ALL.iter().map(|lane| (*lane, 1)).collect();
        let counts = DayCounts { lanes, out_of_scope: 5, total: 16 };
        assert_eq!(counts.open(), 7, "retired, waived, done and clear are finished");
    }
}
