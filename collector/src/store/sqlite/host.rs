//! Facts and state of a host, and the host whole.

use std::collections::BTreeMap;

use muster_proto::model::{Digest, HostFacts, HostId, HostState, Lane, OrderId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use super::memory::Memory;
use super::writer::Desk;
use super::{look, row, section, verdict};
use crate::store::{StoredHost, StoredLook};

/// Writes the facts when they differ; says whether they did.
pub(super) fn facts_put(sql: &Connection, no: i64, facts: &HostFacts) -> Step<bool> {
    let find = format!("SELECT {} FROM host h WHERE h.no = ?1", row::FACTS);
    let kept = sql.prepare_cached(&find)?.query_row([no], |found| Ok(row::facts(found, 0)))??;
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
        row::phrase(sql, &facts.os_name)?,
        row::phrase(sql, &facts.kernel)?,
        row::phrase(sql, &facts.architecture)?,
        row::phrase(sql, &facts.agent_version)?,
        facts.offline_root,
    ))?;
    Ok(true)
}

/// Writes the state when it differs; says whether it did. Its history is written when it is judged.
pub(super) fn state_put(sql: &Connection, no: i64, state: &HostState) -> Step<bool> {
    let text = row::to_json(state)?;
    let changed =
        sql.prepare_cached("UPDATE host SET state = ?2 WHERE no = ?1 AND state IS NOT ?2")?.execute((no, &text))?;
    Ok(changed > 0)
}

/// Keeps a state under the key of what is judged of it, when that key has changed.
pub(super) fn state_judged(desk: &Desk<'_>, no: i64, key: &Digest, now: Timestamp) -> Step<()> {
    let sql = desk.sql;
    let last: Option<(Vec<u8>, i64)> = sql
        .prepare_cached("SELECT state_key, since FROM host_state WHERE host = ?1 AND until IS NULL")?
        .query_row([no], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if last.as_ref().is_some_and(|(kept, _)| kept == key.as_bytes()) {
        return Ok(());
    }
    let since = last.map_or(now.millis(), |(_, since)| now.millis().max(since.saturating_add(1)));
    sql.prepare_cached("UPDATE host_state SET until = ?2 WHERE host = ?1 AND until IS NULL")?.execute((no, since))?;
    let empty = row::to_json(&HostState::default())?;
    sql.prepare_cached(
        "INSERT INTO host_state (host, since, state_key, state)
         SELECT no, ?2, ?3, coalesce(state, ?4) FROM host WHERE no = ?1",
    )?
    .execute((no, since, key.as_bytes(), empty))?;
    Ok(())
}

/// When a host was last heard of: what the memory knows, or else the column, which begins with the enrolment.
pub(super) fn last_seen(memory: &Memory, host: HostId, column: Timestamp) -> Timestamp {
    memory.seen(host).map_or(column, |seen| seen.last_seen.max(column))
}

pub(super) fn get(sql: &Connection, memory: &Memory, host: HostId) -> Step<Option<StoredHost>> {
    let find = format!(
        "SELECT h.no, s.id, h.enrolled_at, h.state, h.look_since, h.look_observed_at,
                e.last_seen, l.digest, l.entries, {}
         FROM host h JOIN site s ON s.no = h.site JOIN host_seen e ON e.host = h.no
         LEFT JOIN look l ON l.no = h.look WHERE h.id = ?1",
        row::FACTS
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut rows = statement.query([host.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let no = found.get(0)?;
    let look = match found.get::<_, Option<[u8; 32]>>(7)?.map(Digest::from_bytes) {
        Some(digest) => {
            let look = look::read(&found.get::<_, Vec<u8>>(8)?, &digest)?;
            let mut observations = BTreeMap::new();
            for digest in look.entries().iter().filter_map(|entry| entry.section) {
                let size = section::size(sql, &digest)?
                    .ok_or_else(|| Fault::damaged(format!("section {}", digest.short()), "it is not there"))?;
                observations.insert(digest, size);
            }
            Some(StoredLook {
                digest,
                look,
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
        facts: row::facts(found, 9)?,
        state: row::state(found, 3)?,
        enrolled_at: row::instant(found, 2)?,
        last_seen: Some(last_seen(memory, host, row::instant(found, 6)?)),
        look,
        verdicts: verdict::of_host(sql, no)?,
        history: history(sql, no)?,
    }))
}

fn history(sql: &Connection, no: i64) -> Step<Vec<(OrderId, Timestamp, Lane)>> {
    let mut statement = sql.prepare_cached(
        "SELECT o.id, v.since, v.lane FROM verdict_history v JOIN ord o ON o.no = v.ord
         WHERE v.host = ?1 ORDER BY v.since, o.id",
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
    let find = "SELECT n FROM counter WHERE name = 'hosts'";
    sql.prepare_cached(find)?.query_row([], |found| Ok(row::count(found, 0)))?
}
