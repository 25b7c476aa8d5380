//! Changes of lanes: reads absences, the ledger from its newest entry back, and the lanes of hosts that were silent.

use std::collections::{HashMap, hash_map};

use muster_proto::model::{EntryKind, HostId, Lane, OrderId, SiteId};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::{last_seen, row};
use crate::ledger::entry::Entry;
use crate::store::SiteScope;
use crate::store::changes::{ChangesQuery, StoredChanges};
use crate::store::decide::changes::{Absence, LaneSpan, Selection};
use crate::store::decision_sql;

/// Read until the time that is asked for is over.
const LEDGER: &str = "SELECT no, at, entry FROM ledger WHERE kind = ?1 ORDER BY no DESC";

pub(super) fn list(sql: &Connection, memory: &Memory, query: &ChangesQuery) -> Step<StoredChanges> {
    let within = row::within(sql, "h.site", &query.sites)?;
    let mut selection = Selection::new(query, absences(sql, memory, query, &within)?);
    read_ledger(sql, query, &within, &mut selection)?;
    for host in selection.hosts_with_silence() {
        if let Some(no) = memory.host_no(host) {
            selection.add_silence(host, &spans(sql, no)?);
        }
    }
    let selected = selection.finish();
    let mut names = HashMap::new();
    for host in selected.page.keys().map(|key| key.host) {
        if let hash_map::Entry::Vacant(place) = names.entry(host) {
            place.insert(name(sql, host)?);
        }
    }
    Ok(selected.named(|host| names.get(&host).cloned().flatten()))
}

/// Gaps that ended within the time that is asked for, and those that have not ended.
fn absences(
    sql: &Connection,
    memory: &Memory,
    query: &ChangesQuery,
    within: &str,
) -> Step<HashMap<HostId, Vec<Absence>>> {
    let mut absences: HashMap<HostId, Vec<Absence>> = HashMap::new();
    let Some(silent_before) = query.silent_before() else { return Ok(absences) };
    let mut statement = sql.prepare_cached(&format!(
        "SELECT h.id, g.since, g.until FROM host_gap g JOIN host h ON h.no = g.host WHERE g.until >= ?1 AND {within}"
    ))?;
    let mut rows = statement.query([query.since.millis()])?;
    while let Some(found) = rows.next()? {
        let absence = Absence { since: row::instant(found, 1)?, until: Some(row::instant(found, 2)?), left: None };
        absences.entry(row::host_id(found, 0)?).or_default().push(absence);
    }
    let left = decision_sql::left_at("?2", "e.last_seen");
    let mut statement = sql.prepare_cached(&format!(
        "SELECT h.id, e.last_seen, {left} FROM host_check_in e JOIN host h ON h.no = e.host WHERE e.last_seen < ?1 AND {within}"
    ))?;
    let mut rows = statement.query([silent_before.millis(), query.now.millis()])?;
    while let Some(found) = rows.next()? {
        let host = row::host_id(found, 0)?;
        // A newer check-in may be only in memory yet.
        let stored = row::instant(found, 1)?;
        let since = last_seen::newest(memory, host, stored);
        if since < silent_before {
            let left = row::maybe_instant(found, 2)?.filter(|_| since == stored);
            absences.entry(host).or_default().push(Absence { since, until: None, left });
        }
    }
    Ok(absences)
}

fn read_ledger(sql: &Connection, query: &ChangesQuery, within: &str, selection: &mut Selection<'_>) -> Step<()> {
    let is_bounded = query.sites != SiteScope::All;
    let mut is_within = sql.prepare_cached(&format!("SELECT 1 FROM host h WHERE h.id = ?1 AND {within}"))?;
    let mut statement = sql.prepare_cached(LEDGER)?;
    let mut rows = statement.query([EntryKind::LanesChanged.code()])?;
    while let Some(found) = rows.next()? {
        let at = row::instant(found, 1)?;
        if selection.is_complete(at) {
            break;
        }
        if !selection.wants(at) {
            continue;
        }
        let entry = Entry::from_json(found.get_ref(2)?.as_str().map_err(|error| StoreFault::Other(error.to_string()))?);
        let entry = entry.map_err(|error| {
            let number = found.get::<_, i64>(0).unwrap_or_default();
            StoreFault::damaged(format!("ledger entry {number}"), error.to_string())
        })?;
        let (Entry::LanesChanged { mut hosts, changes, .. }, _) = entry else { continue };
        if is_bounded {
            let mut inside = Vec::new();
            for host in hosts {
                inside.extend(is_within.exists([host.as_bytes()])?.then_some(host));
            }
            hosts = inside;
        }
        selection.add_entry(at, &hosts, &changes);
    }
    Ok(())
}

/// The awake lanes of a host, by its number.
fn spans(sql: &Connection, host: i64) -> Step<Vec<LaneSpan>> {
    // The condition is in both halves: outside of them SQLite would read both tables from end to end.
    let mut statement = sql.prepare_cached(
        "SELECT o.id, v.lane, v.in_scope, v.since, v.until FROM (
             SELECT order_no, lane, in_scope, since, until FROM verdict_history WHERE host = ?1
             UNION ALL SELECT order_no, lane, in_scope, since, NULL FROM verdict WHERE host = ?1
         ) v JOIN orders o ON o.no = v.order_no",
    )?;
    let mut rows = statement.query([host])?;
    let mut spans = Vec::new();
    while let Some(found) = rows.next()? {
        spans.push(LaneSpan {
            order: row::name("an order", found, 0, OrderId::new)?,
            lane: row::member("a lane", Lane::from_code, found, 1)?,
            in_scope: found.get(2)?,
            since: row::instant(found, 3)?,
            until: row::maybe_instant(found, 4)?,
        });
    }
    Ok(spans)
}

fn name(sql: &Connection, host: HostId) -> Step<Option<(String, SiteId)>> {
    let mut statement =
        sql.prepare_cached("SELECT h.hostname, s.id FROM host h JOIN site s ON s.no = h.site WHERE h.id = ?1")?;
    let named = statement.query_row([host.as_bytes()], |found| Ok((found.get(0)?, row::site(found, 1)))).optional()?;
    named.map(|(hostname, site)| Ok((hostname, site?))).transpose()
}
