//! Removes waivers of which nobody has heard, and those that ended long ago. Up to when that was done is noted, because the past before
//! is not known any more.

use muster_proto::model::Timestamp;

use super::ask::Prepared;
use crate::store::decision_sql::APPROVED;
use crate::store::sql::{AdminTx, Step};

// The one with the highest number is kept: otherwise the next waiver would get its number.
const OLD: &str =
    "SELECT no, state FROM waiver WHERE until < $1 AND no < (SELECT max(no) FROM waiver) ORDER BY until, no LIMIT 1";
const LEFT_OVER: &str = "SELECT no FROM waiver WHERE state = 1 AND requested_at < $1 ORDER BY no LIMIT 1";
const REFUSED: &str = "SELECT no FROM waiver WHERE state = 4 AND decided_at < $1
     AND EXISTS (SELECT 1 FROM waiver_host WHERE waiver = no) ORDER BY no LIMIT 1";
const LAPSED: &str = "SELECT no FROM waiver WHERE state = 2 AND until < $1
     AND EXISTS (SELECT 1 FROM waiver_host WHERE waiver = no) ORDER BY no LIMIT 1";
const FORGET_HOSTS: &str = "DELETE FROM waiver_host WHERE waiver = $1 AND host IN
     (SELECT host FROM waiver_host WHERE waiver = $1 ORDER BY host LIMIT 400)";
const NOTE_REMOVED: &str = "INSERT INTO history_removed (history, until) VALUES ($1, $2)
     ON CONFLICT (history) DO UPDATE SET until = excluded.until WHERE history_removed.until < excluded.until";
const FORGET: &str = "DELETE FROM waiver WHERE no = $1";

/// Which waivers are removed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Those that ended before.
    pub(crate) ended_before: Timestamp,
    /// The hosts of those that were refused, or that nobody decided in time, before.
    pub(crate) refused_before: Timestamp,
    /// Those whose request was begun before and never finished.
    pub(crate) begun_before: Timestamp,
}

/// Removes a part of one of them; says whether there may be more.
///
/// # Errors
/// The database fails.
pub(crate) fn remove(tx: &mut dyn AdminTx, limits: Limits) -> Step<bool> {
    for sql in [REFUSED, LAPSED] {
        if let Some(row) = tx.query(sql, &[limits.refused_before.into()])?.first() {
            tx.note_progress(FORGET_HOSTS, &[row.int(0)?.into()])?;
            return Ok(true);
        }
    }
    let left_over = tx.query(LEFT_OVER, &[limits.begun_before.into()])?;
    let found = match left_over.first() {
        Some(row) => Some(row.int(0)?),
        None => match tx.query(OLD, &[limits.ended_before.into()])?.first() {
            Some(row) => {
                if row.int(1)? == APPROVED {
                    note_removed(tx, limits.ended_before)?;
                }
                Some(row.int(0)?)
            }
            None => None,
        },
    };
    let Some(waiver) = found else { return Ok(false) };
    if tx.note_progress(FORGET_HOSTS, &[waiver.into()])? == 0 {
        tx.note_progress(FORGET, &[waiver.into()])?;
    }
    Ok(true)
}

/// The name of waivers and dispositions in the table of histories that retention has removed.
pub(crate) const DECISIONS: &str = "decisions";

/// Notes that decisions that ended before an instant may be gone.
///
/// # Errors
/// The database fails.
pub(crate) fn note_removed(tx: &mut dyn AdminTx, before: Timestamp) -> Step<()> {
    tx.note_progress(NOTE_REMOVED, &[DECISIONS.into(), before.into()]).map(drop)
}

/// Removes a part of a request that is given up; says whether there may be more.
///
/// # Errors
/// The database fails.
pub(crate) fn abandon(tx: &mut dyn AdminTx, waiver: &Prepared) -> Step<bool> {
    // The answer to the last transaction may have been lost, and then it is a request.
    if !waiver.is_there(tx)? {
        return Ok(false);
    }
    let waiver = waiver.number.cast_signed();
    if tx.note_progress(FORGET_HOSTS, &[waiver.into()])? > 0 {
        return Ok(true);
    }
    tx.note_progress(FORGET, &[waiver.into()])?;
    Ok(false)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OLD, REFUSED, LAPSED, LEFT_OVER, FORGET_HOSTS, NOTE_REMOVED, FORGET];
