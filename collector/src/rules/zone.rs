//! The time zone of an order: where its days begin and end.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use muster_proto::model::Timestamp;
use muster_proto::suggest::did_you_mean;

/// A time zone of the time zone database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// The zone with this name, such as `America/New_York`.
    ///
    /// # Errors
    /// The database has no such zone; a name that is close is suggested.
    pub fn named(name: &str) -> Result<Self, String> {
        let unknown = |_| {
            let names: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
            let near = did_you_mean(name, names.iter().map(String::as_str));
            format!("there is no time zone {name:?}{near}; use a name such as \"America/New_York\"")
        };
        jiff::tz::db().get(name).map(Self).map_err(unknown)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The day of an instant.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> Date {
        self.0.to_datetime(instant(at)).date()
    }

    /// An instant to the minute, with the offset from UTC: `2024-09-29 00:00 -04:00`.
    #[must_use]
    pub fn minute(&self, at: Timestamp) -> String {
        instant(at).to_zoned_datetime(self.0.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string()
    }

    /// When a day begins. Where a clock change skips midnight, it is the first instant of the day.
    #[must_use]
    pub fn begin_of(&self, date: Date) -> Timestamp {
        let begin = date.to_zoned_datetime(self.0.clone()).map(|begin| begin.timestamp());
        Timestamp::from_millis(begin.unwrap_or(jiff::Timestamp::MAX).as_millisecond())
    }

    /// When a day ends, which is when the next one begins.
    #[must_use]
    pub fn end_of(&self, date: Date) -> Timestamp {
        self.begin_of(date.tomorrow().unwrap_or(Date::MAX))
    }

    /// When the month of a day ends.
    #[must_use]
    pub fn end_of_month(&self, date: Date) -> Timestamp {
        self.end_of(date.last_of_month())
    }
}

/// Instants beyond the year 9999 become its end.
fn instant(at: Timestamp) -> jiff::Timestamp {
    let limit = if at.millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("valid")
    }

    #[test]
    fn a_day_has_the_hours_that_its_zone_gives_it() {
        let zone = Zone::named("America/New_York").expect("known");
        for (day, hours) in [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 6, 1), 24)] {
            let length = zone.end_of(day).millis() - zone.begin_of(day).millis();
            assert_eq!(length, hours * 3_600_000, "{day}");
        }
        assert_eq!(zone.begin_of(date(2024, 9, 29)), at("2024-09-29T04:00:00Z"));
        assert_eq!(zone.end_of_month(date(2024, 2, 3)), at("2024-03-01T05:00:00Z"));
        assert_eq!(zone.date(at("2024-09-29T03:59:59.999Z")), date(2024, 9, 28));
        assert_eq!(zone.minute(at("2024-09-29T04:00:00Z")), "2024-09-29 00:00 -04:00");
        // Midnight did not exist on this day.
        let cairo = Zone::named("Africa/Cairo").expect("known");
        assert_eq!(cairo.begin_of(date(2023, 4, 28)), at("2023-04-27T22:00:00Z"));
    }

    #[test]
    fn a_mistyped_zone_is_refused_and_the_right_one_suggested() {
        let refused = Zone::named("America/NewYork").expect_err("no such zone");
        assert!(refused.contains("did you mean") && refused.contains("America/New_York"), "{refused}");
        assert_eq!(Zone::default().name(), "UTC");
        assert_eq!(Zone::named("Europe/Rome").expect("known").name(), "Europe/Rome");
    }

    #[test]
    fn no_instant_is_too_far_away() {
        let zone = Zone::default();
        for at in [i64::MIN, i64::MAX] {
            let date = zone.date(Timestamp::from_millis(at));
            let _ = (zone.begin_of(date), zone.end_of(date), zone.end_of_month(date));
        }
    }
}
