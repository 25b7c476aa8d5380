//! The tally: hosts by order and lane, updated with every verdict, so that a board need not count them.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{EntryState, Lane, OrderId, Platform, Timestamp, is_silent};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::memory::Memory;
use super::{decisions, host, row};
use crate::store::decide::decided::DecidedHosts;
use crate::store::decide::settle::{TallyChanges, TallyKey};
use crate::store::decide::tally::{self, Instants, SilentHosts, TallyRow};
use crate::store::{EntryCount, FleetTally, SiteScope};

/// Adds these differences.
pub(super) fn apply(sql: &Connection, changes: &TallyChanges<i64>) -> Step<()> {
    for (key, n) in changes.iter().filter(|(_, n)| **n != 0) {
        let key = (key.order, key.site, key.lane.code(), key.in_scope, key.is_listed, n);
        let change = "UPDATE tally SET hosts = hosts + ?6
                      WHERE order_no = ?1 AND site = ?2 AND lane = ?3 AND in_scope = ?4 AND listed = ?5";
        if sql.prepare_cached(change)?.execute(key)? == 0 {
            let make =
                "INSERT INTO tally (order_no, site, lane, in_scope, listed, hosts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            sql.prepare_cached(make)?.execute(key)?;
        }
    }
    Ok(())
}

pub(super) fn read(
    sql: &Connection,
    memory: &Memory,
    order: &OrderId,
    scope: &SiteScope,
    instants: Instants,
) -> Step<FleetTally> {
    let hosts = host::count(sql, scope)?;
    // No verdict has the number 0: hosts can be retired before the first of them is judged under the order.
    let number = row::find_number(sql, row::FIND_ORDER, order.as_str())?.unwrap_or(0);
    let decided = decisions::of_tally(sql, memory, (order, number), scope, instants)?;
    let order = number;
    let within = row::within(sql, "site", scope)?;
    let find = format!(
        "SELECT lane, in_scope, listed, sum(hosts) FROM tally WHERE order_no = ?1 AND hosts > 0 AND {within}
         GROUP BY lane, in_scope, listed"
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut found = statement.query([order])?;
    let mut rows = Vec::new();
    while let Some(found) = found.next()? {
        let lane = row::member("a lane", Lane::from_code, found, 0)?;
        let hosts = row::count(found, 3)?;
        rows.push(TallyRow { lane, in_scope: found.get(1)?, is_listed: found.get(2)?, hosts });
    }
    let silent = silent(sql, memory, order, scope, instants.silent_before, &decided)?;
    tally::fleet(hosts, &rows, &silent, &decided.counts(), entries(sql, scope)?)
}

/// The entries of the roster at these sites. Those whose site nobody knows are for readers of all sites.
fn entries(sql: &Connection, scope: &SiteScope) -> Step<Vec<EntryCount>> {
    let mut statement = sql.prepare_cached(tally::ENTRIES)?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(found) = rows.next()? {
        let (site, platform): (String, u8) = (found.get(1)?, found.get(2)?);
        let count = EntryCount {
            state: row::member("an entry of the roster", EntryState::from_code, found, 0)?,
            site: if site.is_empty() { None } else { Some(row::site(found, 1)?) },
            platform: Platform::from_code(platform),
            entries: row::count(found, 3)?,
        };
        counts.extend(Some(count).filter(|count| count.is_of(scope)));
    }
    Ok(counts)
}

/// What a host whose row in or out of the roster changes takes along in the tally: its verdicts.
pub(super) fn list(sql: &Connection, hosts: &BTreeMap<i64, bool>) -> Step<()> {
    let mut changes = TallyChanges::new();
    for (host, is_listed) in hosts {
        let change = "UPDATE host SET listed = ?2 WHERE no = ?1 AND listed <> ?2 RETURNING site";
        let site: Option<i64> =
            sql.prepare_cached(change)?.query_row((host, is_listed), |row| row.get(0)).optional()?;
        let Some(site) = site else { continue };
        let mut statement = sql.prepare_cached("SELECT order_no, lane, in_scope FROM verdict WHERE host = ?1")?;
        let mut rows = statement.query([host])?;
        while let Some(found) = rows.next()? {
            let lane = row::member("a lane", Lane::from_code, found, 1)?;
            let key = TallyKey { order: found.get(0)?, site, lane, in_scope: found.get(2)?, is_listed: *is_listed };
            *changes.entry(key).or_default() += 1;
            *changes.entry(TallyKey { is_listed: !is_listed, ..key }).or_default() -= 1;
        }
    }
    apply(sql, &changes)
}

/// Moves hosts to other sites; they take along their verdicts in the tally.
pub(super) fn relocate(sql: &Connection, hosts: &BTreeMap<i64, i64>) -> Step<()> {
    let (mut changes, mut sites) = (TallyChanges::new(), BTreeMap::<i64, i64>::new());
    for (host, site) in hosts {
        let find = "SELECT site, listed FROM host WHERE no = ?1 AND site <> ?2";
        let found: Option<(i64, bool)> =
            sql.prepare_cached(find)?.query_row((host, site), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((before, is_listed)) = found else { continue };
        sql.prepare_cached("UPDATE host SET site = ?2 WHERE no = ?1")?.execute((host, site))?;
        *sites.entry(before).or_default() -= 1;
        *sites.entry(*site).or_default() += 1;
        let mut statement = sql.prepare_cached("SELECT order_no, lane, in_scope FROM verdict WHERE host = ?1")?;
        let mut rows = statement.query([host])?;
        while let Some(found) = rows.next()? {
            let lane = row::member("a lane", Lane::from_code, found, 1)?;
            let key = TallyKey { order: found.get(0)?, site: *site, lane, in_scope: found.get(2)?, is_listed };
            *changes.entry(key).or_default() += 1;
            *changes.entry(TallyKey { site: before, ..key }).or_default() -= 1;
        }
    }
    apply(sql, &changes)?;
    for (site, hosts) in sites {
        let count = "INSERT INTO site_hosts (site, hosts) VALUES (?1, max(?2, 0))
                     ON CONFLICT (site) DO UPDATE SET hosts = hosts + ?2";
        sql.prepare_cached(count)?.execute((site, hosts))?;
    }
    Ok(())
}

/// Silent hosts in scope by awake lane, without those about which something is decided. The index finds candidates; hosts whose newer
/// check-in is only in memory are dropped.
fn silent(
    sql: &Connection,
    memory: &Memory,
    order: i64,
    scope: &SiteScope,
    silent_before: Timestamp,
    decided: &DecidedHosts<i64>,
) -> Step<SilentHosts> {
    let within = row::within(sql, "h.site", scope)?;
    let mut statement = sql.prepare_cached(&format!(
        "SELECT h.id, v.lane, h.listed, h.no FROM host_check_in e JOIN host h ON h.no = e.host
         LEFT JOIN verdict v ON v.host = e.host AND v.order_no = ?1
         WHERE e.last_seen < ?2 AND coalesce(v.in_scope, 1) = 1 AND {within}"
    ))?;
    let mut rows = statement.query((order, silent_before.millis()))?;
    let mut silent = HashMap::new();
    while let Some(found) = rows.next()? {
        if decided.contains(&found.get(3)?) {
            continue;
        }
        let seen = memory.seen(row::host_id(found, 0)?);
        if seen.is_none_or(|seen| is_silent(Some(seen.last_seen), silent_before)) {
            *silent.entry((row::maybe_lane(found, 1)?, found.get(2)?)).or_default() += 1;
        }
    }
    Ok(silent)
}
