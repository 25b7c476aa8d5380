//! Facts and state of a host, and the host whole.

use std::collections::BTreeMap;

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostFacts, HostId, HostState, Lane, OrderId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::writer::WriteContext;
use super::{facts, row, section, snapshot, verdict};
use crate::store::{StoredHost, StoredSnapshot};

/// Writes the facts when they differ; says whether they did.
pub(super) fn facts_put(context: &WriteContext<'_>, no: i64, facts: &HostFacts) -> Step<bool> {
    let (sql, phrases) = (context.sql, context.memory.dictionaries());
    let find = format!("SELECT {} FROM host h WHERE h.no = ?1", facts::COLUMNS);
    let kept = sql
        .prepare_cached(&find)?
        .query_row([no], |found| Ok(facts::facts(found, 0, context.memory.dictionaries())))??;
    if kept == *facts {
        return Ok(false);
    }
    sql.prepare_cached(
        "UPDATE host SET hostname = ?2, platform = ?3, os_name = ?4, kernel = ?5, architecture = ?6,
             agent_version = ?7, offline_root = ?8 WHERE no = ?1",
    )?
    .execute((
        no,
        &facts.hostname,
        facts.platform.code(),
        phrases.phrase(&facts.os_name),
        phrases.phrase(&facts.kernel),
        phrases.phrase(&facts.architecture),
        phrases.phrase(&facts.agent_version),
        facts.offline_root,
    ))?;
    Ok(true)
}

/// Writes the state when it differs; says whether it did. Its history is written when it is judged.
pub(super) fn state_put(sql: &Connection, no: i64, state: &HostState) -> Step<bool> {
    let bytes = stored::state_bytes(state);
    let changed =
        sql.prepare_cached("UPDATE host SET state = ?2 WHERE no = ?1 AND state IS NOT ?2")?.execute((no, &bytes))?;
    Ok(changed > 0)
}

/// Keeps what of the state is judged, when that has changed.
pub(super) fn state_judged(sql: &Connection, no: i64, key: &Digest, now: Timestamp) -> Step<()> {
    let judged = judged_state(sql, no, key)?;
    let (last, since): (Option<i64>, Option<i64>) = sql
        .prepare_cached("SELECT judged_state, state_since FROM host WHERE no = ?1")?
        .query_row([no], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if last == Some(judged) {
        return Ok(());
    }
    let until = since.map_or(now.millis(), |since| now.millis().max(since.saturating_add(1)));
    if let Some((last, since)) = last.zip(since) {
        sql.prepare_cached("INSERT INTO host_state (host, since, judged_state) VALUES (?1, ?2, ?3)")?
            .execute((no, since, last))?;
    }
    sql.prepare_cached("UPDATE host SET judged_state = ?2, state_since = ?3 WHERE no = ?1")?
        .execute((no, judged, until))?;
    Ok(())
}

fn judged_state(sql: &Connection, no: i64, key: &Digest) -> Step<i64> {
    let find = "SELECT no FROM judged_state WHERE state_key = ?1";
    let known: Option<i64> = sql.prepare_cached(find)?.query_row([key.as_bytes()], |row| row.get(0)).optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let present =
        sql.prepare_cached("SELECT state FROM host WHERE no = ?1")?.query_row([no], |row| Ok(row::state(row, 0)))??;
    sql.prepare_cached("INSERT INTO judged_state (state_key, state) VALUES (?1, ?2)")?
        .execute((key.as_bytes(), stored::state_bytes(&present.shared())))?;
    Ok(sql.last_insert_rowid())
}

/// When a host was last heard of: what the memory knows, or else the column, which begins with the enrollment.
pub(super) fn last_seen(memory: &Memory, host: HostId, column: Timestamp) -> Timestamp {
    memory.seen(host).map_or(column, |seen| seen.last_seen.max(column))
}

pub(super) fn get(sql: &Connection, memory: &Memory, host: HostId) -> Step<Option<StoredHost>> {
    let find = format!(
        "SELECT h.no, s.id, h.enrolled_at, h.state, h.snapshot_since, h.snapshot_observed_at,
                e.last_seen, l.digest, l.entries, {}
         FROM host h JOIN site s ON s.no = h.site JOIN host_check_in e ON e.host = h.no
         LEFT JOIN snapshot l ON l.no = h.snapshot WHERE h.id = ?1",
        facts::COLUMNS
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut rows = statement.query([host.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let no = found.get(0)?;
    let snapshot = match found.get::<_, Option<[u8; 32]>>(7)?.map(Digest::from_bytes) {
        Some(digest) => {
            let snapshot = snapshot::read(sql, &digest, &found.get::<_, Vec<u8>>(8)?, true)?;
            let mut observations = BTreeMap::new();
            for digest in snapshot.entries().iter().filter_map(|entry| entry.section) {
                let size = section::size(sql, &digest)?
                    .ok_or_else(|| StoreFault::damaged(format!("section {}", digest.short()), "it is not there"))?;
                observations.insert(digest, size);
            }
            Some(StoredSnapshot {
                digest,
                snapshot,
                observations,
                since: row::instant(found, 4)?,
                observed_at: row::instant(found, 5)?,
            })
        }
        None => None,
    };
    Ok(Some(StoredHost {
        host,
        site: row::site(found, 1)?,
        facts: facts::facts(found, 9, memory.dictionaries())?,
        state: row::state(found, 3)?,
        enrolled_at: row::instant(found, 2)?,
        last_seen: Some(last_seen(memory, host, row::instant(found, 6)?)),
        snapshot,
        verdicts: verdict::of_host(sql, memory, no)?,
        history: history(sql, no)?,
    }))
}

fn history(sql: &Connection, no: i64) -> Step<Vec<(OrderId, Timestamp, Lane)>> {
    let mut statement = sql.prepare_cached(
        "SELECT o.id, v.since, v.lane FROM (
             SELECT order_no, since, lane FROM verdict_history WHERE host = ?1
             UNION ALL SELECT order_no, since, lane FROM verdict WHERE host = ?1
         ) v JOIN orders o ON o.no = v.order_no ORDER BY v.since, o.id",
    )?;
    let mut rows = statement.query([no])?;
    let mut history = Vec::new();
    while let Some(found) = rows.next()? {
        let order = row::name("an order", found, 0, OrderId::new)?;
        history.push((order, row::instant(found, 1)?, row::member("a lane", Lane::from_code, found, 2)?));
    }
    Ok(history)
}

pub(super) fn find(sql: &Connection, name: &str) -> Step<Vec<HostId>> {
    let mut statement =
        sql.prepare_cached("SELECT id FROM host WHERE hostname = ?1 COLLATE NOCASE ORDER BY id LIMIT 10")?;
    let mut rows = statement.query([name])?;
    let mut hosts = Vec::new();
    while let Some(found) = rows.next()? {
        hosts.push(row::host_id(found, 0)?);
    }
    Ok(hosts)
}

pub(super) fn count(sql: &Connection) -> Step<u64> {
    let find = "SELECT value FROM counter WHERE name = 'hosts'";
    sql.prepare_cached(find)?.query_row([], |found| Ok(row::count(found, 0)))?
}
