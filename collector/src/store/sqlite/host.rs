//! One host with all that is stored of it, and what is asked of hosts one by one.

use std::collections::BTreeMap;

use muster_proto::model::{Cause, Digest, HostId, Lane, LaneChange, OrderId, SiteId, Timestamp, TokenId};
use rusqlite::Connection;

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::{decisions, facts, last_seen, mark, row, said, section, snapshot, verdict};
use crate::store::{SiteScope, StoredHost, StoredSnapshot, snapshot_codec};

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
    let newest = last_seen::newest(memory, host, row::instant(found, 6)?);
    let complete_scan = complete_scan(sql, no, found.get(8)?, row::maybe_instant(found, 4)?, newest)?;
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
        last_seen: Some(newest),
        snapshot,
        complete_scan,
        verdicts: verdict::of_hosts(sql, memory, &[no])?.remove(&no).unwrap_or_default(),
        history: history(sql, no)?,
        marks: mark::reports(sql, no)?,
        labels: said::labels(sql, no)?,
        owner: said::owner(sql, no)?,
        notes: said::notes(sql, no)?,
        enrolled_with: token(sql, no)?,
        decisions: decisions::of_hosts(sql, &[no])?.remove(&no).unwrap_or_default(),
    }))
}

/// When the host last reported a complete scan. Each check-in confirms the current snapshot, whose stored form is
/// `entries`, so a complete one was reported just now.
fn complete_scan(
    sql: &Connection,
    no: i64,
    entries: Option<Vec<u8>>,
    since: Option<Timestamp>,
    last_seen: Timestamp,
) -> Step<Option<Timestamp>> {
    let (Some(entries), Some(since)) = (entries, since) else { return Ok(None) };
    if snapshot_codec::is_complete_scan(&entries)? {
        return Ok(Some(last_seen));
    }
    let mut statement = sql.prepare_cached(
        "SELECT p.since, l.entries FROM host_snapshot p JOIN snapshot l ON l.no = p.snapshot
         WHERE p.host = ?1 ORDER BY p.since DESC LIMIT ?2",
    )?;
    let mut rows = statement.query((no, snapshot_codec::SEARCHED_SCANS))?;
    let mut until = since;
    while let Some(found) = rows.next()? {
        if snapshot_codec::is_complete_scan(&found.get::<_, Vec<u8>>(1)?)? {
            return Ok(Some(until));
        }
        until = row::instant(found, 0)?;
    }
    Ok(None)
}

/// The token that a host enrolled with.
fn token(sql: &Connection, no: i64) -> Step<Option<TokenId>> {
    let find = "SELECT t.id FROM enrollment_token t JOIN host h ON h.enrolled_with = t.no WHERE h.no = ?1";
    let mut statement = sql.prepare_cached(find)?;
    let mut rows = statement.query([no])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    row::name("a token", found, 0, TokenId::new).map(Some)
}

fn history(sql: &Connection, no: i64) -> Step<Vec<LaneChange>> {
    let mut statement = sql.prepare_cached(
        "SELECT o.id, v.since, v.lane, v.cause FROM (
             SELECT order_no, since, lane, cause FROM verdict_history WHERE host = ?1
             UNION ALL SELECT order_no, since, lane, cause FROM verdict WHERE host = ?1
         ) v JOIN orders o ON o.no = v.order_no ORDER BY v.since, o.id",
    )?;
    let mut rows = statement.query([no])?;
    let mut history = Vec::new();
    while let Some(found) = rows.next()? {
        let order = row::name("an order", found, 0, OrderId::new)?;
        let lane = row::member("a lane", Lane::from_code, found, 2)?;
        let cause = row::member("a cause", Cause::from_code, found, 3)?;
        history.push(LaneChange { order, since: row::instant(found, 1)?, lane, cause });
    }
    Ok(history)
}

pub(super) fn find(sql: &Connection, name: &str, scope: &SiteScope) -> Step<Vec<HostId>> {
    let within = row::within(sql, "site", scope)?;
    let find = format!("SELECT id FROM host WHERE hostname = ?1 COLLATE NOCASE AND {within} ORDER BY id LIMIT 10");
    let mut statement = sql.prepare_cached(&find)?;
    let mut rows = statement.query([name])?;
    let mut hosts = Vec::new();
    while let Some(found) = rows.next()? {
        hosts.push(row::host_id(found, 0)?);
    }
    Ok(hosts)
}

/// Number of hosts by site. Sites without hosts are left out.
pub(super) fn by_site(sql: &Connection, scope: &SiteScope) -> Step<Vec<(SiteId, u64)>> {
    let within = row::within(sql, "c.site", scope)?;
    let find = format!(
        "SELECT s.id, c.hosts FROM site_hosts c JOIN site s ON s.no = c.site WHERE c.hosts > 0 AND {within} ORDER BY s.id"
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut rows = statement.query([])?;
    let mut sites = Vec::new();
    while let Some(found) = rows.next()? {
        sites.push((row::site(found, 0)?, row::count(found, 1)?));
    }
    Ok(sites)
}

pub(super) fn count(sql: &Connection, scope: &SiteScope) -> Step<u64> {
    let find = format!("SELECT coalesce(sum(hosts), 0) FROM site_hosts WHERE {}", row::within(sql, "site", scope)?);
    sql.prepare_cached(&find)?.query_row([], |found| Ok(row::count(found, 0)))?
}
