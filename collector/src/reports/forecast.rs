//! When an order will be finished: from how many machines were open on the last days to a rate, a date, and how many machines a
//! day are needed. The calculation is pure and knows no store.

use muster_proto::model::{
    ForecastReport, ForecastState, OrderId, PastUnknown, RateForecast, SiteId, TimelineDay, Timestamp,
};

use super::timeline::{DAY_MS, TimelineAsked};
use super::{ReportContext, ReportError};

/// The days that a rate is taken from.
const WINDOWS: [u32; 2] = [7, 28];
/// Fewer days in a row say nothing: half of them are at week-ends and holidays.
const FEWEST: usize = 14;
/// A rate that needs longer than this has no end that anybody could plan with: a thousand years.
const LONGEST_DAYS: f64 = 365_000.0;

/// What a forecast is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OpenDays {
    /// Open machines at the end of each of the last days in a row, the oldest first.
    ends: Vec<u64>,
    /// Open machines now.
    now: u64,
}

impl ReportContext {
    /// When an active order will be finished at the rates of the last days. `sites` are those whose machines are counted; empty is
    /// every site.
    ///
    /// # Errors
    /// There is no such active order, no machine is counted at these sites, or the store failed.
    pub async fn forecast(&self, order: &OrderId, sites: Vec<SiteId>) -> Result<ForecastReport, ReportError> {
        let due = self.orders_asked(Some(order))?.first().and_then(|order| order.due());
        // The ends of the days of the longest window, and of the day before it.
        let days = WINDOWS[1] + 2;
        let from = Timestamp::from_millis(self.now.millis().saturating_sub(i64::from(days - 1) * DAY_MS));
        let asked_sites = sites.clone();
        let asked = TimelineAsked { order: order.clone(), from: Some(from), sites, ..TimelineAsked::default_of(order) };
        let timeline = self.timeline(asked).await?;
        let present = timeline.days.last().filter(|day| day.at == self.now);
        if !asked_sites.is_empty() && present.is_some_and(|day| day.counts.total == 0) {
            return Err(ReportError::NoMachines { sites: asked_sites });
        }
        let Some(present) = present.map(|day| day.counts.open()) else {
            // A count that is not known must not read as finished.
            let why = timeline.omitted.last().map_or(PastUnknown::RulesUnknown, |omitted| omitted.why);
            return Err(ReportError::NotKnown { at: self.now, order: Some(order.clone()), why, from: None });
        };
        let open = OpenDays { ends: ends_in_a_row(&timeline.days, self.now), now: present };
        Ok(forecast(order, &open, due, self.now))
    }
}

/// How many machines were open at the ends of the days in a row that end with yesterday, the oldest first.
fn ends_in_a_row(days: &[TimelineDay], now: Timestamp) -> Vec<u64> {
    let mut end = now.millis().div_euclid(DAY_MS) * DAY_MS - 1;
    let mut ends = Vec::new();
    for day in days.iter().rev().filter(|day| day.at != now) {
        if day.at.millis() != end {
            break;
        }
        ends.push(day.counts.open());
        end -= DAY_MS;
    }
    ends.reverse();
    ends
}

fn forecast(order: &OrderId, open: &OpenDays, due: Option<Timestamp>, now: Timestamp) -> ForecastReport {
    // How many fewer were open at the end of each day than at the end of the day before.
    let lessened: Vec<i64> =
        open.ends.windows(2).map(|pair| pair[0].cast_signed().saturating_sub(pair[1].cast_signed())).collect();
    let state = match open.now {
        0 => ForecastState::Finished,
        _ if lessened.len() < FEWEST => ForecastState::TooFewDays,
        _ => ForecastState::Rates,
    };
    let rates = match state {
        ForecastState::Rates => WINDOWS.iter().filter_map(|window| rate(*window, &lessened, open.now, now)).collect(),
        ForecastState::Finished | ForecastState::TooFewDays => Vec::new(),
    };
    ForecastReport {
        order: order.clone(),
        as_of: now,
        open: open.now,
        state,
        days: u32::try_from(lessened.len()).unwrap_or(u32::MAX),
        rates,
        due,
        needed: due.and_then(|due| needed(open.now, due, now)),
    }
}

/// The rate of the last days of a window.
fn rate(window: u32, lessened: &[i64], open: u64, now: Timestamp) -> Option<RateForecast> {
    let mut days = lessened[lessened.len().saturating_sub(window as usize)..].to_vec();
    days.sort_unstable();
    let (least, most) = (*days.first()?, *days.last()?);
    let middle = days.len() / 2;
    let median = if days.len() % 2 == 1 { days[middle] as f64 } else { (days[middle - 1] + days[middle]) as f64 / 2.0 };
    Some(RateForecast {
        window,
        days: u32::try_from(days.len()).unwrap_or(u32::MAX),
        median,
        least,
        most,
        end: end(open, median, now),
        earliest: end(open, most as f64, now),
        latest: end(open, least as f64, now),
    })
}

/// When so many machines are finished at a rate a day; `None` if they never are.
fn end(open: u64, rate: f64, now: Timestamp) -> Option<Timestamp> {
    let days = open as f64 / rate;
    let has_end = rate > 0.0 && days <= LONGEST_DAYS;
    has_end.then(|| Timestamp::from_millis(now.millis().saturating_add((days * DAY_MS as f64).ceil() as i64)))
}

/// How many machines a day must be finished until the due milestone; `None` if it is past or nothing is open.
fn needed(open: u64, due: Timestamp, now: Timestamp) -> Option<u64> {
    let left = due.millis().saturating_sub(now.millis());
    if left <= 0 || open == 0 {
        return None;
    }
    let needed = (u128::from(open) * DAY_MS.unsigned_abs() as u128).div_ceil(left.unsigned_abs().into());
    // In the last hours the rest of them, however few hours are left.
    Some(u64::try_from(needed).unwrap_or(u64::MAX).min(open))
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{DayCounts, Lane};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_268_800_000 + 43_200_000);

    fn order() -> OrderId {
        OrderId::new("us-bis-icts-2021-002").expect("valid")
    }

    fn in_days(days: f64) -> Timestamp {
        Timestamp::from_millis(NOW.millis() + (days * DAY_MS as f64) as i64)
    }

    /// Open machines that become less by these, until `now` are left.
    fn lessened(by: &[i64], now: u64) -> OpenDays {
        let mut ends = vec![now];
        for less in by.iter().rev() {
            ends.push(ends[ends.len() - 1].checked_add_signed(*less).expect("not below zero"));
        }
        ends.reverse();
        OpenDays { ends, now }
    }

    fn of(by: &[i64], now: u64, due: Option<Timestamp>) -> ForecastReport {
        forecast(&order(), &lessened(by, now), due, NOW)
    }

    #[test]
    fn a_steady_rate_gives_the_date_at_which_nothing_is_open() {
        let report = of(&[5; 28], 100, Some(in_days(10.0)));
        assert_eq!((report.state, report.days, report.open), (ForecastState::Rates, 28, 100));
        for (rate, window) in report.rates.iter().zip(WINDOWS) {
            assert_eq!((rate.window, rate.days, rate.median, rate.least, rate.most), (window, window, 5.0, 5, 5));
            assert_eq!([rate.end, rate.earliest, rate.latest], [Some(in_days(20.0)); 3]);
        }
        assert_eq!(report.needed, Some(10), "100 in 10 days");
    }

    #[test]
    fn a_week_and_a_month_have_rates_of_their_own() {
        let by: Vec<i64> = [vec![10; 21], vec![0, 4, 2, 2, 3, 0, 1]].concat();
        let report = of(&by, 30, None);
        let [week, month] = report.rates.as_slice() else { panic!("{report:?}") };
        assert_eq!((week.median, week.least, week.most), (2.0, 0, 4));
        assert_eq!((week.end, week.earliest, week.latest), (Some(in_days(15.0)), Some(in_days(7.5)), None));
        assert_eq!((month.median, month.least, month.most, month.days), (10.0, 0, 10, 28));
        assert_eq!((report.due, report.needed), (None, None));
    }

    #[test]
    fn a_fleet_whose_work_grows_or_stands_still_has_no_end() {
        for by in [[-3; 28], [0; 28]] {
            let report = of(&by, 90, Some(in_days(30.0)));
            assert!(report.rates.iter().all(|rate| rate.end.is_none() && rate.latest.is_none()), "{report:?}");
            assert_eq!(report.needed, Some(3), "what is needed does not depend on the rate");
        }
        let slow: Vec<i64> = (0..28).map(|day| i64::from(day % 2 == 0)).collect();
        let report = of(&slow, 1_000_000_000, None);
        assert_eq!(report.rates[1].median, 0.5);
        assert_eq!(report.rates[1].end, None, "nobody plans for so long");
    }

    #[test]
    fn nothing_is_forecast_from_fewer_than_fourteen_days() {
        let report = of(&[5; 13], 100, Some(in_days(10.0)));
        assert_eq!((report.state, report.days, report.rates.len()), (ForecastState::TooFewDays, 13, 0));
        assert_eq!(report.needed, Some(10), "this needs no days");
        let report = of(&[5; 14], 100, None);
        assert_eq!((report.state, report.rates[0].days, report.rates[1].days), (ForecastState::Rates, 7, 14));
    }

    #[test]
    fn a_finished_order_needs_no_forecast_and_a_past_one_no_rate_to_meet_it() {
        let report = of(&[5; 28], 0, Some(in_days(10.0)));
        assert_eq!((report.state, report.rates.len(), report.needed), (ForecastState::Finished, 0, None));
        let report = of(&[5; 28], 7, Some(in_days(-1.0)));
        assert_eq!((report.state, report.needed), (ForecastState::Rates, None));
        assert_eq!(of(&[5; 28], 7, Some(in_days(0.25))).needed, Some(7), "there are no more than that");
    }

    #[test]
    fn only_days_in_a_row_up_to_yesterday_count() {
        let end = |back: i64| Timestamp::from_millis(NOW.millis().div_euclid(DAY_MS) * DAY_MS - 1 - back * DAY_MS);
        let day = |at: Timestamp, open: u64| TimelineDay {
            at,
            counts: DayCounts { lanes: [(Lane::Remove, open), (Lane::Clear, 50)].into(), out_of_scope: 0, total: 50 },
            groups: Vec::new(),
            steps: Vec::new(),
        };
        let days = [day(end(5), 9), day(end(3), 8), day(end(2), 7), day(end(1), 6), day(end(0), 5), day(NOW, 4)];
        assert_eq!(ends_in_a_row(&days, NOW), [8, 7, 6, 5]);
        assert_eq!(ends_in_a_row(&days[..2], NOW), [0; 0], "the days before yesterday are not known");
    }

    proptest! {
        #[test]
        fn at_the_rate_that_is_needed_an_order_is_finished_when_it_is_due(
            open in 1_u64..5_000_000,
            left in 1_i64..400 * DAY_MS,
        ) {
            let due = Timestamp::from_millis(NOW.millis() + left);
            let needed = needed(open, due, NOW).expect("not past");
            prop_assert!(needed == open || end(open, needed as f64, NOW).expect("an end") <= due);
            let fewer = needed - 1;
            prop_assert!(fewer == 0 || end(open, fewer as f64, NOW).expect("an end") > due);
        }

        #[test]
        fn the_median_is_within_the_range_and_its_end_between_the_others(
            by in proptest::collection::vec(-50_i64..200, 14..28),
            open in 10_000_u64..20_000,
        ) {
            let report = of(&by, open, None);
            for rate in report.rates {
                prop_assert!(rate.least as f64 <= rate.median && rate.median <= rate.most as f64);
                prop_assert!(rate.end.is_none() || rate.earliest <= rate.end);
                prop_assert!(rate.latest.is_none() || rate.end <= rate.latest);
            }
        }
    }
}
