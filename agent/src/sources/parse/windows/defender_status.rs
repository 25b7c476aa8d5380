//! What Microsoft Defender says about itself: a row of `MSFT_MpComputerStatus`.
//! <https://learn.microsoft.com/previous-versions/windows/desktop/defender/msft-mpcomputerstatus>

use muster_proto::model::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time};

use super::signatures::of_filetime;
use super::wmi::Row;
use crate::sources::parse::signatures::Release;

/// The properties that are read.
pub const PROPERTIES: &[&str] = &[
    "AMRunningMode",
    "AMServiceEnabled",
    "AntivirusEnabled",
    "RealTimeProtectionEnabled",
    "AntivirusSignatureAge",
    "AntivirusSignatureLastUpdated",
    "AntivirusSignatureVersion",
];

/// The age in days with which Defender says that there are no signatures.
const NO_SIGNATURES: u64 = 65_535;

/// What the row says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DefenderStatus {
    /// The running mode in Defender's words: `Normal`, `Passive Mode`, `EDR Block Mode`, `SxS Passive Mode`, `Not running`.
    /// Empty if it is unknown: Windows before 2019 does not say it.
    pub mode: String,
    /// Whether it protects in real time; `None` if that is unknown.
    pub protects: Option<bool>,
    /// Its signatures.
    pub signatures: Option<Release>,
}

impl DefenderStatus {
    /// Reads a row.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        let switches = ["AMServiceEnabled", "AntivirusEnabled", "RealTimeProtectionEnabled"].map(|name| row.flag(name));
        let said = row.text("AMRunningMode").trim();
        let mode = if said.is_empty() && switches[0] == Some(false) { "Not running" } else { said };
        let is_normal = mode.eq_ignore_ascii_case("Normal") || mode.eq_ignore_ascii_case("Normal Mode");
        // In passive mode every switch can be on, so on without the mode proves nothing.
        let protects = match (mode.is_empty(), is_normal) {
            _ if switches.contains(&Some(false)) => Some(false),
            (false, false) => Some(false),
            (false, true) if switches == [Some(true); 3] => Some(true),
            _ => None,
        };
        Self { mode: mode.to_owned(), protects, signatures: signatures(row) }
    }
}

fn signatures(row: &Row) -> Option<Release> {
    let version = row.text("AntivirusSignatureVersion").trim();
    // The first day of Windows' calendar: there are none.
    let none = (row.number("AntivirusSignatureAge") == Some(NO_SIGNATURES)).then(|| of_filetime(&[0; 8])).flatten();
    let released = none.or_else(|| of_cim_time(row.text("AntivirusSignatureLastUpdated")));
    // A version of zeros says the same as none.
    let version = if version.bytes().all(|byte| matches!(byte, b'0' | b'.')) { "" } else { version };
    (!version.is_empty() || released.is_some()).then(|| Release { version: version.to_owned(), released })
}

/// A time of the Common Information Model: `20261122083900.000000+060` is 08:39 in a zone that is 60 minutes ahead of UTC.
/// <https://learn.microsoft.com/windows/win32/wmisdk/cim-datetime>
#[must_use]
pub fn of_cim_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let small = |from, to| number(from, to).and_then(|number| u8::try_from(number).ok());
    let month = Month::try_from(small(4, 6)?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(number(0, 4)?).ok()?, month, small(6, 8)?).ok()?;
    let time = Time::from_hms(small(8, 10)?, small(10, 12)?, small(12, 14)?).ok()?;
    let minutes = match text.as_bytes().get(21) {
        Some(b'+') => number(22, 25)?,
        Some(b'-') => -number(22, 25)?,
        // `***` and nothing: the zone is unknown, which is less than a day.
        _ => 0,
    };
    let seconds = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp() - minutes * 60;
    Some(Timestamp::from_millis(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(mode: &str, switches: [bool; 3]) -> Row {
        let mut row = Row::default();
        if !mode.is_empty() {
            row.set("AMRunningMode", mode);
        }
        for (name, on) in
            ["AMServiceEnabled", "AntivirusEnabled", "RealTimeProtectionEnabled"].into_iter().zip(switches)
        {
            row.set(name, on);
        }
        row
    }

    #[test]
    fn only_a_normal_defender_with_every_switch_on_protects() {
        let on = [true; 3];
        for (mode, switches, shown, protects) in [
            ("Normal", on, "Normal", Some(true)),
            ("normal mode", on, "normal mode", Some(true)),
            ("Passive Mode", on, "Passive Mode", Some(false)),
            ("SxS Passive Mode", on, "SxS Passive Mode", Some(false)),
            ("EDR Block Mode", on, "EDR Block Mode", Some(false)),
            ("Not running", [false; 3], "Not running", Some(false)),
            ("Normal", [true, true, false], "Normal", Some(false)),
            ("Some new mode", on, "Some new mode", Some(false)),
            ("", on, "", None),
            ("", [true, true, false], "", Some(false)),
            ("", [false; 3], "Not running", Some(false)),
        ] {
            let status = DefenderStatus::of(&row(mode, switches));
            assert_eq!((status.mode.as_str(), status.protects), (shown, protects), "{mode:?} {switches:?}");
        }
        let mut silent = Row::default();
        silent.set("AMRunningMode", "Normal");
        assert_eq!(DefenderStatus::of(&silent).protects, None, "no switch was said");
    }

    #[test]
    fn the_age_that_means_none_is_no_date_of_a_release() {
        let mut row = row("Not running", [false; 3]);
        row.set("AntivirusSignatureAge", 65_535);
        row.set("AntivirusSignatureVersion", "0.0.0.0");
        row.set("AntivirusSignatureLastUpdated", "20261122083900.000000+000");
        let signatures = DefenderStatus::of(&row).signatures.expect("signatures");
        assert_eq!((signatures.version.as_str(), signatures.released), ("", of_filetime(&[0; 8])));
    }

    #[test]
    fn times_are_read_with_their_zones() {
        let read = |text: &str| of_cim_time(text).map(Timestamp::to_rfc3339);
        let time = Some("2026-11-22T08:39:00Z".to_owned());
        assert_eq!(read("20261122083900.000000+000"), time);
        assert_eq!(read("20261122093900.000000+060"), time);
        assert_eq!(read("20261122033900.123456-300"), time);
        assert_eq!(read("20261122083900.000000***"), time);
        for text in
            ["", "2026112208390", "20261322083900.000000+000", "20261122253900.000000+000", "2026112208390x.000000+000"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), digits in "[0-9.+*-]{0,26}") {
            let _ = (of_cim_time(&text), of_cim_time(&digits));
        }
    }
}
