//! A milestone of an order: a day or an instant that its text names, and when it is reached.

use muster_proto::model::{MilestoneKind, MilestoneReport, OrderId, Precision, Timestamp};

use super::named_value::NamedValue;
use super::toml_reader::Entries;
use super::zone::Zone;

/// A time of an order, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// Its name within the order.
    pub id: String,
    /// The time that the order states; of a day or a month, its beginning.
    pub at: Timestamp,
    /// When it is reached: `at`, or the end of that day or month.
    pub reached: Timestamp,
    /// What kind of milestone it is.
    pub kind: MilestoneKind,
    /// How exactly the issuer states the time.
    pub precision: Precision,
    /// Whether it was read in a trustworthy text.
    pub confirmed: bool,
    /// What happens.
    pub what: String,
    /// The addendum that adds it; `None` if it is the order's own.
    pub addendum: Option<OrderId>,
}

/// At which end of a stated day or month a milestone is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// When the day begins: "from day D on".
    Start,
    /// When the day has ended: "by day D".
    End,
}

impl NamedValue for Reached {
    const VALUES: &'static [Self] = &[Self::Start, Self::End];

    fn spelling(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

impl Reached {
    /// What is meant if the file does not say it.
    const fn of(kind: MilestoneKind) -> Self {
        match kind {
            MilestoneKind::Deadline => Self::End,
            MilestoneKind::Announced | MilestoneKind::Effective | MilestoneKind::Replaced | MilestoneKind::Expires => {
                Self::Start
            }
        }
    }
}

impl Milestone {
    /// The milestone as a report, with the stated time in this zone.
    #[must_use]
    pub fn report(&self, zone: &Zone) -> MilestoneReport {
        let date = zone.date(self.at);
        let stated = match self.precision {
            Precision::Minute => zone.minute(self.at),
            Precision::Day => date.to_string(),
            Precision::Month => date.strftime("%Y-%m").to_string(),
        };
        MilestoneReport {
            id: self.id.clone(),
            stated,
            reached: self.reached,
            at_end: self.reached != self.at,
            confirmed: self.confirmed,
            what: self.what.clone(),
            addendum: self.addendum.as_ref().map(OrderId::to_string).unwrap_or_default(),
        }
    }
}

/// The milestones that could be read, with the lines of their tables. A second one with the same id is a fault.
pub(super) fn each_once(entries: &Entries<'_, '_>, read: Vec<(usize, Option<Milestone>)>) -> Vec<(usize, Milestone)> {
    let read: Vec<(usize, Milestone)> =
        read.into_iter().filter_map(|(line, milestone)| Some((line, milestone?))).collect();
    for (at, (line, milestone)) in read.iter().enumerate() {
        if read[..at].iter().any(|(_, other)| other.id == milestone.id) {
            let reason =
                format!("`id`: there are two milestones with the id {:?}; give this one another", milestone.id);
            entries.fault(*line, reason);
        }
    }
    read
}

/// Reads a milestone of an order in this zone.
pub(super) fn read(entries: &mut Entries<'_, '_>, zone: &Zone) -> Option<Milestone> {
    let id = entries.required("id").value;
    let at = entries.required_instant("at");
    let kind = entries.required_name("kind");
    let precision = entries.name("precision").unwrap_or(Precision::Day);
    let end = entries.name::<Reached>("reached");
    let confirmed = entries.flag("confirmed").unwrap_or(true);
    let what = entries.required("what").value;
    let (at, kind) = (at?, kind?);
    let reached = reached(entries, zone, (at, precision), (end, kind));
    Some(Milestone { id, at, reached, kind, precision, confirmed, what, addendum: None })
}

fn reached(
    entries: &Entries<'_, '_>,
    zone: &Zone,
    (at, precision): (Timestamp, Precision),
    (end, kind): (Option<Reached>, MilestoneKind),
) -> Timestamp {
    if precision == Precision::Minute {
        if end == Some(Reached::End) {
            entries.fault(entries.line(), "`reached`: a milestone with `precision = \"minute\"` has no end; remove it");
        }
        return at;
    }
    let date = zone.date(at);
    let day = zone.begin_of(date);
    if day != at {
        let (name, day) = (zone.name(), day.to_rfc3339());
        let reason = format!(
            "`at` is not the beginning of a day in {name} (this one begins at {day}); set `zone` or correct it"
        );
        entries.fault(entries.line(), reason);
    }
    match (end.unwrap_or_else(|| Reached::of(kind)), precision) {
        (Reached::Start, _) => at,
        (Reached::End, Precision::Month) => zone.end_of_month(date),
        (Reached::End, Precision::Day | Precision::Minute) => zone.end_of(date),
    }
}
