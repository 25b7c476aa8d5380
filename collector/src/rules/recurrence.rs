//! A duty of an order that returns: on which days it falls due.

use jiff::civil::Date;
use muster_proto::model::{TermReport, Timestamp};

use super::clock::{Clock, Per, later};
use super::named_value::NamedValue;
use super::toml_reader::Entries;
use super::zone::Zone;

/// Recurring duties of one order.
const MOST_RECURRING: usize = 64;

/// A duty that returns every so many days or months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// Its name within the order.
    pub id: String,
    /// The first day on which it is due.
    pub first: Date,
    /// How long after each day the next one follows.
    pub every: Every,
    /// When it ends.
    pub until: Until,
    /// What must be done.
    pub what: String,
    /// What a report must contain.
    pub fields: Vec<String>,
    /// Whether it was read in a trustworthy text.
    pub confirmed: bool,
}

/// The interval of a recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// So many days.
    Days(u32),
    /// So many months. A month that has no such day has it on its last day.
    Months(u32),
}

/// When a recurrence ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When no host has anything left to do under the order.
    Finished,
    /// At this instant.
    At(Timestamp),
}

/// The longest interval: ten years of days.
const MOST: u64 = 3_653;

impl Recurrence {
    /// The day of one occurrence, from 0.
    #[must_use]
    pub fn day(&self, occurrence: u32) -> Date {
        // Each is counted from the first, so that a short month does not move those after it.
        match self.every {
            Every::Days(days) => later(self.first, days.saturating_mul(occurrence), false),
            Every::Months(months) => later(self.first, months.saturating_mul(occurrence), true),
        }
    }

    /// The instants at which an occurrence is due, after one instant and up to another, with the number of each.
    pub fn due_between(
        &self,
        after: Timestamp,
        up_to: Timestamp,
        zone: &Zone,
    ) -> impl Iterator<Item = (u32, Timestamp)> {
        let ends = match self.until {
            Until::Finished => up_to,
            Until::At(end) => up_to.min(end),
        };
        (0..)
            .map(|occurrence| (occurrence, zone.end_of(self.day(occurrence))))
            .skip_while(move |(_, due)| *due <= after)
            .take_while(move |(_, due)| *due <= ends)
    }

    /// The duty as a report. It is one for the whole order.
    #[must_use]
    pub fn report(&self) -> TermReport {
        TermReport {
            id: self.id.clone(),
            starts: self.first.to_string(),
            from: None,
            until: match self.until {
                Until::Finished => None,
                Until::At(end) => Some(end),
            },
            term: self.term(),
            per: Per::Order.spelling().to_owned(),
            what: self.what.clone(),
            fields: self.fields.clone(),
            confirmed: self.confirmed,
        }
    }

    /// `every 30 days`
    #[must_use]
    pub fn term(&self) -> String {
        match self.every {
            Every::Days(1) => "every day".to_owned(),
            Every::Days(days) => format!("every {days} days"),
            Every::Months(1) => "every month".to_owned(),
            Every::Months(months) => format!("every {months} months"),
        }
    }
}

/// Reads the `[[recurring]]` tables of an order. A second one with the same id is a fault, and so is the id of one of its clocks: a
/// duty names only one of them.
pub(super) fn read(entries: &mut Entries<'_, '_>, clocks: &[Clock]) -> Vec<Recurrence> {
    let read = entries.tables("recurring", |table| Some((table.line(), recurrence(table)?)));
    let read: Vec<(usize, Recurrence)> = read.into_iter().flatten().collect();
    if let Some((line, _)) = read.get(MOST_RECURRING) {
        let reason = format!("the order has {} recurring duties; it can have at most {MOST_RECURRING}", read.len());
        entries.fault(*line, reason);
    }
    for (at, (line, one)) in read.iter().enumerate() {
        if clocks.iter().any(|clock| clock.id == one.id) {
            let reason = format!("`id`: a clock of the order has the id {:?}, too; give this duty another", one.id);
            entries.fault(*line, reason);
        }
        if read[..at].iter().any(|(_, other)| other.id == one.id) {
            let reason =
                format!("`id`: there are two recurring duties with the id {:?}; give this one another", one.id);
            entries.fault(*line, reason);
        }
    }
    read.into_iter().map(|(_, one)| one).collect()
}

fn recurrence(entries: &mut Entries<'_, '_>) -> Option<Recurrence> {
    let id = entries.required("id").value;
    let first = entries.required_date("first");
    let every = every(entries);
    let until = match entries.text_or_instant("until") {
        Some(Ok(end)) => Some(Until::At(end)),
        Some(Err(text)) if text.value == "finished" => Some(Until::Finished),
        Some(Err(text)) => {
            let reason = "expected \"finished\", or a date and time with its offset";
            entries.fault(text.line, format!("`until`: unknown value {:?}, {reason}", text.value));
            None
        }
        None => {
            entries.fault(
                entries.line(),
                "missing key `until`; expected \"finished\", or a date and time with its offset",
            );
            None
        }
    };
    let what = entries.required("what").value;
    let fields = entries.texts("fields");
    let confirmed = entries.flag("confirmed").unwrap_or(true);
    Some(Recurrence { id, first: first?, every: every?, until: until?, what, fields, confirmed })
}

fn every(entries: &mut Entries<'_, '_>) -> Option<Every> {
    let days = entries.number("every_days");
    let months = entries.number("every_months");
    let number = |number: u64| u32::try_from(number).ok().filter(|_| (1..=MOST).contains(&number));
    let every = match (days, months) {
        (Some(days), None) => number(days).map(Every::Days),
        (None, Some(months)) => number(months).map(Every::Months),
        (None, None) | (Some(_), Some(_)) => None,
    };
    if every.is_none() {
        entries.fault(entries.line(), format!("either `every_days` or `every_months` must be from 1 to {MOST}"));
    }
    every
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::rules::load;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("valid")
    }

    #[test]
    fn the_status_report_is_due_every_thirty_days() {
        let rules = load(None).expect("rules");
        let order = rules.order("us-dhs-bod-17-01").expect("shipped");
        let status = order.recurring.first().expect("it has a status report");
        assert_eq!((status.term().as_str(), status.until), ("every 30 days", Until::Finished));
        let due: Vec<_> =
            status.due_between(at("2018-01-12T05:00:00Z"), at("2018-03-13T04:00:00Z"), &order.zone).collect();
        // The first one is due at the instant after which is asked. Clocks were put forward on 11 March.
        assert_eq!(due, [(1, at("2018-02-11T00:00:00-05:00")), (2, at("2018-03-13T00:00:00-04:00"))]);
        assert_eq!(status.due_between(at("2018-03-13T04:00:00Z"), at("2018-03-13T04:00:00Z"), &order.zone).count(), 0);
    }

    #[test]
    fn a_short_month_does_not_move_the_days_of_later_months() {
        let monthly = Recurrence {
            id: "m".to_owned(),
            first: date(2024, 1, 31),
            every: Every::Months(1),
            until: Until::At(at("2024-06-01T00:00:00Z")),
            what: "report".to_owned(),
            fields: Vec::new(),
            confirmed: true,
        };
        let days: Vec<Date> = (0..4).map(|occurrence| monthly.day(occurrence)).collect();
        assert_eq!(days, [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 30)]);
        let zone = Zone::default();
        let due = monthly.due_between(at("2024-04-01T00:00:00Z"), at("2030-01-01T00:00:00Z"), &zone);
        assert_eq!(due.map(|(occurrence, _)| occurrence).collect::<Vec<_>>(), [3, 4], "it has ended");
        assert_eq!(monthly.day(u32::MAX), Date::MAX);
    }
}
