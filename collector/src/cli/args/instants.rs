//! How instants and days are written on the command line.

use muster_proto::model::Timestamp;

/// An instant, or a day that means its beginning in UTC.
pub(in crate::cli) fn from_day(text: &str) -> Result<Timestamp, String> {
    read(text, "T00:00:00Z")
}

/// An instant, or a day that means its end in UTC: its last millisecond.
pub(in crate::cli) fn end_of_day(text: &str) -> Result<Timestamp, String> {
    read(text, "T23:59:59.999Z")
}

fn read(text: &str, of_a_day: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == "2026-11-23".len() { format!("{text}{of_a_day}") } else { text.to_owned() };
    Timestamp::parse_rfc3339(&whole)
        .map_err(|_| "expected a day or an instant, such as 2026-11-23 or 2026-11-23T10:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_means_its_beginning_or_its_end_in_utc() {
        let read = |text| (from_day(text).map(|at| at.to_rfc3339()), end_of_day(text).map(|at| at.to_rfc3339()));
        let (begin, end) = ("2026-11-23T00:00:00Z".to_owned(), "2026-11-23T23:59:59.999Z".to_owned());
        assert_eq!(read("2026-11-23"), (Ok(begin), Ok(end)));
        let instant = "2026-11-23T09:00:00Z".to_owned();
        assert_eq!(read("2026-11-23T10:00:00+01:00"), (Ok(instant.clone()), Ok(instant)));
        for wrong in ["", "2026-11-31", "yesterday", "2026-11-23T10:00", "20261123ab"] {
            assert!(from_day(wrong).is_err() && end_of_day(wrong).is_err(), "{wrong}");
        }
    }
}
