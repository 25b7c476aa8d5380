//! The shipped calendars against days that others have collected, and the faults of calendar files.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};

use super::Calendar;
use crate::rules::toml_reader::{RuleFile, TomlReader};

/// Written by `deploy/ci/calendars`, which also checks it.
const EXPECTED: &str = include_str!("expected.txt");

fn read(text: &str) -> (Calendar, Vec<String>) {
    let file = RuleFile {
        folder: "calendars".to_owned(),
        name: "test.toml".to_owned(),
        place: "calendars/test.toml".to_owned(),
        text: text.to_owned(),
    };
    let (calendar, faults) = TomlReader::read(&file, super::read);
    (calendar, faults.iter().map(ToString::to_string).collect())
}

fn shipped(id: &str) -> Calendar {
    let files = crate::rules::embedded();
    let file = files.iter().find(|file| file.folder == "calendars" && file.name == format!("{id}.toml"));
    let (calendar, faults) = TomlReader::read(file.expect("it is shipped"), super::read);
    assert!(faults.is_empty(), "{faults:?}");
    calendar
}

#[test]
fn the_shipped_calendars_have_the_days_that_others_have_collected() {
    let ids: BTreeSet<&str> = EXPECTED.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids.len(), 4);
    for id in ids {
        let calendar = shipped(id);
        let expected: BTreeSet<Date> =
            EXPECTED.lines().filter_map(|line| line.strip_prefix(id)?.trim().parse().ok()).collect();
        let days = date(2017, 1, 1).series(1.day()).take_while(|day| day.year() < 2036);
        let off: BTreeSet<Date> = days
            .filter(|day| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday))
            .filter(|day| !calendar.is_business_day(*day))
            .collect();
        let difference: Vec<&Date> = off.symmetric_difference(&expected).collect();
        assert!(difference.is_empty(), "{id}: {difference:?}");
    }
}

#[test]
fn business_days_are_counted_over_weekends_holidays_and_the_turn_of_the_year() {
    let federal = shipped("us-federal");
    for (day, count, expected) in [
        // The Friday before Labor Day.
        (date(2026, 9, 4), 3, date(2026, 9, 10)),
        (date(2026, 9, 5), 1, date(2026, 9, 8)),
        // New Year's Day of 2028 is a Saturday, so the Friday before it is off.
        (date(2027, 12, 30), 1, date(2028, 1, 3)),
        (date(2024, 2, 28), 2, date(2024, 3, 1)),
        (date(2026, 9, 4), 0, date(2026, 9, 4)),
    ] {
        assert_eq!(federal.after(day, count), expected, "{count} after {day}");
    }
}

#[test]
fn a_calendar_file_is_refused_with_the_key_and_what_it_may_be() {
    let head = "id = \"x\"\ntitle = \"x\"\n";
    let weekend = "weekend = [\"sunday\"]\n";
    let holiday = "[[holiday]]\nname = \"h\"\n";
    for (text, fault) in [
        (head.to_owned(), "`weekend` needs one to six weekdays"),
        (
            format!(
                "{head}weekend = [\"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\", \"saturday\", \"sunday\"]"
            ),
            "`weekend` needs one to six weekdays",
        ),
        (format!("{head}weekend = [\"sonday\"]"), "did you mean"),
        (format!("{head}{weekend}{holiday}month = 2\nday = 30"), "month 2 has no day 30"),
        (format!("{head}{weekend}{holiday}month = 13\nday = 1"), "`month` must be from 1 to 12"),
        (format!("{head}{weekend}{holiday}month = 1\nweekday = \"monday\"\nnth = 6"), "`nth` is from 1 to 5"),
        (format!("{head}{weekend}{holiday}month = 1\nweekday = \"monday\""), "`before` must be from 1 to 31"),
        (format!("{head}{weekend}{holiday}easter = 400"), "from -60 to 60"),
        (format!("{head}{weekend}{holiday}"), "`month` must be"),
        (format!("{head}{weekend}[[closed]]\nwhy = \"x\""), "missing key `day`"),
        (format!("{head}{weekend}[[closed]]\nday = 2022-09-22"), "missing key `why`"),
    ] {
        let (_, faults) = read(&text);
        assert!(faults.iter().any(|found| found.contains(fault)), "{text}: {faults:?}");
    }
}

#[test]
fn the_nearest_weekday_is_that_of_the_calendar_s_own_weekend() {
    let holiday =
        |day: u32| format!("[[holiday]]\nname = \"h\"\nmonth = 1\nday = {day}\nobserved = \"nearest-weekday\"\n");
    let head = "id = \"x\"\ntitle = \"x\"\nweekend = [\"friday\", \"saturday\"]\n";
    // 2 January 2026 is a Friday.
    for (day, off, on) in [(2, date(2026, 1, 1), date(2026, 1, 4)), (3, date(2026, 1, 4), date(2026, 1, 1))] {
        let (calendar, faults) = read(&format!("{head}{}", holiday(day)));
        assert!(faults.is_empty(), "{faults:?}");
        assert!(!calendar.is_business_day(off) && calendar.is_business_day(on), "{day}");
    }
}

#[test]
fn a_year_without_business_days_does_not_hang() {
    let months =
        (1..=12).map(|month| format!("[[holiday]]\nname = \"h\"\nmonth = {month}\nweekday = \"monday\"\nnth = 1\n"));
    let text = format!(
        "id = \"x\"\ntitle = \"x\"\nweekend = [\"sunday\", \"saturday\", \"friday\", \"thursday\", \"wednesday\", \"tuesday\"]\n{}",
        months.collect::<String>()
    );
    let (calendar, faults) = read(&text);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(calendar.after(date(2026, 1, 1), 1), date(2026, 1, 12), "the first Monday is off");
    let _ = calendar.after(date(9999, 12, 1), 40);
}
