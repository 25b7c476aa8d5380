//! The tally: hosts by order and lane, updated with every verdict, so that a board need not count them.

use std::collections::HashMap;

use muster_proto::model::{Lane, OrderId, Timestamp, is_silent};
use rusqlite::Connection;

use super::fault::Step;
use super::memory::Memory;
use super::{host, row};
use crate::store::decide::settle::TallyChanges;
use crate::store::decide::tally::{self, SilentHosts, TallyRow};
use crate::store::{LaneTally, SiteScope};

/// Adds these differences.
pub(super) fn apply(sql: &Connection, changes: &TallyChanges<i64>) -> Step<()> {
    for ((order, site, lane, in_scope), n) in changes.iter().filter(|(_, n)| **n != 0) {
        let key = (order, site, lane.code(), in_scope, n);
        let change = "UPDATE tally SET hosts = hosts + ?5
                      WHERE order_no = ?1 AND site = ?2 AND lane = ?3 AND in_scope = ?4";
        if sql.prepare_cached(change)?.execute(key)? == 0 {
            let make = "INSERT INTO tally (order_no, site, lane, in_scope, hosts) VALUES (?1, ?2, ?3, ?4, ?5)";
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
    silent_before: Timestamp,
) -> Step<LaneTally> {
    let hosts = host::count(sql, scope)?;
    let Some(order) = row::find_number(sql, row::FIND_ORDER, order.as_str())? else {
        return tally::read(hosts, &[], &HashMap::new());
    };
    let within = row::within(sql, "site", scope)?;
    let find = format!(
        "SELECT lane, in_scope, sum(hosts) FROM tally WHERE order_no = ?1 AND hosts > 0 AND {within} GROUP BY lane, in_scope"
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut found = statement.query([order])?;
    let mut rows = Vec::new();
    while let Some(found) = found.next()? {
        let lane = row::member("a lane", Lane::from_code, found, 0)?;
        rows.push(TallyRow { lane, in_scope: found.get(1)?, hosts: row::count(found, 2)? });
    }
    tally::read(hosts, &rows, &silent(sql, memory, order, scope, silent_before)?)
}

/// Silent hosts in scope by awake lane. The index finds candidates; hosts whose newer check-in is only in memory are
/// dropped.
fn silent(
    sql: &Connection,
    memory: &Memory,
    order: i64,
    scope: &SiteScope,
    silent_before: Timestamp,
) -> Step<SilentHosts> {
    let within = row::within(sql, "h.site", scope)?;
    let mut statement = sql.prepare_cached(&format!(
        "SELECT h.id, v.lane FROM host_check_in e JOIN host h ON h.no = e.host
         LEFT JOIN verdict v ON v.host = e.host AND v.order_no = ?1
         WHERE e.last_seen < ?2 AND coalesce(v.in_scope, 1) = 1 AND {within}"
    ))?;
    let mut rows = statement.query((order, silent_before.millis()))?;
    let mut silent = HashMap::new();
    while let Some(found) = rows.next()? {
        let seen = memory.seen(row::host_id(found, 0)?);
        if seen.is_none_or(|seen| is_silent(Some(seen.last_seen), silent_before)) {
            *silent.entry(row::maybe_lane(found, 1)?).or_default() += 1;
        }
    }
    Ok(silent)
}
