//! Removes the past of hosts that has ended long ago.

use super::fault::Step;
use super::writer::WriteContext;
use crate::store::{HistoryRemoved, HistoryStep};

const RANGE: &str = "SELECT max(no) FROM (SELECT no FROM host WHERE no > ?1 ORDER BY no LIMIT ?2)";

/// The lanes are those of the index `verdict_unfinished`. `?3` is the instant for most hosts, `?4` that for hosts in which
/// work is left. A row ends where the next one begins.
const SNAPSHOTS: &str = "
    DELETE FROM host_snapshot WHERE (host, since) IN (
        SELECT p.host, p.since FROM host_snapshot p JOIN host h ON h.no = p.host WHERE p.host > ?1 AND p.host <= ?2
        AND coalesce((SELECT min(n.since) FROM host_snapshot n WHERE n.host = p.host AND n.since > p.since), h.snapshot_since)
            <= CASE WHEN EXISTS (SELECT 1 FROM verdict v WHERE v.host = p.host AND v.in_scope = 1
                                 AND v.lane NOT IN (1, 2, 6, 10, 11)) THEN ?4 ELSE ?3 END
    )";

const STATES: &str = "
    DELETE FROM host_state WHERE (host, since) IN (
        SELECT p.host, p.since FROM host_state p JOIN host h ON h.no = p.host WHERE p.host > ?1 AND p.host <= ?2
        AND coalesce((SELECT min(n.since) FROM host_state n WHERE n.host = p.host AND n.since > p.since), h.state_since)
            <= CASE WHEN EXISTS (SELECT 1 FROM verdict v WHERE v.host = p.host AND v.in_scope = 1
                                 AND v.lane NOT IN (1, 2, 6, 10, 11)) THEN ?4 ELSE ?3 END
    )";

const VERDICTS: &str = "
    DELETE FROM verdict_history AS p WHERE p.host > ?1 AND p.host <= ?2
    AND p.until <= CASE WHEN EXISTS (SELECT 1 FROM verdict v WHERE v.host = p.host AND v.in_scope = 1
                                     AND v.lane NOT IN (1, 2, 6, 10, 11)) THEN ?4 ELSE ?3 END";

pub(super) fn remove(context: &WriteContext<'_>, step: &HistoryStep) -> Step<HistoryRemoved> {
    let sql = context.sql;
    let HistoryStep { after, hosts, snapshots, states, verdicts, unfinished } = *step;
    let last: Option<i64> = sql.prepare_cached(RANGE)?.query_row((after, hosts), |row| row.get(0))?;
    let Some(last) = last else { return Ok(HistoryRemoved::default()) };
    let delete = |statement: &str, before: muster_proto::model::Timestamp| -> Step<u64> {
        let values = (after, last, before.millis(), before.min(unfinished).millis());
        Ok(sql.prepare_cached(statement)?.execute(values)? as u64)
    };
    Ok(HistoryRemoved {
        snapshots: delete(SNAPSHOTS, snapshots)?,
        states: delete(STATES, states)?,
        verdicts: delete(VERDICTS, verdicts)?,
        next: Some(last),
    })
}
