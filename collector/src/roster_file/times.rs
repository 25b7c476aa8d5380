//! Times as exports write them.
//!
//! | form | who writes it |
//! |---|---|
//! | `2026-11-28T10:20:30.1234567Z`, `+01:00` | Microsoft Graph (RFC 3339) |
//! | `2026-11-28 10:20:30`, `2026-11-28` | Intune, databases (ISO 8601) |
//! | `11/28/2026 10:20:30 AM` | PowerShell and the portals in the United States |
//! | `28.11.2026 10:20:30` | PowerShell in Germany and its neighbours |
//! | `134403348300000000` | a FILETIME: intervals of 100 ns since 1601 (<https://learn.microsoft.com/windows/win32/sysinfo/file-times>) |
//! | `20261128102030.0Z` | LDAP (<https://learn.microsoft.com/windows/win32/adschema/s-string-generalized-time>) |
//! | `20261128102030.000000+060` | WMI, with minutes of offset (<https://learn.microsoft.com/windows/win32/wmisdk/cim-datetime>) |
//! | `/Date(1795861230000)/` | `ConvertTo-Json` of Windows PowerShell: milliseconds since 1970 |
//!
//! A time without an offset is taken as UTC. With slashes, day and month can be swapped without a trace: [`SlashDates`] says
//! which one comes first, and a month beyond 12 is refused, because the whole file is then in the other order. A time before 1602 is
//! none: Graph and .NET write the year 1, and a FILETIME of 0 is the year 1601.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::mapping::SlashDates;
use muster_proto::model::{Timestamp, is_hidden};

/// Intervals of a FILETIME in a millisecond.
const TICKS_PER_MILLI: i64 = 10_000;
/// Milliseconds from 1601, where a FILETIME begins, to 1970.
const FROM_1601_TO_1970: i64 = 11_644_473_600_000;
/// A FILETIME that means never (<https://learn.microsoft.com/windows/win32/adschema/a-accountexpires>).
const NEVER: i64 = i64::MAX;
/// The first year that is a time.
const FIRST_YEAR: i16 = 1602;
/// Characters of a foreign text that an error quotes.
const QUOTED: usize = 60;

/// A time in no known form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time that can be read{}", if *.is_swapped { ": day and month are in the other order" } else { "" })]
pub struct UnreadableTime {
    /// The text, or its beginning.
    pub text: String,
    /// Whether it would be one with day and month swapped.
    pub is_swapped: bool,
}

/// Reads a time; `None` if the text says that there is none.
pub(super) fn parse(text: &str, slashes: SlashDates) -> Result<Option<Timestamp>, UnreadableTime> {
    // Some programs put direction marks between the numbers.
    let text: String = text.trim().chars().filter(|c| !is_hidden(*c)).collect();
    if text.is_empty() {
        return Ok(None);
    }
    let read = |order| of_date_call(&text).or_else(|| of_number(&text)).or_else(|| of_calendar(&text, order));
    read(slashes).ok_or_else(|| {
        let other = match slashes {
            SlashDates::MonthFirst => SlashDates::DayFirst,
            SlashDates::DayFirst => SlashDates::MonthFirst,
        };
        UnreadableTime { text: text.chars().take(QUOTED).collect(), is_swapped: read(other).is_some() }
    })
}

/// `/Date(1795861230000)/`, `/Date(1795861230000+0100)/`: the offset is for display only.
fn of_date_call(text: &str) -> Option<Option<Timestamp>> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = inner.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map_or(inner.len(), |(at, _)| at);
    let millis: i64 = inner.get(..end)?.parse().ok()?;
    Some((millis > -FROM_1601_TO_1970).then_some(Timestamp::from_millis(millis)))
}

/// A FILETIME, or a time of LDAP or WMI.
fn of_number(text: &str) -> Option<Option<Timestamp>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == text.len() {
        return match digits {
            1 => (text == "0").then_some(None),
            14 => of_packed(text, ""),
            17..=19 => {
                let ticks: i64 = text.parse().ok()?;
                let at = Timestamp::from_millis(ticks / TICKS_PER_MILLI - FROM_1601_TO_1970);
                Some((ticks != NEVER).then_some(at))
            }
            _ => None,
        };
    }
    let (packed, rest) = text.split_at_checked(digits)?;
    let rest = rest.strip_prefix(['.', ',']).map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    if digits == 14 { of_packed(packed, rest) } else { None }
}

/// `20261128102030` and its offset: `Z`, minutes as `+060`, or hours and minutes as `+0100`.
fn of_packed(packed: &str, offset: &str) -> Option<Option<Timestamp>> {
    let number = |from: usize, to: usize| packed.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize, to: usize| packed.get(from..to)?.parse::<i8>().ok();
    let date = Date::new(number(0, 4)?, small(4, 6)?, small(6, 8)?).ok()?;
    let time = Time::new(small(8, 10)?, small(10, 12)?, small(12, 14)?, 0).ok()?;
    let minutes = match offset {
        "" | "Z" => 0,
        _ => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let digits = offset.strip_prefix(['+', '-']).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            let value: i64 = digits.parse().ok()?;
            match digits.len() {
                3 => sign * value,
                4 => sign * (value / 100 * 60 + value % 100),
                _ => return None,
            }
        }
    };
    instant(date, time, minutes)
}

/// A date with separators, and after it nothing or a time.
fn of_calendar(text: &str, slashes: SlashDates) -> Option<Option<Timestamp>> {
    let end = text.find(|c: char| c == 'T' || c == 't' || c.is_whitespace()).unwrap_or(text.len());
    let (date, rest) = text.split_at_checked(end)?;
    let date = date_of(date.trim_end_matches(','), slashes)?;
    let rest = rest.trim_start_matches(['T', 't']).trim();
    if rest.is_empty() {
        return instant(date, Time::midnight(), 0);
    }
    let zone = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(rest.len());
    let (clock, rest) = rest.split_at_checked(zone)?;
    let (half, zone) = half_of_day(rest.trim());
    let (time, minutes) = (time_of(clock, half)?, minutes_of(zone.trim())?);
    instant(date, time, minutes)
}

fn date_of(text: &str, slashes: SlashDates) -> Option<Date> {
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    let mut parts = text.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = match separator {
        '-' | '/' if first.len() == 4 => (first, second, third),
        '/' if slashes == SlashDates::MonthFirst => (third, first, second),
        '/' | '.' => (third, second, first),
        _ => return None,
    };
    let is_number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    if year.len() != 4 || !is_number(year) || !is_number(month) || !is_number(day) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// The half of a day in the 12 hour clock, if the text begins with it, and the rest.
fn half_of_day(text: &str) -> (Option<i8>, &str) {
    for (mark, hours) in [("AM", 0), ("PM", 12)] {
        if let (Some(begin), Some(rest)) = (text.get(..2), text.get(2..))
            && begin.eq_ignore_ascii_case(mark)
        {
            return (Some(hours), rest);
        }
    }
    (None, text)
}

/// `10:20`, `10:20:30`, `10:20:30.1234567`.
fn time_of(clock: &str, half: Option<i8>) -> Option<Time> {
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() {
        return None;
    }
    let hour: i8 = hour.parse().ok()?;
    let hour = match half {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(hours) => hour % 12 + hours,
        None => hour,
    };
    // A tenth of a microsecond is more than a timestamp keeps.
    let nanos: i32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Time::new(hour, minute.parse().ok()?, second.parse().ok()?, nanos).ok()
}

/// The minutes of an offset: nothing, `Z`, `UTC`, `+01:00`, `+0100`.
fn minutes_of(zone: &str) -> Option<i64> {
    if zone.is_empty() || ["Z", "UTC", "GMT"].iter().any(|utc| zone.eq_ignore_ascii_case(utc)) {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone.strip_prefix(['+', '-'])?.chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: i64 = digits.parse().ok()?;
    Some(sign * (value / 100 * 60 + value % 100))
}

fn instant(date: Date, time: Time, offset_minutes: i64) -> Option<Option<Timestamp>> {
    if date.year() < FIRST_YEAR {
        return Some(None);
    }
    let utc = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    let millis = utc.as_millisecond().checked_sub(offset_minutes.checked_mul(60_000)?)?;
    Some(Some(Timestamp::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        parse(text, SlashDates::MonthFirst).expect(text).map(Timestamp::to_rfc3339)
    }

    #[test]
    fn one_instant_is_read_in_every_form() {
        for text in [
            "2026-11-28T10:20:30Z",
            "2026-11-28T11:20:30.0000000+01:00",
            "2026-11-28t05:20:30-05:00",
            " 2026-11-28 10:20:30 ",
            "2026-11-28 10:20:30.0000000",
            "2026-11-28 10:20:30 UTC",
            "2026/11/28 10:20:30",
            "11/28/2026 10:20:30 AM",
            "11/28/2026 10:20:30\u{202f}am",
            "11/28/2026, 10:20:30 AM",
            "\u{200e}11\u{200e}/\u{200e}28\u{200e}/\u{200e}2026 10:20:30",
            "11/28/2026 10:20:30",
            "28.11.2026 10:20:30",
            "134403348300000000",
            "20261128102030",
            "20261128102030.0Z",
            "20261128112030.000000+060",
            "20261128052030.0-0500",
            "/Date(1795861230000)/",
            "/Date(1795861230000+0100)/",
        ] {
            assert_eq!(read(text).as_deref(), Some("2026-11-28T10:20:30Z"), "{text}");
        }
    }

    #[test]
    fn noon_and_midnight_of_the_twelve_hour_clock_are_right() {
        assert_eq!(read("1/2/2026 12:00:00 AM").as_deref(), Some("2026-01-02T00:00:00Z"));
        assert_eq!(read("1/2/2026 12:30 PM").as_deref(), Some("2026-01-02T12:30:00Z"));
        assert_eq!(read("1/2/2026 1:05:09 PM").as_deref(), Some("2026-01-02T13:05:09Z"));
        assert_eq!(read("2026-11-28").as_deref(), Some("2026-11-28T00:00:00Z"));
        assert_eq!(read("2026-11-28T10:20:30.1239Z").as_deref(), Some("2026-11-28T10:20:30.123Z"));
    }

    #[test]
    fn what_means_no_time_is_none() {
        for text in [
            "",
            "  ",
            "0001-01-01T00:00:00Z",
            "1/1/0001 12:00:00 AM",
            "0",
            "9223372036854775807",
            "1601-01-01T00:00:00Z",
            "/Date(-62135596800000)/",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_in_no_form_is_an_error_and_never_another_time() {
        for text in [
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "28-11-2026",
            "11/28/26",
            "2026-11-28 25:00:00",
            "11/28/2026 13:00:00 PM",
            "2026-11-28T10:20:30+1",
            "2026-11-28T10:20:30 Europe/Berlin",
            "1795861230",
            "+2026-11-28",
            "2026-11-28T1é:00",
            "28.11.2026.",
            "20261128102030.0+é00",
            "/Date()/",
        ] {
            let fault = parse(text, SlashDates::MonthFirst).expect_err(text);
            assert_eq!((fault.text.as_str(), fault.is_swapped), (text, false));
        }
    }

    #[test]
    fn the_order_of_day_and_month_is_as_mapped_and_a_thirteenth_month_is_refused() {
        let day_first = parse("02/01/2026", SlashDates::DayFirst).expect("valid").expect("a time");
        assert_eq!(day_first.to_rfc3339(), "2026-01-02T00:00:00Z");
        assert_eq!(read("02/01/2026").as_deref(), Some("2026-02-01T00:00:00Z"));
        let fault = parse("28/11/2026 10:20:30", SlashDates::MonthFirst).expect_err("a thirteenth month");
        assert_eq!(
            fault.to_string(),
            "\"28/11/2026 10:20:30\" is no time that can be read: day and month are in the other order"
        );
    }
}
