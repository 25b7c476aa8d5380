//! A calendar of business days, for clocks that count them.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use super::holiday::{self, Holiday, NamedWeekday};
use super::toml_reader::Entries;

/// Which days are business days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Its id, which is also the name of its file.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Where its holidays come from.
    pub sources: Vec<String>,
    weekend: Vec<Weekday>,
    holidays: Vec<Holiday>,
    closed: BTreeSet<Date>,
}

/// How far a business day is searched. Nobody is off for a year.
const SEARCHED_DAYS: i32 = 366;

impl Calendar {
    /// Whether the day is neither of the weekend, a holiday, nor closed.
    #[must_use]
    pub fn is_business_day(&self, day: Date) -> bool {
        !self.is_weekend(day) && !self.closed.contains(&day) && !self.holidays_near(day).contains(&day)
    }

    /// The `count`th business day after a day, which does not count itself.
    #[must_use]
    pub fn after(&self, day: Date, count: u32) -> Date {
        let mut day = day;
        for _ in 0..count {
            let next = day
                .series(1.day())
                .skip(1)
                .take(SEARCHED_DAYS.unsigned_abs() as usize)
                .find(|next| self.is_business_day(*next));
            day = next.unwrap_or_else(|| day.saturating_add(SEARCHED_DAYS.days()));
        }
        day
    }

    fn is_weekend(&self, day: Date) -> bool {
        self.weekend.contains(&day.weekday())
    }

    /// The days off in the year of a day. New Year's Day can be observed in the year before.
    fn holidays_near(&self, day: Date) -> BTreeSet<Date> {
        let years = [-1, 0, 1].map(|other| day.year().saturating_add(other));
        let mut off: BTreeSet<Date> = BTreeSet::new();
        let mut moved = Vec::new();
        for year in years {
            for holiday in &self.holidays {
                let Some(its_day) = holiday.day(year) else { continue };
                if self.is_weekend(its_day) {
                    moved.push((holiday, its_day));
                } else {
                    off.insert(its_day);
                }
            }
        }
        // After all others, because the next weekday may be one of theirs.
        for (holiday, its_day) in moved {
            let instead = holiday.instead(
                its_day,
                |day| self.is_weekend(day),
                |next| self.is_weekend(next) || off.contains(&next),
            );
            off.extend(instead);
        }
        off
    }
}

/// Reads a calendar's file.
pub(crate) fn read(entries: &mut Entries<'_, '_>) -> Calendar {
    let id = entries.required("id").value;
    let title = entries.required("title").value;
    let sources = entries.texts("sources");
    let weekend: Vec<Weekday> = entries.names::<NamedWeekday>("weekend").into_iter().map(|day| day.0).collect();
    let mut distinct: Vec<i8> = weekend.iter().map(|day| day.to_monday_one_offset()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.is_empty() || distinct.len() > 6 {
        entries.fault(entries.line(), "`weekend` needs one to six weekdays");
    }
    let holidays = entries.tables("holiday", holiday::read).into_iter().flatten().collect();
    let closed = entries.tables("closed", |table| {
        table.required("why");
        table.required_date("day")
    });
    Calendar { id, title, sources, weekend, holidays, closed: closed.into_iter().flatten().collect() }
}

#[cfg(test)]
mod tests;
