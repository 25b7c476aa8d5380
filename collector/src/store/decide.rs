//! What both backends decide: pure functions that take what is stored and return what to write.
//!
//! A backend loads, calls a decision, and writes. Nothing here knows SQL or waits for anything, so the tests beside
//! each decision need no database. Decisions are generic over a backend's row numbers.

use muster_proto::model::Timestamp;

pub(in crate::store) mod accounts;
mod cause;
pub(in crate::store) mod changes;
pub(in crate::store) mod decided;
pub(in crate::store) mod duties;
pub(in crate::store) mod enroll;
pub(in crate::store) mod host_list;
pub(in crate::store) mod keys;
pub(in crate::store) mod labels;
pub(in crate::store) mod login_links;
pub(in crate::store) mod marks;
pub(crate) mod past;
pub(in crate::store) mod readmit;
pub(in crate::store) mod report;
pub(crate) mod roster;
pub(in crate::store) mod sealed;
pub(in crate::store) mod settle;
pub(in crate::store) mod silence;
pub(in crate::store) mod tally;
pub(crate) mod timeline;
pub(in crate::store) mod tokens;
pub(in crate::store) mod unchanged;
pub(crate) mod waivers;

/// When something begins that follows what began at `earlier`: now, or a millisecond after `earlier` if the clock was
/// set back or both happened within a millisecond. So the history of a host is always ordered.
fn begin_after(earlier: Timestamp, now: Timestamp) -> Timestamp {
    now.max(Timestamp::from_millis(earlier.millis().saturating_add(1)))
}
