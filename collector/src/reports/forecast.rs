//! When an order will be finished: from how many machines were finished on the last days to a rate, a date, and how many machines
//! a day are needed. The calculation is pure and knows no store.
//!
//! A machine is finished when its true lane is: a waiver, a retirement or an excuse finishes nothing (`store/decide/timeline`). Work
//! is left on machines that are open now, and on those whose waivers end before the due milestone.

use muster_proto::model::{ForecastReport, ForecastState, OrderId, PastUnknown, RateForecast, SiteId, Timestamp};

use super::timeline::{DAY_MS, TimelineAsked};
use super::{ReportContext, ReportError};
use crate::store::admin::past::timeline::InstantCounts;

/// The days that a rate is taken from.
const WINDOWS: [u32; 2] = [7, 28];
/// Fewer days in a row say nothing: half of them are at week-ends and holidays.
const FEWEST: usize = 14;
/// A rate that needs longer than this has no end that anybody could plan with: a thousand years.
const LONGEST_DAYS: f64 = 365_000.0;

/// What a forecast is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Work {
    /// The progress of each of the last days in a row up to yesterday, the oldest first.
    progress: Vec<i64>,
    /// Open machines now.
    open: u64,
    /// Machines with work whose waivers end before the due milestone.
    waivers_ending: u64,
    /// All waived machines with work.
    waived: u64,
}

impl Work {
    const fn left(&self) -> u64 {
        self.open.saturating_add(self.waivers_ending)
    }
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
        let timeline = self.timeline_found(asked, due).await?;
        let present = timeline.days.last().filter(|day| day.at == self.now);
        // Where nothing is counted, nothing is finished.
        if present.is_some_and(|day| day.counts.total == day.counts.out_of_scope) {
            return Err(ReportError::NoMachines { sites: asked_sites });
        }
        let Some(present) = present.map(|day| day.counts.open()) else {
            // A count that is not known must not read as finished.
            let why = timeline.omitted.last().map_or(PastUnknown::RulesUnknown, |omitted| omitted.why);
            return Err(ReportError::NotKnown { at: self.now, order: Some(order.clone()), why, from: None });
        };
        let progress = progress_in_a_row(&timeline.days, self.now);
        let work = Work { progress, open: present, waivers_ending: timeline.waivers_ending, waived: timeline.waived };
        Ok(forecast(order, &work, due, self.now))
    }
}

/// The progress of the days in a row that end with yesterday, the oldest first. It is known of a day if the end of the day before is.
fn progress_in_a_row<G>(days: &[InstantCounts<G>], now: Timestamp) -> Vec<i64> {
    let mut end = now.millis().div_euclid(DAY_MS) * DAY_MS - 1;
    let mut progress = Vec::new();
    for day in days.iter().rev().filter(|day| day.at != now) {
        if day.at.millis() != end {
            break;
        }
        progress.push(day.progress);
        end -= DAY_MS;
    }
    progress.pop();
    progress.reverse();
    progress
}

fn forecast(order: &OrderId, work: &Work, due: Option<Timestamp>, now: Timestamp) -> ForecastReport {
    let (progress, left) = (&work.progress, work.left());
    let state = match left {
        0 if work.waived > 0 => ForecastState::Waived,
        0 => ForecastState::Finished,
        _ if progress.len() < FEWEST => ForecastState::TooFewDays,
        _ => ForecastState::Rates,
    };
    let rates = match state {
        ForecastState::Rates => WINDOWS.iter().filter_map(|window| rate(*window, progress, left, now)).collect(),
        ForecastState::Finished | ForecastState::Waived | ForecastState::TooFewDays => Vec::new(),
    };
    ForecastReport {
        order: order.clone(),
        as_of: now,
        open: work.open,
        waivers_ending: work.waivers_ending,
        waived: work.waived,
        state,
        days: u32::try_from(progress.len()).unwrap_or(u32::MAX),
        rates,
        due,
        needed: due.and_then(|due| needed(left, due, now)),
    }
}

/// The rate of the last days of a window.
fn rate(window: u32, progress: &[i64], left: u64, now: Timestamp) -> Option<RateForecast> {
    let mut days = progress[progress.len().saturating_sub(window as usize)..].to_vec();
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
        end: end(left, median, now),
        earliest: end(left, most as f64, now),
        latest: end(left, least as f64, now),
    })
}

/// When so many machines are finished at a rate a day; `None` if they never are.
fn end(left: u64, rate: f64, now: Timestamp) -> Option<Timestamp> {
    let days = left as f64 / rate;
    let has_end = rate > 0.0 && days <= LONGEST_DAYS;
    has_end.then(|| Timestamp::from_millis(now.millis().saturating_add((days * DAY_MS as f64).ceil() as i64)))
}

/// How many machines a day must be finished until the due milestone; `None` if it is past or no work is left.
fn needed(left: u64, due: Timestamp, now: Timestamp) -> Option<u64> {
    let time = due.millis().saturating_sub(now.millis());
    if time <= 0 || left == 0 {
        return None;
    }
    let needed = (u128::from(left) * DAY_MS.unsigned_abs() as u128).div_ceil(time.unsigned_abs().into());
    // In the last hours the rest of them, however few hours are left.
    Some(u64::try_from(needed).unwrap_or(u64::MAX).min(left))
}

#[cfg(test)]
mod tests {
    use muster_proto::model::DayCounts;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_268_800_000 + 43_200_000);

    fn order() -> OrderId {
        OrderId::new("us-bis-icts-2021-002").expect("valid")
    }

    fn in_days(days: f64) -> Timestamp {
        Timestamp::from_millis(NOW.millis() + (days * DAY_MS as f64) as i64)
    }

    /// After days with this progress, when so many are open.
    fn of(progress: &[i64], open: u64, due: Option<Timestamp>) -> ForecastReport {
        forecast(&order(), &Work { progress: progress.to_vec(), open, waivers_ending: 0, waived: 0 }, due, NOW)
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
    fn waivers_that_end_before_the_due_date_are_work_too() {
        let work = Work { progress: vec![5; 28], open: 60, waivers_ending: 40, waived: 40 };
        let report = forecast(&order(), &work, Some(in_days(10.0)), NOW);
        assert_eq!((report.open, report.waivers_ending, report.needed), (60, 40, Some(10)));
        assert_eq!(report.rates[0].end, Some(in_days(20.0)), "100 machines");
        let hidden = Work { open: 0, ..work };
        let report = forecast(&order(), &hidden, Some(in_days(10.0)), NOW);
        assert_eq!((report.state, report.needed), (ForecastState::Rates, Some(4)), "nothing is open, but work is left");
    }

    #[test]
    fn an_order_is_not_finished_while_waived_machines_have_work() {
        for due in [None, Some(in_days(-1.0)), Some(in_days(10.0))] {
            let work = Work { progress: vec![5; 28], open: 0, waivers_ending: 0, waived: 500 };
            let report = forecast(&order(), &work, due, NOW);
            assert_eq!((report.state, report.waived, report.needed), (ForecastState::Waived, 500, None), "{due:?}");
        }
    }

    #[test]
    fn only_days_in_a_row_up_to_yesterday_count() {
        let end = |back: i64| Timestamp::from_millis(NOW.millis().div_euclid(DAY_MS) * DAY_MS - 1 - back * DAY_MS);
        let day = |at: Timestamp, progress: i64| InstantCounts::<u8> {
            at,
            counts: DayCounts::default(),
            groups: Vec::new(),
            steps: Vec::new(),
            progress,
        };
        let days = [day(end(5), 9), day(end(3), 8), day(end(2), 7), day(end(1), 6), day(end(0), 5), day(NOW, 4)];
        assert_eq!(progress_in_a_row(&days, NOW), [7, 6, 5], "what changed since the day before the gap took two days");
        assert_eq!(progress_in_a_row(&days[..2], NOW), [0; 0], "yesterday is not known");
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
