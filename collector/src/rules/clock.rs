//! A clock of an order: within what time somebody must act after an event.
//!
//! The day of the event does not count, and the last day ends at midnight in the zone of the order.

use jiff::Span;
use jiff::civil::Date;
use muster_proto::model::{TermReport, Timestamp};

use super::calendar::Calendar;
use super::milestone::Milestone;
use super::named_value::NamedValue;
use super::toml_reader::{Entries, Placed};
use super::zone::Zone;

/// A clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Its name within the order.
    pub id: String,
    /// The event that starts it.
    pub starts: Starts,
    /// Only events from this instant on start it.
    pub from: Option<Timestamp>,
    /// Only events before this instant start it.
    pub until: Option<Timestamp>,
    /// How many units it runs.
    pub within: u32,
    /// Its unit.
    pub unit: Unit,
    /// What it runs for.
    pub per: Per,
    /// What must be done.
    pub what: String,
    /// What a report must contain.
    pub fields: Vec<String>,
    /// Whether it was read in a trustworthy text.
    pub confirmed: bool,
}

/// The event that starts a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Starts {
    /// The collector receives the first snapshot that shows a covered product.
    Found,
    /// The duty of another clock is done.
    Clock(String),
    /// A milestone is reached.
    Milestone(String),
}

/// The unit of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 60 minutes. The only unit that does not end at midnight.
    Hour,
    /// A calendar day.
    Day,
    /// A business day of the order's calendar.
    BusinessDay,
    /// A calendar month.
    Month,
}

impl NamedValue for Unit {
    const VALUES: &'static [Self] = &[Self::Hour, Self::Day, Self::BusinessDay, Self::Month];

    fn spelling(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::BusinessDay => "business-day",
            Self::Month => "month",
        }
    }
}

/// What a clock runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Once for the order.
    Order,
    /// For each product.
    Product,
    /// For each host.
    Host,
}

impl NamedValue for Per {
    const VALUES: &'static [Self] = &[Self::Order, Self::Product, Self::Host];

    fn spelling(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Product => "product",
            Self::Host => "host",
        }
    }
}

/// The most units of a clock: a hundred years of days.
const MOST: u64 = 36_525;

/// The most clocks of an order.
const MOST_CLOCKS: usize = 64;

impl Clock {
    /// Whether an event at this instant starts it.
    #[must_use]
    pub fn is_started_by(&self, event: Timestamp) -> bool {
        self.from.is_none_or(|from| event >= from) && self.until.is_none_or(|until| event < until)
    }

    /// When it runs out. Without a calendar every day is a business day; no order is loaded that needs one and has none.
    #[must_use]
    pub fn due(&self, event: Timestamp, zone: &Zone, calendar: Option<&Calendar>) -> Timestamp {
        let day = zone.date(event);
        let last = match self.unit {
            Unit::Hour => {
                return Timestamp::from_millis(event.millis().saturating_add(i64::from(self.within) * 3_600_000));
            }
            Unit::Day => later(day, self.within, false),
            Unit::Month => later(day, self.within, true),
            Unit::BusinessDay => match calendar {
                Some(calendar) => calendar.after(day, self.within),
                None => later(day, self.within, false),
            },
        };
        zone.end_of(last)
    }

    /// The clock as a report.
    #[must_use]
    pub fn report(&self) -> TermReport {
        TermReport {
            id: self.id.clone(),
            starts: match &self.starts {
                Starts::Found => "found".to_owned(),
                Starts::Clock(id) => format!("clock:{id}"),
                Starts::Milestone(id) => format!("milestone:{id}"),
            },
            from: self.from,
            until: self.until,
            term: self.term(),
            per: self.per.spelling().to_owned(),
            what: self.what.clone(),
            fields: self.fields.clone(),
            confirmed: self.confirmed,
        }
    }

    /// `within 3 business days`
    #[must_use]
    pub fn term(&self) -> String {
        let unit = self.unit.spelling().replace('-', " ");
        let plural = if self.within == 1 { "" } else { "s" };
        format!("within {} {unit}{plural}", self.within)
    }
}

/// A day some days or months later. A month that has no such day gives its last one.
pub(super) fn later(day: Date, count: u32, is_months: bool) -> Date {
    let count = i64::from(count);
    let span = if is_months { Span::new().try_months(count) } else { Span::new().try_days(count) };
    span.and_then(|span| day.checked_add(span)).unwrap_or(Date::MAX)
}

/// Reads the `[[clock]]` tables of an order. Faults: a name that refers to nothing, a circle, business days without a
/// calendar.
pub(super) fn read(entries: &mut Entries<'_, '_>, milestones: &[Milestone], calendar: Option<&str>) -> Vec<Clock> {
    let read: Vec<(Clock, usize)> =
        entries.tables("clock", |table| clock(table, milestones, calendar)).into_iter().flatten().collect();
    if let Some((_, line)) = read.get(MOST_CLOCKS) {
        entries.fault(*line, format!("the order has {} clocks; it can have at most {MOST_CLOCKS}", read.len()));
    }
    for (at, (clock, line)) in read.iter().enumerate() {
        if read[..at].iter().any(|(other, _)| other.id == clock.id) {
            entries.fault(*line, format!("the order has two clocks with the id {:?}", clock.id));
        }
        if let Starts::Clock(other) = &clock.starts {
            if !read.iter().any(|(clock, _)| clock.id == *other) {
                entries.fault(*line, format!("`starts`: the order has no clock {other:?}"));
            } else if is_circle(&read, clock) {
                entries.fault(*line, format!("`starts`: the clock {:?} waits for itself", clock.id));
            }
            if let Some((before, _)) = read.iter().find(|(before, _)| before.id == *other && before.per != clock.per) {
                let per = before.per.spelling();
                entries.fault(
                    *line,
                    format!("`per`: the clock {other:?} that it waits for has {per:?}, so it must be {per:?}"),
                );
            }
        }
    }
    read.into_iter().map(|(clock, _)| clock).collect()
}

/// Whether the clocks for which it waits lead back to it.
fn is_circle(clocks: &[(Clock, usize)], clock: &Clock) -> bool {
    let mut at = clock;
    for _ in clocks {
        let Starts::Clock(other) = &at.starts else { return false };
        let Some((next, _)) = clocks.iter().find(|(clock, _)| clock.id == *other) else { return false };
        if next.id == clock.id {
            return true;
        }
        at = next;
    }
    false
}

fn clock(entries: &mut Entries<'_, '_>, milestones: &[Milestone], calendar: Option<&str>) -> Option<(Clock, usize)> {
    let line = entries.line();
    let id = entries.required("id").value;
    let starts = starts(entries, milestones);
    let from = bound(entries, "from", milestones);
    let until = bound(entries, "until", milestones);
    let within = entries.number("within");
    let unit = entries.required_name("unit");
    let per = entries.required_name("per");
    let what = entries.required("what").value;
    let fields = entries.texts("fields");
    let confirmed = entries.flag("confirmed").unwrap_or(true);
    if matches!(starts, Some(Starts::Milestone(_))) && per.is_some_and(|per| per != Per::Order) {
        entries.fault(line, "`per`: a clock that starts at a milestone runs once, so it must be \"order\"");
    }
    let within = within.filter(|within| (1..=MOST).contains(within)).and_then(|within| u32::try_from(within).ok());
    if within.is_none() {
        entries.fault(line, format!("`within` must be a number from 1 to {MOST}"));
    }
    if unit == Some(Unit::BusinessDay) && calendar.is_none() {
        entries.fault(line, "`unit`: business days need a `calendar` of the order, such as \"us-federal\"");
    }
    let clock =
        Clock { id, starts: starts?, from, until, within: within?, unit: unit?, per: per?, what, fields, confirmed };
    Some((clock, line))
}

fn starts(entries: &mut Entries<'_, '_>, milestones: &[Milestone]) -> Option<Starts> {
    let Placed { value, line } = entries.required("starts");
    match value.split_once(':') {
        None if value == "found" => Some(Starts::Found),
        Some(("clock", id)) if !id.is_empty() => Some(Starts::Clock(id.to_owned())),
        Some(("milestone", id)) => {
            milestone(entries, "starts", &Placed { value: id.to_owned(), line }, milestones)?;
            Some(Starts::Milestone(id.to_owned()))
        }
        _ if value.is_empty() => None,
        _ => {
            let reason = "expected \"found\", \"clock:ID\" or \"milestone:ID\"";
            entries.fault(line, format!("`starts`: unknown value {value:?}, {reason}"));
            None
        }
    }
}

/// The instant of the milestone that a key names.
fn bound(entries: &mut Entries<'_, '_>, key: &str, milestones: &[Milestone]) -> Option<Timestamp> {
    let name = entries.text(key)?;
    milestone(entries, key, &name, milestones)
}

fn milestone(
    entries: &Entries<'_, '_>,
    key: &str,
    name: &Placed<String>,
    milestones: &[Milestone],
) -> Option<Timestamp> {
    let found = milestones.iter().find(|milestone| milestone.id == name.value);
    if found.is_none() {
        entries.fault(name.line, format!("`{key}`: the order has no milestone {:?}", name.value));
    }
    found.map(|milestone| milestone.reached)
}

#[cfg(test)]
mod tests;
