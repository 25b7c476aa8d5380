//! Rows of lanes, as every question about the past reads them.

use muster_proto::model::{Cause, Lane, Timestamp};

use crate::store::decide::past::LaneSpan;
use crate::store::sql::{Row, Step, StoreFault};

/// A row with host and beginning, and from `at` on lane, scope and cause.
pub(super) fn span(row: &Row, until: Option<Timestamp>, at: usize) -> Step<LaneSpan> {
    let code = |at: usize| row.int(at).map(|code| u8::try_from(code).unwrap_or_default());
    let unknown =
        |what: &str, code: u8| StoreFault::damaged("a lane of a host", format!("the {what} {code} is unknown"));
    let (lane, cause) = (code(at)?, code(at + 2)?);
    Ok(LaneSpan {
        since: row.time(1)?,
        until,
        lane: Lane::from_code(lane).ok_or_else(|| unknown("lane", lane))?,
        in_scope: row.flag(at + 1)?,
        cause: Cause::from_code(cause).ok_or_else(|| unknown("cause", cause))?,
    })
}
