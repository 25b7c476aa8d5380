//! Scenarios of dates: when a clock, a milestone or a recurring duty of an order falls due.
//!
//! ```toml
//! [[date]]
//! name = "found on the Friday before Labor Day"
//! order = "us-far-52.204-23"
//! clock = "first-report"
//! event = 2026-09-04T12:00:00-04:00
//! due = 2026-09-11T00:00:00-04:00
//! ```
//!
//! In place of `clock` and `event` there may be `milestone`, or `recurring` and `occurrence` (from 0). A clock with
//! `starts = false` must not be started by the event.

use muster_proto::model::Timestamp;

use crate::rules::{Entries, Order, RuleSet};

/// One scenario of a date.
#[derive(Debug, Clone)]
pub(super) struct DateScenario {
    pub(super) line: usize,
    pub(super) name: String,
    order: String,
    of: Option<Of>,
    due: Option<Timestamp>,
}

#[derive(Debug, Clone)]
enum Of {
    Clock { id: String, event: Timestamp },
    Milestone(String),
    Recurring { id: String, occurrence: u32 },
}

/// Reads a `[[date]]`.
pub(super) fn read(entries: &mut Entries<'_, '_>) -> DateScenario {
    let name = entries.required("name").value;
    let order = entries.required("order").value;
    let clock = entries.text("clock");
    let milestone = entries.text("milestone");
    let recurring = entries.text("recurring");
    let event = entries.instant("event");
    let occurrence = entries.number("occurrence").unwrap_or(0);
    let starts = entries.flag("starts").unwrap_or(true);
    let due = entries.instant("due");
    let of = match (clock, event, milestone, recurring) {
        (Some(id), Some(event), None, None) => Some(Of::Clock { id: id.value, event }),
        (None, None, Some(id), None) => Some(Of::Milestone(id.value)),
        (None, None, None, Some(id)) => {
            Some(Of::Recurring { id: id.value, occurrence: u32::try_from(occurrence).unwrap_or(u32::MAX) })
        }
        _ => None,
    };
    if of.is_none() {
        entries.fault(entries.line(), "give `clock` and `event`, or `milestone`, or `recurring` and `occurrence`");
    }
    if due.is_none() == starts {
        entries.fault(entries.line(), "give `due`, or `starts = false` for a clock that the event must not start");
    }
    DateScenario { line: entries.line(), name, order, of, due }
}

impl DateScenario {
    /// What is not as expected.
    pub(super) fn difference(&self, rules: &RuleSet) -> Option<String> {
        let Some(order) = rules.order(&self.order) else { return Some(format!("unknown order {:?}", self.order)) };
        match self.found(order) {
            Err(unknown) => Some(unknown),
            Ok(found) if found == self.due => None,
            Ok(found) => {
                let text = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), Timestamp::to_rfc3339);
                Some(format!("due is {}, expected {}", text(found), text(self.due)))
            }
        }
    }

    /// When it is due; `None` if the event does not start the clock.
    fn found(&self, order: &Order) -> Result<Option<Timestamp>, String> {
        let unknown = |what: &str, id: &str| format!("the order {} has no {what} {id:?}", order.id);
        match &self.of {
            None => Ok(None),
            Some(Of::Clock { id, event }) => {
                let clock = order.clocks.iter().find(|clock| clock.id == *id).ok_or_else(|| unknown("clock", id))?;
                let due = clock.due(*event, &order.zone, order.calendar.as_deref());
                Ok(clock.is_started_by(*event).then_some(due))
            }
            Some(Of::Milestone(id)) => {
                let found = order.milestones.iter().find(|milestone| milestone.id == *id);
                Ok(Some(found.ok_or_else(|| unknown("milestone", id))?.reached))
            }
            Some(Of::Recurring { id, occurrence }) => {
                let found = order.recurring.iter().find(|recurrence| recurrence.id == *id);
                let day = found.ok_or_else(|| unknown("recurring duty", id))?.day(*occurrence);
                Ok(Some(order.zone.end_of(day)))
            }
        }
    }
}
