//! Removes what was decided long ago and holds no more: hosts that were taken back or returned, and dispositions that were refused.

use muster_proto::model::Timestamp;

use crate::store::admin::waivers::clean::note_removed;
use crate::store::sql::{AdminTx, Step};

const ENDED: &str = "DELETE FROM disposition_host WHERE (disposition, host) IN
     (SELECT disposition, host FROM disposition_host WHERE ended_at < $1 OR returned_at < $1
      ORDER BY disposition, host LIMIT 400)";
const REFUSED: &str = "DELETE FROM disposition_host WHERE (disposition, host) IN
     (SELECT x.disposition, x.host FROM disposition_host x JOIN disposition d ON d.no = x.disposition
      WHERE d.state = 4 AND d.decided_at < $1 ORDER BY x.disposition, x.host LIMIT 400)";
// The one with the highest number is kept: otherwise the next disposition would get its number.
const EMPTY: &str = "DELETE FROM disposition WHERE no IN
     (SELECT d.no FROM disposition d WHERE d.requested_at < $1 AND d.no < (SELECT max(no) FROM disposition)
      AND NOT EXISTS (SELECT 1 FROM disposition_host x WHERE x.disposition = d.no) ORDER BY d.no LIMIT 400)";

/// Removes some of it; says whether there may be more.
///
/// # Errors
/// The database fails.
pub(crate) fn remove(tx: &mut dyn AdminTx, before: Timestamp) -> Step<bool> {
    let mut removed = 0;
    for sql in [ENDED, REFUSED, EMPTY] {
        let rows = tx.note_progress(sql, &[before.into()])?;
        if sql == ENDED && rows > 0 {
            note_removed(tx, before)?;
        }
        removed += rows;
    }
    Ok(removed > 0)
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ENDED, REFUSED, EMPTY];
