//! Which duties an order opens, and until when each must be done. Pure: the caller knows the events and the time.
//!
//! | event | clocks | about |
//! |---|---|---|
//! | a host is found with a product | `starts = "found"` | the order, the product or the host, as `per` says |
//! | a milestone is reached | `starts = "milestone:ID"` | the order |
//! | another duty is done | `starts = "clock:ID"` | what the other duty is about |
//! | a day of a recurring duty begins | `[[recurring]]` | the order |

use muster_proto::model::{DutySubject, HostId, OrderId, ProductId, Timestamp};

use crate::rules::{Clock, Order, Per, Starts, StartsAt, Until};

/// A duty that an event opens, if it is not open already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDuty {
    /// The order.
    pub order: OrderId,
    /// The clock or the recurring duty.
    pub clock: String,
    /// What it is about.
    pub subject: DutySubject,
    /// When the clock started.
    pub opened: Timestamp,
    /// Until when it must be done.
    pub due: Timestamp,
    /// Whether one duty is enough for all events, so that a later event opens no other one.
    pub once: bool,
    /// Whether a finding opens it, and not a person or the calendar.
    pub by_finding: bool,
}

/// A prohibited product that was found on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<'a> {
    /// The host.
    pub host: HostId,
    /// The product.
    pub product: &'a ProductId,
    /// When the collector received the first snapshot of the host that shows this product.
    pub since: Timestamp,
    /// When it received the first that shows any product of the order.
    pub host_since: Timestamp,
}

/// The duties that a finding opens under an order that has been active since an instant.
#[must_use]
pub fn at_finding(order: &Order, finding: &Finding<'_>, active_since: Timestamp) -> Vec<NewDuty> {
    let clocks = order.clocks.iter().filter(|clock| clock.starts == Starts::Found);
    let opened = clocks.filter_map(|clock| {
        let (subject, found, once) = match clock.per {
            Per::Order => (DutySubject::Order, finding.since, true),
            Per::Product => (DutySubject::Product(finding.product.clone()), finding.since, true),
            // A host that gets a second product has nothing more to do than before.
            Per::Host => (DutySubject::Host(finding.host), finding.host_since, false),
        };
        let event = earliest(order, found, active_since);
        let opened = || NewDuty { by_finding: true, ..duty(order, clock, subject, event, once) };
        clock.is_started_by(event).then(opened)
    });
    opened.collect()
}

/// The duties whose milestone was reached after one instant and up to another. What was reached before `active_since` counts as the
/// order's `starts-at` says.
#[must_use]
pub fn at_milestones(order: &Order, active_since: Timestamp, after: Option<Timestamp>, now: Timestamp) -> Vec<NewDuty> {
    let is_new = |event: Timestamp| event <= now && after.is_none_or(|after| event > after);
    let opened = order.clocks.iter().filter_map(|clock| {
        let Starts::Milestone(id) = &clock.starts else { return None };
        let milestone = order.milestones.iter().find(|milestone| milestone.id == *id)?;
        let event = earliest(order, milestone.reached, active_since);
        (is_new(event) && clock.is_started_by(event)).then(|| duty(order, clock, DutySubject::Order, event, true))
    });
    opened.collect()
}

/// The recurring duties whose day began after one instant and up to another; without the first, since the activation of the order,
/// whose own day counts. `is_finished` says whether no host has anything left to do under the order.
#[must_use]
pub fn at_days(
    order: &Order,
    active_since: Timestamp,
    after: Option<Timestamp>,
    now: Timestamp,
    is_finished: bool,
) -> Vec<NewDuty> {
    let from = after.unwrap_or_else(|| order.zone.begin_of(order.zone.date(active_since)).minus(MOMENT));
    let last = order.zone.end_of(order.zone.date(now));
    let mut opened = Vec::new();
    for recurrence in &order.recurring {
        if is_finished && recurrence.until == Until::Finished {
            continue;
        }
        let first = opened.len();
        for (occurrence, due) in recurrence.due_between(from, last, &order.zone) {
            let event = order.zone.begin_of(recurrence.day(occurrence));
            if event > from && event <= now {
                let (order, clock) = (order.id.clone(), recurrence.id.clone());
                let (subject, once, by_finding) = (DutySubject::Order, false, false);
                opened.push(NewDuty { order, clock, subject, opened: event, due, once, by_finding });
            }
        }
        // After a long stop the latest count.
        opened.drain(first..opened.len().saturating_sub(MOST_RETURNS).max(first));
    }
    opened
}

/// The duties that begin when another one is done.
#[must_use]
pub fn following(order: &Order, clock: &str, subject: &DutySubject, done: Timestamp) -> Vec<NewDuty> {
    let waits = |other: &&Clock| matches!(&other.starts, Starts::Clock(id) if id == clock);
    let started = order.clocks.iter().filter(waits).filter(|other| other.is_started_by(done));
    started.map(|other| duty(order, other, subject.clone(), done, false)).collect()
}

/// The smallest difference between two instants.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(1);
/// The most returns of one duty that are opened at once. A daily duty reaches it after the collector has not run for a hundred
/// days.
const MOST_RETURNS: usize = 100;

/// The event that starts a clock: an order may count from its activation.
fn earliest(order: &Order, event: Timestamp, active_since: Timestamp) -> Timestamp {
    match order.starts_at {
        StartsAt::Found => event,
        StartsAt::Activated => event.max(active_since),
    }
}

fn duty(order: &Order, clock: &Clock, subject: DutySubject, opened: Timestamp, once: bool) -> NewDuty {
    let due = clock.due(opened, &order.zone, order.calendar.as_deref());
    NewDuty { order: order.id.clone(), clock: clock.id.clone(), subject, opened, due, once, by_finding: false }
}

#[cfg(test)]
mod tests;
