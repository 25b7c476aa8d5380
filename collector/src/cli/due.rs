//! The due date of an order as people read it, with a mark if it is not confirmed.

use muster_proto::model::{OrderReport, Timestamp};

use super::render::when;

/// What follows a fact that was not read in a trustworthy text.
pub(super) const UNCONFIRMED: &str = " (unconfirmed)";

/// The mark of a fact.
pub(super) const fn doubt(confirmed: bool) -> &'static str {
    if confirmed { "" } else { UNCONFIRMED }
}

/// `2024-09-29T04:00:00Z (458d 20h ago)`, or `none` if the order has no due date.
pub(super) fn or(order: &OrderReport, now: Timestamp, none: &str) -> String {
    order.due.map_or_else(|| none.to_owned(), |due| format!("{}{}", when(due, now), doubt(order.due_confirmed)))
}
