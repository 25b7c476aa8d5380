//! When an order will be finished, as the page of its timeline shows it.

use muster_proto::model::{ForecastReport, ForecastState, RateForecast, Timestamp};

use super::numbers::date;
use crate::api::web::format::{Moment, counted};

/// A forecast.
pub(super) struct Forecast {
    /// Whether work is left, and why nothing is forecast.
    pub(super) sentences: Vec<String>,
    pub(super) due: Option<Moment>,
    pub(super) distance: Option<Moment>,
    /// The due date is past, and work is left.
    pub(super) is_late: bool,
    /// `7 machines a day`; empty if nothing has to be met.
    pub(super) needed: String,
    pub(super) rates: Vec<Rate>,
}

/// The rate of the last days.
pub(super) struct Rate {
    /// `7 days`, `28 days (20 known)`.
    pub(super) window: String,
    pub(super) median: String,
    /// `-1 to 10`.
    pub(super) range: String,
    pub(super) end: String,
    pub(super) earliest: String,
    pub(super) latest: String,
    /// Its end comes after the due date that is ahead, or never.
    pub(super) is_late: bool,
}

impl Forecast {
    pub(super) fn of(report: &ForecastReport) -> Self {
        let now = report.as_of;
        let left = format!("Work is left on {}.", counted(report.open, "machine"));
        let mut sentences = match report.state {
            ForecastState::Finished => vec!["No work is left: the order is finished.".to_owned()],
            ForecastState::Waived => {
                let waived = counted(report.waived, "waived machine");
                vec![format!("Nothing is open, but work is left on {waived}.")]
            }
            ForecastState::Rates => vec![left],
            ForecastState::TooFewDays => {
                let known = if report.days == 1 { "1 is".to_owned() } else { format!("{} are", report.days) };
                vec![left, format!("There is no forecast yet: it needs 14 days in a row, and {known} known.")]
            }
        };
        if report.waivers_ending > 0 {
            let waived = counted(report.waivers_ending, "waived machine");
            sentences.insert(1, format!("The waivers of {waived} with work end before the due date."));
        }
        Self {
            sentences,
            due: report.due.map(Moment::deadline),
            distance: report.due.map(|due| Moment::ago(due, now)),
            is_late: report.open > 0 && report.due.is_some_and(|due| due <= now),
            needed: report.needed.map(|needed| format!("{} a day", counted(needed, "machine"))).unwrap_or_default(),
            rates: report.rates.iter().map(|rate| Rate::of(rate, report.due, now)).collect(),
        }
    }
}

impl Rate {
    fn of(rate: &RateForecast, due: Option<Timestamp>, now: Timestamp) -> Self {
        let known = if rate.days < rate.window { format!(" ({} known)", rate.days) } else { String::new() };
        Self {
            window: format!("{} days{known}", rate.window),
            median: rate.median.to_string(),
            range: format!("{} to {}", rate.least, rate.most),
            end: end(rate.end, now),
            earliest: end(rate.earliest, now),
            latest: end(rate.latest, now),
            // Nothing can be in time for a date that is past, which the page says once.
            is_late: due.is_some_and(|due| due > now && rate.end.is_none_or(|end| end > due)),
        }
    }
}

/// `2026-12-24 (in 24 days)`.
fn end(at: Option<Timestamp>, now: Timestamp) -> String {
    let Some(at) = at else { return "no end at this rate".to_owned() };
    let days = at.since(now).as_secs().div_ceil(24 * 3600);
    format!("{} (in {})", date(at), counted(days, "day"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn report(state: ForecastState, open: u64) -> ForecastReport {
        let now = Timestamp::parse_rfc3339("2026-11-30T12:00:00Z").expect("valid");
        let rate = RateForecast {
            window: 28,
            days: 20,
            median: 2.5,
            least: -1,
            most: 10,
            end: Some(now.plus(DAY * 16)),
            earliest: Some(now.plus(DAY * 4)),
            latest: None,
        };
        ForecastReport {
            order: "us-bis-icts-2021-002".parse().expect("an id"),
            as_of: now,
            open,
            waived: 0,
            waivers_ending: if state == ForecastState::Rates { 3 } else { 0 },
            state,
            days: 13,
            rates: if state == ForecastState::Rates { vec![rate] } else { Vec::new() },
            due: Some(now.plus(DAY * 10)),
            needed: (open > 0).then_some(4),
        }
    }

    #[test]
    fn a_rate_says_when_it_ends_and_whether_that_is_in_time() {
        let shown = Forecast::of(&report(ForecastState::Rates, 40));
        assert_eq!((shown.needed.as_str(), shown.is_late), ("4 machines a day", false));
        assert_eq!(shown.sentences[1], "The waivers of 3 waived machines with work end before the due date.");
        let [rate] = shown.rates.as_slice() else { panic!("one rate") };
        assert_eq!(
            (rate.window.as_str(), rate.median.as_str(), rate.range.as_str()),
            ("28 days (20 known)", "2.5", "-1 to 10")
        );
        assert_eq!(
            [&rate.end, &rate.earliest, &rate.latest],
            ["2026-12-16 (in 16 days)", "2026-12-04 (in 4 days)", "no end at this rate"]
        );
        assert!(rate.is_late, "six days after the due date");
    }

    #[test]
    fn nothing_is_forecast_of_few_days_or_of_a_finished_order() {
        let few = Forecast::of(&report(ForecastState::TooFewDays, 7));
        assert!(few.rates.is_empty() && few.sentences[1].contains("14 days in a row, and 13 are known"));
        let finished = Forecast::of(&report(ForecastState::Finished, 0));
        assert_eq!((finished.needed.as_str(), finished.sentences.len()), ("", 1));
        let late = ForecastReport { due: Some(Timestamp::from_millis(0)), ..report(ForecastState::TooFewDays, 7) };
        assert!(Forecast::of(&late).is_late);
    }
}
