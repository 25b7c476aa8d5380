//! Gaps in the reports of hosts. They are written when they end.

use rusqlite::Connection;

use super::fault::Step;
use crate::store::decide::report::Gap;

/// Writes a gap, and deletes those of the host that are older than the retention.
pub(super) fn put(sql: &Connection, host: i64, gap: &Gap) -> Step<()> {
    // A crash can lose "last seen" after this row was committed. The next check-in then finds the same beginning again,
    // and the first end is the right one.
    sql.prepare_cached("INSERT INTO host_gap (host, since, until) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute((host, gap.since.millis(), gap.until.millis()))?;
    sql.prepare_cached("DELETE FROM host_gap WHERE host = ?1 AND until < ?2")?
        .execute((host, gap.kept_from().millis()))?;
    Ok(())
}
