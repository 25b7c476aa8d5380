//! Removes the past of hosts that has ended long ago.

use muster_proto::model::Timestamp;

use super::fault::Step;
use super::session::Session;
use crate::store::{HistoryRemoved, HistoryStep};

const RANGE: &str = "SELECT max(no) FROM (SELECT no FROM host WHERE no::int8 > $1 ORDER BY no LIMIT $2) AS r";

/// Whether this end of a row is long ago. The lanes are those of the index `verdict_unfinished`. `$3` is the instant for most
/// hosts, `$4` that for hosts in which work is left.
macro_rules! ended_long_ago {
    ($end:literal) => {
        concat!(
            $end,
            " <= CASE WHEN EXISTS (SELECT 1 FROM verdict v WHERE v.host = p.host AND v.in_scope",
            " AND v.lane IN (3, 4, 5, 7, 8, 9)) THEN $4::int8 ELSE $3::int8 END"
        )
    };
}

/// Readers of the past must not take what was removed for what never was.
const NOTE_REMOVED: &str = "INSERT INTO history_removed (history, until) VALUES ($1, $2)
     ON CONFLICT (history) DO UPDATE SET until = excluded.until WHERE history_removed.until < excluded.until";

const SNAPSHOTS: &str =
    concat!("DELETE FROM host_snapshot p WHERE p.host > $1 AND p.host <= $2 AND ", ended_long_ago!("p.until"));

/// A state ends where the next one begins.
const STATES: &str = concat!(
    "DELETE FROM host_state p USING host_current h WHERE h.host = p.host AND p.host > $1 AND p.host <= $2 AND ",
    "coalesce((SELECT min(n.since) FROM host_state n WHERE n.host = p.host AND n.since > p.since), h.state_since)",
    ended_long_ago!("")
);

const VERDICTS: &str =
    concat!("DELETE FROM verdict_history p WHERE p.host > $1 AND p.host <= $2 AND ", ended_long_ago!("p.until"));

/// Takes one step, in a transaction. Rows of histories that have ended are locked by nobody else.
pub(super) async fn remove(session: &Session, step: &HistoryStep) -> Step<HistoryRemoved> {
    let HistoryStep { after, hosts, snapshots, states, verdicts, unfinished } = *step;
    let found = session.query_first(RANGE, &[&after, &i64::from(hosts)]).await?;
    let last: Option<i32> = found.map_or(Ok(None), |found| found.try_get(0))?;
    let Some(last) = last else { return Ok(HistoryRemoved::default()) };
    // The numbers of hosts are 32 bits wide, and this one is of a host or 0.
    let after = i32::try_from(after).unwrap_or(i32::MAX);
    let delete = async |statement: &'static str, before: Timestamp| {
        let (before, unfinished) = (before.millis(), before.min(unfinished).millis());
        session.execute(statement, &[&after, &last, &before, &unfinished]).await
    };
    let removed = HistoryRemoved {
        snapshots: delete(SNAPSHOTS, snapshots).await?,
        states: delete(STATES, states).await?,
        verdicts: delete(VERDICTS, verdicts).await?,
        next: Some(i64::from(last)),
    };
    for (history, until) in removed.noted(step) {
        session.execute(NOTE_REMOVED, &[&history, &until.millis()]).await?;
    }
    Ok(removed)
}
