//! Purges a host: its past first, then its present, then what only it referred to.

use std::collections::BTreeSet;

use muster_proto::model::{HostId, Timestamp};
use rusqlite::Connection;

use super::fault::Step;
use super::writer::WriteContext;
use super::{number_mark, unreferenced};
use crate::store::last_seen::{LastSeen, RunReturns};
use crate::store::purge::NO_RUN;
use crate::store::{Purged, snapshot_codec};

const SNAPSHOTS: &str = "SELECT since, snapshot FROM host_snapshot WHERE host = ?1 ORDER BY since LIMIT ?2";
const STATES: &str = "SELECT since, judged_state FROM host_state WHERE host = ?1 ORDER BY since LIMIT ?2";

pub(super) fn purge(sql: &Connection, host: i64, most: u64, now: Timestamp) -> Step<Purged> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (mut snapshots, mut states) = (BTreeSet::new(), BTreeSet::new());
    let mut own =
        past(sql, host, most, SNAPSHOTS, "DELETE FROM host_snapshot WHERE host = ?1 AND since <= ?2", &mut snapshots)?;
    own += past(sql, host, most - own, STATES, "DELETE FROM host_state WHERE host = ?1 AND since <= ?2", &mut states)?;
    // The present is the end of the past, so it goes last.
    let is_done = own < most;
    if is_done {
        own += present(sql, host, &mut snapshots, &mut states)?;
    }
    // Numbers that are removed now must not be given again.
    number_mark::put(sql, now)?;
    let (mut of_snapshots, mut removed) = (BTreeSet::new(), (0, 0));
    for snapshot in snapshots {
        let sections = sections(sql, snapshot)?;
        if unreferenced::remove_snapshot(sql, snapshot)? {
            removed.0 += 1;
            of_snapshots.extend(sections);
        }
    }
    for section in of_snapshots {
        removed.1 += u64::from(unreferenced::remove_section(sql, section)?);
    }
    for state in states {
        unreferenced::remove_state(sql, state)?;
    }
    Ok(Purged { own: own.cast_unsigned(), snapshots: removed.0, sections: removed.1, is_done })
}

/// Deletes the oldest rows of a history; notes to what they referred.
fn past(sql: &Connection, host: i64, most: i64, find: &str, delete: &str, referred: &mut BTreeSet<i64>) -> Step<i64> {
    let mut statement = sql.prepare_cached(find)?;
    let mut rows = statement.query((host, most))?;
    let (mut found, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>(0)?);
        referred.insert(row.get(1)?);
        found += 1;
    }
    if let Some(last) = last {
        sql.prepare_cached(delete)?.execute((host, last))?;
    }
    Ok(found)
}

/// Deletes what the host has now.
fn present(sql: &Connection, host: i64, snapshots: &mut BTreeSet<i64>, states: &mut BTreeSet<i64>) -> Step<i64> {
    let find = "SELECT snapshot, judged_state, state IS NOT NULL FROM host WHERE no = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (snapshot, state, has_state): (Option<i64>, Option<i64>, bool) =
        sql.prepare_cached(find)?.query_row([host], read)?;
    snapshots.extend(snapshot);
    states.extend(state);
    sql.prepare_cached(
        "UPDATE host SET snapshot = NULL, snapshot_since = NULL, snapshot_observed_at = NULL, state = NULL,
             judged_state = NULL, state_since = NULL, judged_at = NULL, judged_rules = NULL WHERE no = ?1",
    )?
    .execute([host])?;
    sql.prepare_cached(
        "UPDATE host_check_in SET run = ?2, seq = 0, previous_run = NULL, previous_seq = 0, returns = 0
         WHERE host = ?1 AND run IS NOT NULL",
    )?
    .execute((host, NO_RUN.as_bytes()))?;
    Ok(i64::from(snapshot.is_some()) + i64::from(has_state))
}

/// The sections of a snapshot that is complete.
fn sections(sql: &Connection, snapshot: i64) -> Step<Vec<i64>> {
    let find = "SELECT entries FROM snapshot WHERE no = ?1 AND complete";
    let mut statement = sql.prepare_cached(find)?;
    let mut rows = statement.query([snapshot])?;
    let Some(found) = rows.next()? else { return Ok(Vec::new()) };
    snapshot_codec::sections(&found.get::<_, Vec<u8>>(0)?)
}

/// Makes this transaction and the memory forget what the host has sent.
pub(super) fn forget(context: &mut WriteContext<'_>, host: HostId) {
    let nothing =
        |seen: LastSeen| LastSeen { run: NO_RUN, seq: 0, previous: None, returns: RunReturns::default(), ..seen };
    let seen = context.seen(host);
    if let Some(seen) = seen.row.or(seen.memory) {
        context.note_seen(host, nothing(seen));
    }
    context.after_commit(move |memory| memory.purged(host, nothing));
}
