//! Versions and dates of signatures, as products on Windows write them into the registry and into files.

use muster_proto::model::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time};

use crate::sources::parse::signatures::Release;

/// Milliseconds from 1601, where Windows counts from, to 1970.
const FROM_1601: i64 = 11_644_473_600_000;

/// A release without a version.
const fn dated(released: Option<Timestamp>) -> Option<Release> {
    match released {
        Some(released) => Some(Release { version: String::new(), released: Some(released) }),
        None => None,
    }
}

fn versioned(version: &str, released: Option<Timestamp>) -> Option<Release> {
    (!version.is_empty()).then(|| Release { version: version.to_owned(), released })
}

/// A time of Windows: hundreds of nanoseconds since 1601, in little endian. Zero is 1601, which means that there are no
/// signatures; the collector says so.
#[must_use]
pub fn of_filetime(bytes: &[u8]) -> Option<Timestamp> {
    let count = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let milliseconds = i64::try_from(count / 10_000).ok()? - FROM_1601;
    // Up to the year 2100.
    (milliseconds < 4_102_444_800_000).then(|| Timestamp::from_millis(milliseconds))
}

/// A text that is only a version.
#[must_use]
pub fn of_version(text: &str) -> Option<Release> {
    versioned(text.trim(), None)
}

/// ESET: `30123 (20261122)`.
#[must_use]
pub fn of_eset(text: &str) -> Option<Release> {
    let (version, rest) = text.split_once('(').unwrap_or((text, ""));
    versioned(version.trim(), of_digits(rest.trim_end_matches([')', ' '])))
}

/// Avast and AVG: `Latest=26112208` in `aswdefs.ini`, year to hour in UTC. The rest counts the releases of one hour.
#[must_use]
pub fn of_aswdefs(text: &str) -> Option<Release> {
    let version = value_of(text, "Latest")?;
    versioned(version, of_digits(&format!("20{}", version.get(..8).unwrap_or(version))))
}

/// Malwarebytes: `"db_pub_date": 1795336740` in a JSON file after one line that is not JSON.
#[must_use]
pub fn of_malwarebytes(text: &str) -> Option<Release> {
    let (_, rest) = text.split_once("\"db_pub_date\"")?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().trim_start_matches('"');
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    dated(of_seconds(digits.parse().ok()?))
}

/// Bitdefender: the attribute `succtime` of the element `Update` in `Antivirus` of `update_statistics.xml`.
#[must_use]
pub fn of_update_statistics(text: &str) -> Option<Release> {
    let (_, rest) = text.split_once("<Antivirus")?;
    let (_, rest) = rest.split("</Antivirus>").next()?.split_once("<Update ")?;
    let (_, value) = rest.split('>').next()?.split_once("succtime=\"")?;
    dated(of_seconds(value.split('"').next()?.trim().parse().ok()?))
}

/// Bitdefender: `Signature number: 8112233` in `update.txt`.
#[must_use]
pub fn of_signature_number(text: &str) -> Option<Release> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Signature number"))?;
    versioned(line.trim_start_matches([':', ' ', '\t']).split_whitespace().next()?, None)
}

/// Trend Micro: the pattern as a number, 1812300 for 18.123.00.
#[must_use]
pub fn of_trend_pattern(number: u64) -> Option<Release> {
    (number > 0).then(|| Release {
        version: format!("{}.{:03}.{:02}", number / 100_000, number % 100_000 / 100, number % 100),
        released: None,
    })
}

/// Trend Micro: `Pattern_Last_Update=20261122083000` in `ofcscan.ini`.
#[must_use]
pub fn of_ofcscan(text: &str) -> Option<Release> {
    dated(of_digits(value_of(text, "Pattern_Last_Update")?))
}

/// VIPRE: `98765, 11/22/2026` in `DefVer.txt`.
#[must_use]
pub fn of_vipre(text: &str) -> Option<Release> {
    let (version, date) = text.split_once(',')?;
    versioned(version.trim(), of_date(date.trim()))
}

/// Digits of a date: year, month and day, then as much of the time as there is: `20261122`, `2026112208`, `20261122083000`.
#[must_use]
pub fn of_dated_digits(text: &str) -> Option<Release> {
    versioned(text.trim(), of_digits(text.trim()))
}

/// A date in words of a registry value: `2026-11-22`, `2026/11/22 08:30`, `11/22/2026`, `22.11.2026`.
#[must_use]
pub fn of_date_text(text: &str) -> Option<Release> {
    dated(of_date(text.trim()))
}

/// A version that begins with its date: `2026-11-22_03`.
#[must_use]
pub fn of_date_and_serial(text: &str) -> Option<Release> {
    versioned(text.trim(), of_date(text.trim()))
}

/// Seconds since 1970.
#[must_use]
pub fn of_epoch(seconds: i64) -> Option<Release> {
    dated(of_seconds(seconds))
}

/// The value of a key in a file of settings.
fn value_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case(key).then(|| value.trim().trim_matches('"'))
    })
}

fn of_seconds(seconds: i64) -> Option<Timestamp> {
    // Only years from 2000 to 2099 are plausible.
    (946_684_800..4_102_444_800).contains(&seconds).then(|| Timestamp::from_millis(seconds * 1000))
}

/// Year, month and day, and as much of the time as there is.
fn of_digits(text: &str) -> Option<Timestamp> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let part = |at: usize| digits.get(at..at + 2).and_then(|two| two.parse::<u8>().ok());
    let time = Time::from_hms(part(8).unwrap_or(0), part(10).unwrap_or(0), part(12).unwrap_or(0)).ok()?;
    at(digits.get(..4)?.parse().ok()?, part(4)?, part(6)?, time)
}

/// A date in one of the orders that programs write. A slash means that the month comes first.
fn of_date(text: &str) -> Option<Timestamp> {
    let word = text.split([' ', 'T', '_', ',']).next()?;
    let numbers: Vec<i32> = word.split(['-', '/', '.']).map(str::parse).collect::<Result<_, _>>().ok()?;
    let (year, month, day) = match numbers.as_slice() {
        [year, month, day] if *year > 1000 => (*year, *month, *day),
        [month, day, year] if word.contains('/') => (*year, *month, *day),
        [day, month, year] => (*year, *month, *day),
        [_] => return of_digits(word),
        _ => return None,
    };
    at(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?, Time::MIDNIGHT)
}

fn at(year: i32, month: u8, day: u8, time: Time) -> Option<Timestamp> {
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    of_seconds(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(release: Option<Release>) -> String {
        let Some(release) = release else { return "none".to_owned() };
        format!("{} {}", release.version, release.released.map(Timestamp::to_rfc3339).unwrap_or_default())
            .trim()
            .to_owned()
    }

    #[test]
    fn each_vendor_writes_versions_and_dates_in_its_own_way() {
        assert_eq!(shown(of_eset("30123 (20261122)")), "30123 2026-11-22T00:00:00Z");
        assert_eq!(shown(of_eset("30123P")), "30123P");
        assert_eq!(shown(of_aswdefs("[Definitions]\nLatest = 2611220804\n")), "2611220804 2026-11-22T08:00:00Z");
        assert_eq!(shown(of_malwarebytes("v1\n{\"a\":{\"db_pub_date\" : 1795336740}}")), "2026-11-22T08:39:00Z");
        let xml =
            "<UpdateStatistics><Antivirus><Update time=\"1\" succtime=\"1795336740\"/></Antivirus></UpdateStatistics>";
        assert_eq!(shown(of_update_statistics(xml)), "2026-11-22T08:39:00Z");
        assert_eq!(shown(of_signature_number("Version: 7\nSignature number: 8112233\n")), "8112233");
        assert_eq!(shown(of_trend_pattern(1_812_300)), "18.123.00");
        let ini = "[INI_PROGRAM_VERSION_SECTION]\r\nPattern_Last_Update=20261122083000\r\n";
        assert_eq!(shown(of_ofcscan(ini)), "2026-11-22T08:30:00Z");
        assert_eq!(shown(of_vipre("98765, 11/22/2026 8:00")), "98765 2026-11-22T00:00:00Z");
        assert_eq!(shown(of_dated_digits("2026112208")), "2026112208 2026-11-22T08:00:00Z");
        assert_eq!(shown(of_date_and_serial("2026-11-22_03")), "2026-11-22_03 2026-11-22T00:00:00Z");
        for text in ["2026-11-22", "2026/11/22 08:30", "11/22/2026", "22.11.2026", "20261122"] {
            assert_eq!(shown(of_date_text(text)), "2026-11-22T00:00:00Z", "{text}");
        }
    }

    #[test]
    fn a_time_of_windows_counts_from_1601_and_zero_is_kept() {
        let at = |count: u64| of_filetime(&count.to_le_bytes()).map(Timestamp::to_rfc3339);
        assert_eq!(at(134_398_103_400_000_000).as_deref(), Some("2026-11-22T08:39:00Z"));
        assert_eq!(of_filetime(&[0; 8]), Some(Timestamp::from_millis(-FROM_1601)));
        assert_eq!((at(u64::MAX), of_filetime(&[0; 7])), (None, None));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), digits in "[0-9./, ()=_-]{0,20}", count in any::<u64>()) {
            for text in [&text, &digits] {
                let _ = (of_eset(text), of_aswdefs(&format!("Latest={text}")), of_vipre(text), of_date_text(text));
                let _ = (of_malwarebytes(&format!("\"db_pub_date\":{text}")), of_ofcscan(text), of_date_and_serial(text));
                let _ = (of_update_statistics(&format!("<Antivirus><Update succtime=\"{text}")), of_signature_number(text));
            }
            let _ = (of_filetime(&count.to_le_bytes()), of_trend_pattern(count), of_dated_digits(&text));
        }
    }
}
