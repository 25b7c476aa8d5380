//! `muster forecast`: when an order will be finished at the rates of the last days, and what it takes to meet its due date.

use muster_proto::model::{ForecastReport, ForecastState, RateForecast, Timestamp};

use super::args::timeline::ForecastArgs;
use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, counted, instant, when};

const HEADER: [&str; 16] = [
    "order",
    "as_of",
    "open",
    "waivers_ending",
    "waived",
    "state",
    "due",
    "needed_per_day",
    "window_days",
    "days",
    "median",
    "least",
    "most",
    "end",
    "earliest",
    "latest",
];
const NO_END: &str = "no end at this rate";
const MEANING: &str = "  finished: machines whose true lane became done or clear, less those on which work came back and new ones with work.
  A missing machine is finished when it is matched with a host, which then counts by its own lane.
  Waived, retired and excused machines are not finished, and changes of rules count neither way.
";

pub(super) async fn run(mut client: Client, asked: ForecastArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let report = client.forecast(&asked).await?;
    let answer = Answer { whole: &report, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(&report), || rows(&report), |paint| page(&report, paint))?;
    Ok(0)
}

fn rows(report: &ForecastReport) -> Vec<Vec<String>> {
    let of_order = vec![
        report.order.to_string(),
        report.as_of.to_rfc3339(),
        report.open.to_string(),
        report.waivers_ending.to_string(),
        report.waived.to_string(),
        report.state.to_string(),
        instant(report.due),
        report.needed.map(|needed| needed.to_string()).unwrap_or_default(),
    ];
    if report.rates.is_empty() {
        let empty = vec![String::new(); HEADER.len() - of_order.len()];
        return vec![[of_order, empty].concat()];
    }
    let row = |rate: &RateForecast| {
        let of_rate = vec![
            rate.window.to_string(),
            rate.days.to_string(),
            rate.median.to_string(),
            rate.least.to_string(),
            rate.most.to_string(),
            instant(rate.end),
            instant(rate.earliest),
            instant(rate.latest),
        ];
        [of_order.clone(), of_rate].concat()
    };
    report.rates.iter().map(row).collect()
}

pub(super) fn page(report: &ForecastReport, paint: &Paint) -> String {
    let now = report.as_of;
    let mut text = format!("{}\n", paint.bold(report.order.as_str()));
    let (machines, waived) = (counted(report.open, "machine"), counted(report.waived, "waived machine"));
    text.push_str(&match report.state {
        ForecastState::Finished => "  finished: no work is left\n".to_owned(),
        ForecastState::Waived => format!("  nothing is open, but work is left on {waived}\n"),
        ForecastState::TooFewDays | ForecastState::Rates => format!("  work is left on {machines}\n"),
    });
    if report.waivers_ending > 0 {
        let ending = counted(report.waivers_ending, "waived machine");
        text.push_str(&format!("  the waivers of {ending} with work end before the due date\n"));
    }
    text.push_str(&due(report, paint));
    match report.state {
        ForecastState::Finished | ForecastState::Waived => {}
        ForecastState::TooFewDays => text.push_str(&format!(
            "  no forecast: it needs 14 days in a row, and {} known\n",
            if report.days == 1 { "1 is".to_owned() } else { format!("{} are", report.days) }
        )),
        ForecastState::Rates => text.push_str(&format!("\n{}{MEANING}", rates(&report.rates, now, paint))),
    }
    text.push_str(&format!("  as of {}\n", now.whole_seconds()));
    text
}

fn due(report: &ForecastReport, paint: &Paint) -> String {
    let Some(due) = report.due else { return "  no due date\n".to_owned() };
    let line = format!("due {}", when(due, report.as_of));
    match report.needed {
        Some(needed) => format!("  {line}: {} a day must be finished to meet it\n", counted(needed, "machine")),
        None if due <= report.as_of && report.open > 0 => format!("  {}\n", paint.alarm(&line)),
        None => format!("  {line}\n"),
    }
}

fn rates(rates: &[RateForecast], now: Timestamp, paint: &Paint) -> String {
    let header = ["last", "finished a day", "range", "end at this rate", "at the fastest day", "at the slowest day"];
    let mut table = Table::new(&header).indented();
    for rate in rates {
        let known = if rate.days < rate.window { format!(" ({} known)", rate.days) } else { String::new() };
        let end = |at: Option<Timestamp>| Cell::text(at.map_or_else(|| NO_END.to_owned(), |at| date(at, now)));
        table.row(vec![
            Cell::text(format!("{} days{known}", rate.window)),
            Cell::text(rate.median.to_string()),
            Cell::text(format!("{} to {}", rate.least, rate.most)),
            end(rate.end),
            end(rate.earliest),
            end(rate.latest),
        ]);
    }
    table.text(paint)
}

/// `2026-12-24 (in 24 days)`.
fn date(at: Timestamp, now: Timestamp) -> String {
    let days = at.since(now).as_secs().div_ceil(24 * 3600);
    format!("{} (in {})", at.to_rfc3339().split('T').next().unwrap_or_default(), counted(days, "day"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-11-30T12:00:00Z").expect("valid")
    }

    fn report(state: ForecastState, open: u64) -> ForecastReport {
        let rate = RateForecast {
            window: 7,
            days: 7,
            median: 2.5,
            least: -1,
            most: 10,
            end: Some(now().plus(DAY * 16)),
            earliest: Some(now().plus(DAY * 4)),
            latest: None,
        };
        let month = RateForecast { window: 28, days: 20, median: -1.0, end: None, earliest: None, ..rate.clone() };
        let rates = if state == ForecastState::Rates { vec![rate, month] } else { Vec::new() };
        let needed = (open > 0).then_some(4);
        ForecastReport {
            order: "us-bis-icts-2021-002".parse().expect("valid"),
            as_of: now(),
            open,
            waivers_ending: 0,
            waived: 0,
            state,
            days: 20,
            rates,
            due: Some(now().plus(DAY * 10)),
            needed,
        }
    }

    #[test]
    fn a_forecast_has_rates_with_their_range_and_says_where_there_is_no_end() {
        let text = page(&report(ForecastState::Rates, 40), &Paint::plain());
        let expected = "us-bis-icts-2021-002
  work is left on 40 machines
  due 2026-12-10T12:00:00Z (in 10d): 4 machines a day must be finished to meet it

  LAST                FINISHED A DAY  RANGE     END AT THIS RATE         AT THE FASTEST DAY      AT THE SLOWEST DAY
  7 days              2.5             -1 to 10  2026-12-16 (in 16 days)  2026-12-04 (in 4 days)  no end at this rate
  28 days (20 known)  -1              -1 to 10  no end at this rate      no end at this rate     no end at this rate
  finished: machines whose true lane became done or clear, less those on which work came back and new ones with work.
  A missing machine is finished when it is matched with a host, which then counts by its own lane.
  Waived, retired and excused machines are not finished, and changes of rules count neither way.
  as of 2026-11-30T12:00:00Z
";
        assert_eq!(text, expected);
        let text = page(&ForecastReport { waivers_ending: 1, ..report(ForecastState::Rates, 40) }, &Paint::plain());
        assert!(text.contains("the waivers of 1 waived machine with work end before the due date"), "{text}");
    }

    #[test]
    fn without_enough_days_and_without_work_nothing_is_forecast() {
        let few = ForecastReport { days: 1, ..report(ForecastState::TooFewDays, 40) };
        let text = page(&few, &Paint::plain());
        assert!(text.contains("  no forecast: it needs 14 days in a row, and 1 is known\n"), "{text}");
        assert!(text.contains("4 machines a day"), "{text}");
        let text = page(&report(ForecastState::Finished, 0), &Paint::plain());
        assert!(text.contains("finished: no work is left") && !text.contains("a day"), "{text}");
        let waived = ForecastReport { waived: 500, ..report(ForecastState::Waived, 0) };
        let text = page(&waived, &Paint::plain());
        assert!(text.contains("nothing is open, but work is left on 500 waived machines"), "{text}");
        assert!(!text.contains("finished"), "{text}");
        assert_eq!(
            rows(&few),
            [[
                vec![
                    "us-bis-icts-2021-002",
                    "2026-11-30T12:00:00Z",
                    "40",
                    "0",
                    "0",
                    "too-few-days",
                    "2026-12-10T12:00:00Z",
                    "4"
                ],
                vec![""; 8]
            ]
            .concat()]
        );
        assert!(rows(&report(ForecastState::Rates, 40)).iter().all(|row| row.len() == HEADER.len()));
    }
}
