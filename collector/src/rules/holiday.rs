//! A holiday of a calendar: the rule from which its day in each year follows.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use super::named_value::NamedValue;
use super::toml_reader::Entries;

/// A holiday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holiday {
    rule: Rule,
    from_year: i16,
    until_year: i16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Fixed {
        month: i8,
        day: i8,
        observed: Observed,
    },
    /// The `nth` such weekday of a month; negative counts from its end.
    Weekday {
        month: i8,
        weekday: Weekday,
        nth: i8,
    },
    /// The last such weekday before a day of a month.
    Before {
        month: i8,
        day: i8,
        weekday: Weekday,
    },
    /// Days after Easter Sunday of the Western churches.
    Easter {
        days: i32,
    },
}

/// What happens if a holiday falls on a day of the weekend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Observed {
    /// The nearest weekday, of two the earlier one: of Saturday and Sunday, Friday and Monday.
    NearestWeekday,
    /// The next weekday that is no holiday.
    NextWeekday,
    /// Nothing.
    No,
}

impl NamedValue for Observed {
    const VALUES: &'static [Self] = &[Self::NearestWeekday, Self::NextWeekday, Self::No];

    fn spelling(self) -> &'static str {
        match self {
            Self::NearestWeekday => "nearest-weekday",
            Self::NextWeekday => "next-weekday",
            Self::No => "no",
        }
    }
}

/// A weekday as calendars spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedWeekday(pub(super) Weekday);

impl NamedValue for NamedWeekday {
    const VALUES: &'static [Self] = &[
        Self(Weekday::Monday),
        Self(Weekday::Tuesday),
        Self(Weekday::Wednesday),
        Self(Weekday::Thursday),
        Self(Weekday::Friday),
        Self(Weekday::Saturday),
        Self(Weekday::Sunday),
    ];

    fn spelling(self) -> &'static str {
        match self.0 {
            Weekday::Monday => "monday",
            Weekday::Tuesday => "tuesday",
            Weekday::Wednesday => "wednesday",
            Weekday::Thursday => "thursday",
            Weekday::Friday => "friday",
            Weekday::Saturday => "saturday",
            Weekday::Sunday => "sunday",
        }
    }
}

impl Holiday {
    /// Its own day in a year, if it has one.
    pub(super) fn day(&self, year: i16) -> Option<Date> {
        if !(self.from_year..=self.until_year).contains(&year) {
            return None;
        }
        match self.rule {
            Rule::Fixed { month, day, .. } => Date::new(year, month, day).ok(),
            Rule::Weekday { month, weekday, nth } => {
                Date::new(year, month, 1).ok()?.nth_weekday_of_month(nth, weekday).ok()
            }
            Rule::Before { month, day, weekday } => Date::new(year, month, day).ok()?.nth_weekday(-1, weekday).ok(),
            Rule::Easter { days } => easter(year)?.checked_add(days.days()).ok(),
        }
    }

    /// The day on which people are off, if its own day is on a weekend.
    pub(super) fn instead(
        &self,
        day: Date,
        is_weekend: impl Fn(Date) -> bool,
        is_off: impl Fn(Date) -> bool,
    ) -> Option<Date> {
        let Rule::Fixed { observed, .. } = self.rule else { return None };
        match observed {
            Observed::No => None,
            Observed::NearestWeekday => (1..7_i32)
                .flat_map(|days| [-days, days])
                .filter_map(|days| day.checked_add(days.days()).ok())
                .find(|near| !is_weekend(*near)),
            // A week and its holidays are shorter than a month.
            Observed::NextWeekday => day.series(1.day()).skip(1).take(31).find(|next| !is_off(*next)),
        }
    }
}

/// Easter Sunday in the Gregorian calendar, by the algorithm of Meeus, Jones and Butcher (Astronomical Algorithms, 1991).
fn easter(year: i16) -> Option<Date> {
    let year_number = i32::from(year);
    let (golden, century, rest) = (year_number % 19, year_number / 100, year_number % 100);
    let moon = (19 * golden + century - century / 4 - (century - (century + 8) / 25 + 1) / 3 + 15) % 30;
    let sunday = (32 + 2 * (century % 4) + 2 * (rest / 4) - moon - rest % 4) % 7;
    let late = (golden + 11 * moon + 22 * sunday) / 451;
    let days = moon + sunday - 7 * late + 114;
    Date::new(year, i8::try_from(days / 31).ok()?, i8::try_from(days % 31 + 1).ok()?).ok()
}

/// Reads a `[[holiday]]`.
pub(super) fn read(entries: &mut Entries<'_, '_>) -> Option<Holiday> {
    entries.required("name");
    let year =
        |entries: &mut Entries<'_, '_>, key| entries.number(key).map(|year| i16::try_from(year).unwrap_or(i16::MAX));
    let from_year = year(entries, "from_year").unwrap_or(i16::MIN);
    let until_year = year(entries, "until_year").unwrap_or(i16::MAX);
    let rule = rule(entries)?;
    Some(Holiday { rule, from_year, until_year })
}

fn rule(entries: &mut Entries<'_, '_>) -> Option<Rule> {
    if let Some(days) = entries.integer("easter") {
        if !(-60..=60).contains(&days) {
            entries.fault(entries.line(), "`easter` counts days from Easter Sunday, from -60 to 60");
        }
        return i32::try_from(days).ok().map(|days| Rule::Easter { days });
    }
    let month = part(entries, "month", 12)?;
    let weekday = entries.name::<NamedWeekday>("weekday");
    let nth = entries.integer("nth");
    let observed = entries.name("observed");
    let Some(NamedWeekday(weekday)) = weekday else {
        let day = part(entries, "day", 31)?;
        // 2024 is a leap year.
        if Date::new(2024, month, day).is_err() {
            entries.fault(entries.line(), format!("month {month} has no day {day}"));
        }
        return Some(Rule::Fixed { month, day, observed: observed.unwrap_or(Observed::No) });
    };
    if observed.is_some() {
        entries.fault(entries.line(), "`observed` is for holidays with `month` and `day`; a weekday needs none");
    }
    match nth {
        Some(nth @ (1..=5 | -5..=-1)) => i8::try_from(nth).ok().map(|nth| Rule::Weekday { month, weekday, nth }),
        Some(_) => {
            entries.fault(entries.line(), "`nth` is from 1 to 5, or from -1 for the last to -5");
            None
        }
        None => part(entries, "before", 31).map(|day| Rule::Before { month, day, weekday }),
    }
}

fn part(entries: &mut Entries<'_, '_>, key: &str, most: i8) -> Option<i8> {
    let line = entries.line();
    let number = entries.number(key).and_then(|number| i8::try_from(number).ok());
    let number = number.filter(|number| (1..=most).contains(number));
    if number.is_none() {
        let reason = "a holiday has `month` and `day`, or `month`, `weekday` and `nth` or `before`, or `easter`";
        entries.fault(line, format!("`{key}` must be from 1 to {most}: {reason}"));
    }
    number
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn easter_is_where_the_churches_have_it() {
        // 1961 is the year in which simple rules of thumb fail, 2038 and 2285 are the extremes.
        for day in [date(2024, 3, 31), date(2025, 4, 20), date(2035, 3, 25), date(1961, 4, 2), date(2038, 4, 25)] {
            assert_eq!(easter(day.year()), Some(day));
        }
        assert_eq!(easter(2285), Some(date(2285, 3, 22)));
    }
}
