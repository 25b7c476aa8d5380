//! Versions and dates of antivirus signatures, and settings of real-time protection, from vendors' files.

use muster_proto::model::Timestamp;
use time::{Date, Month, PrimitiveDateTime, Time};

/// Version and date of signatures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Release {
    /// The version as written in the file.
    pub version: String,
    /// The release date; `None` when the file does not state it.
    pub released: Option<Timestamp>,
}

/// The size of the header of a ClamAV database.
pub const CLAMAV_HEAD_BYTES: usize = 512;

/// Parses the header of a ClamAV database: `ClamAV-VDB:time:version:signatures:level:md5:signature:builder:seconds`, padded.
/// The time as text is in the builder's time zone and language, so the seconds since 1970 at the end are used.
#[must_use]
pub fn of_clamav(head: &[u8]) -> Option<Release> {
    let head = head.get(..head.len().min(CLAMAV_HEAD_BYTES))?;
    let head = String::from_utf8_lossy(head);
    let mut fields = head.trim_end_matches(['\0', ' ', '\n']).split(':');
    if fields.next() != Some("ClamAV-VDB") {
        return None;
    }
    let version = fields.nth(1).filter(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()))?;
    let seconds: Option<i64> = fields.nth(5).and_then(|seconds| seconds.trim().parse().ok());
    Some(Release { version: version.to_owned(), released: seconds.and_then(of_seconds) })
}

/// The database directory in a ClamAV configuration: `DatabaseDirectory /srv/clamav`.
#[must_use]
pub fn clamav_directory(text: &str) -> Option<&str> {
    let value = |line: &'_ str| -> Option<usize> {
        let rest = line.trim_start().strip_prefix("DatabaseDirectory")?;
        rest.starts_with(char::is_whitespace).then_some(line.len() - rest.len())
    };
    let path = text.lines().find_map(|line| Some(line[value(line)?..].trim().trim_matches('"')))?;
    Some(path.trim_end_matches('/')).filter(|path| path.starts_with('/'))
}

/// Parses Symantec's `definfo.dat`: `CurDefs=20261122.003` is a date and a revision.
#[must_use]
pub fn of_definfo(text: &str) -> Option<Release> {
    let version = text.lines().find_map(|line| line.trim().strip_prefix("CurDefs="))?.trim();
    Some(Release { version: version.to_owned(), released: of_day(version) })
}

/// The base directory in `/etc/Symantec.conf`.
#[must_use]
pub fn symantec_directory(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.trim().strip_prefix("BaseDir="))?.trim().trim_end_matches('/');
    path.starts_with('/').then_some(path)
}

/// Parses Sophos' update status: the time of the last successful update.
#[must_use]
pub fn of_sophos_status(text: &str) -> Option<Release> {
    let (_, rest) = text.split_once("<lastGood>")?;
    let (value, _) = rest.split_once("</lastGood>")?;
    let value = value.trim();
    let released = Timestamp::parse_rfc3339(value).ok().or_else(|| of_day_and_time(value));
    released.map(|released| Release { version: String::new(), released: Some(released) })
}

/// Whether on-access scanning is enabled in Sophos' policy; `None` when it does not say.
#[must_use]
pub fn sophos_on_access(text: &str) -> Option<bool> {
    let (_, rest) = text.split_once("<onAccessScan>")?;
    let (inside, _) = rest.split_once("</onAccessScan>")?;
    let (_, rest) = inside.split_once("<enabled>")?;
    match rest.split_once("</enabled>")?.0.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Parses a version that begins with its date: `202611220831`.
#[must_use]
pub fn of_dated_version(text: &str) -> Option<Release> {
    let version = text.split_whitespace().next().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(Release { version: version.to_owned(), released: of_day(version) })
}

/// Whether ufw's configuration says `ENABLED=yes`; `None` when it does not say.
#[must_use]
pub fn ufw_enabled(text: &str) -> Option<bool> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("ENABLED="))?;
    match value.trim().trim_matches(['"', '\'']).to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn of_seconds(seconds: i64) -> Option<Timestamp> {
    // Only years from 2000 to 2099 are plausible.
    (946_684_800..4_102_444_800).contains(&seconds).then(|| Timestamp::from_millis(seconds * 1000))
}

/// Midnight of the date at the start of the text (yyyymmdd).
fn of_day(text: &str) -> Option<Timestamp> {
    let date = date(text.get(..8)?)?;
    of_seconds(PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_utc().unix_timestamp())
}

/// Parses `20261122 08:30:00`.
fn of_day_and_time(text: &str) -> Option<Timestamp> {
    let (day, clock) = text.split_once([' ', 'T'])?;
    // Two characters of each part, so that a fraction or a time zone behind the seconds is ignored.
    let mut numbers = clock.split(':').map(|part| part.get(..2).and_then(|part| part.parse::<u8>().ok()));
    let time = Time::from_hms(numbers.next()??, numbers.next()??, numbers.next()??).ok()?;
    let plain = day.replace('-', "");
    of_seconds(PrimitiveDateTime::new(date(&plain)?, time).assume_utc().unix_timestamp())
}

fn date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let month = Month::try_from(text[4..6].parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(text[..4].parse().ok()?, month, text[6..].parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(release: Option<Release>) -> Option<String> {
        release?.released.map(Timestamp::to_rfc3339)
    }

    #[test]
    fn the_header_of_a_clamav_database_has_version_and_time() {
        let mut head = b"ClamAV-VDB:22 Nov 2026 03-39 -0500:27464:2067560:90:d5e7:c2lnbg==:raynman:1795336740".to_vec();
        head.resize(CLAMAV_HEAD_BYTES, b' ');
        head.extend(b"\x1f\x8b packed");
        let release = of_clamav(&head).expect("a head");
        assert_eq!(
            (release.version.as_str(), day(Some(release.clone())).as_deref()),
            ("27464", Some("2026-11-22T08:39:00Z"))
        );
        assert_eq!(of_clamav(b"ClamAV-VDB:x:y"), None);
        assert_eq!(of_clamav(b"ClamAV-VDB:x:9:s:l:m:d:b:99999999999999").and_then(|r| r.released), None);
        for cut in 0..45 {
            assert_eq!(of_clamav(&head[..cut]).and_then(|release| release.released), None, "cut at {cut}");
        }
    }

    #[test]
    fn directories_are_parsed_from_configuration_files() {
        assert_eq!(
            clamav_directory("# DatabaseDirectory /no\nDatabaseDirectory /srv/clam av/\n"),
            Some("/srv/clam av")
        );
        assert_eq!(clamav_directory("DatabaseDirectoryX /x\nDatabaseDirectory relative\n"), None);
        assert_eq!(symantec_directory("[Symantec Shared]\nBaseDir=/opt/Symantec\n"), Some("/opt/Symantec"));
        assert_eq!(symantec_directory(""), None);
    }

    #[test]
    fn dates_of_other_vendors_are_parsed() {
        assert_eq!(
            day(of_definfo("[DefDates]\nCurDefs=20261122.003\nLastDefs=20261121.020\n")).as_deref(),
            Some("2026-11-22T00:00:00Z")
        );
        assert_eq!(day(of_dated_version("202611220831\n")).as_deref(), Some("2026-11-22T00:00:00Z"));
        assert_eq!(day(of_dated_version("20261399")), None);
        for value in ["2026-11-22T08:30:00.000Z", "20261122 08:30:00", "2026-11-22 08:30:00"] {
            let text = format!("<status><installState><lastGood>{value}</lastGood></installState></status>");
            assert_eq!(day(of_sophos_status(&text)).as_deref(), Some("2026-11-22T08:30:00Z"), "{value}");
        }
        assert_eq!(of_sophos_status("<lastGood>never</lastGood>"), None);
    }

    #[test]
    fn settings_are_on_off_or_unknown() {
        let policy = |value: &str| format!("<p><onAccessScan>\n<enabled>{value}</enabled></onAccessScan></p>");
        assert_eq!(sophos_on_access(&policy("true")), Some(true));
        assert_eq!(sophos_on_access(&policy("false")), Some(false));
        assert_eq!(sophos_on_access("<enabled>true</enabled>"), None);
        assert_eq!(ufw_enabled("# x\nENABLED=yes\nLOGLEVEL=low\n"), Some(true));
        assert_eq!(
            (ufw_enabled("ENABLED=no"), ufw_enabled("#ENABLED=yes"), ufw_enabled("")),
            (Some(false), None, None)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in any::<String>(), head in "ClamAV-VDB(:[0-9\\-é]{0,30}){0,9}") {
            let _ = (of_clamav(text.as_bytes()), of_clamav(head.as_bytes()), clamav_directory(&text), of_definfo(&text));
            let _ = (of_definfo(&format!("CurDefs={text}")), of_dated_version(&head), of_sophos_status(&format!("<lastGood>{text}</lastGood>")));
            let _ = (symantec_directory(&text), sophos_on_access(&text), ufw_enabled(&text), of_day_and_time(&text), of_day(&text));
        }
    }
}
