//! Removes the past of hosts that has ended long ago.

use super::fault::Step;
use super::writer::WriteContext;
use crate::store::{HistoryRemoved, HistoryStep};

const RANGE: &str = "SELECT max(no) FROM (SELECT no FROM host WHERE no > ?1 ORDER BY no LIMIT ?2)";

/// Whether this end of a row is long ago. The lanes are those of the index `verdict_unfinished`. `?3` is the instant for
/// most hosts, `?4` that for hosts in which work is left.
macro_rules! ended_long_ago {
    ($end:literal) => {
        concat!(
            $end,
            " <= CASE WHEN EXISTS (SELECT 1 FROM verdict v WHERE v.host = p.host AND v.in_scope = 1",
            " AND v.lane NOT IN (1, 2, 6, 10, 11)) THEN ?4 ELSE ?3 END"
        )
    };
}

/// Removes rows of a history whose rows end where the next one begins, the last one where the present begins.
macro_rules! remove_from {
    ($history:literal, $present:literal) => {
        concat!(
            "DELETE FROM ",
            $history,
            " WHERE (host, since) IN (SELECT p.host, p.since FROM ",
            $history,
            " p JOIN host h ON h.no = p.host WHERE p.host > ?1 AND p.host <= ?2 AND coalesce((SELECT min(n.since) FROM ",
            $history,
            " n WHERE n.host = p.host AND n.since > p.since), h.",
            $present,
            ")",
            ended_long_ago!(""),
            ")"
        )
    };
}

/// Readers of the past must not take what was removed for what never was.
const NOTE_REMOVED: &str = "INSERT INTO history_removed (history, until) VALUES (?1, ?2)
     ON CONFLICT (history) DO UPDATE SET until = excluded.until WHERE history_removed.until < excluded.until";

const SNAPSHOTS: &str = remove_from!("host_snapshot", "snapshot_since");
const STATES: &str = remove_from!("host_state", "state_since");
const VERDICTS: &str =
    concat!("DELETE FROM verdict_history AS p WHERE p.host > ?1 AND p.host <= ?2 AND ", ended_long_ago!("p.until"));

pub(super) fn remove(context: &WriteContext<'_>, step: &HistoryStep) -> Step<HistoryRemoved> {
    let sql = context.sql;
    let HistoryStep { after, hosts, snapshots, states, verdicts, unfinished } = *step;
    let last: Option<i64> = sql.prepare_cached(RANGE)?.query_row((after, hosts), |row| row.get(0))?;
    let Some(last) = last else { return Ok(HistoryRemoved::default()) };
    let delete = |statement: &str, before: muster_proto::model::Timestamp| -> Step<u64> {
        let values = (after, last, before.millis(), before.min(unfinished).millis());
        Ok(sql.prepare_cached(statement)?.execute(values)? as u64)
    };
    let removed = HistoryRemoved {
        snapshots: delete(SNAPSHOTS, snapshots)?,
        states: delete(STATES, states)?,
        verdicts: delete(VERDICTS, verdicts)?,
        next: Some(last),
    };
    for (history, until) in removed.noted(step) {
        sql.prepare_cached(NOTE_REMOVED)?.execute((history, until.millis()))?;
    }
    Ok(removed)
}
