//! Hosts by lane: kept with every verdict, so that a board costs nothing. Silence is added when it is read.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{Lane, OrderId, Timestamp};
use rusqlite::Connection;

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::{host, row};
use crate::store::LaneTally;

/// Adds these differences.
pub(super) fn apply(sql: &Connection, changes: &HashMap<(i64, Lane, bool), i64>) -> Step<()> {
    for ((order, lane, in_scope), n) in changes.iter().filter(|(_, n)| **n != 0) {
        let key = (order, lane.code(), in_scope, n);
        let changed = sql
            .prepare_cached("UPDATE tally SET hosts = hosts + ?4 WHERE order_no = ?1 AND lane = ?2 AND in_scope = ?3")?
            .execute(key)?;
        if changed == 0 {
            sql.prepare_cached("INSERT INTO tally (order_no, lane, in_scope, hosts) VALUES (?1, ?2, ?3, ?4)")?
                .execute(key)?;
        }
    }
    Ok(())
}

pub(super) fn read(sql: &Connection, memory: &Memory, order: &OrderId, silent_before: Timestamp) -> Step<LaneTally> {
    let hosts = host::count(sql)?;
    let mut tally = LaneTally { unjudged: hosts, ..LaneTally::default() };
    let Some(order) = row::find_number(sql, row::FIND_ORDER, order.as_str())? else { return Ok(tally) };
    let mut statement =
        sql.prepare_cached("SELECT lane, in_scope, hosts FROM tally WHERE order_no = ?1 AND hosts > 0")?;
    let mut rows = statement.query([order])?;
    let mut judged = 0;
    let mut awake: BTreeMap<Lane, u64> = BTreeMap::new();
    while let Some(found) = rows.next()? {
        let n = row::count(found, 2)?;
        judged += n;
        if found.get(1)? {
            awake.insert(row::member("a lane", Lane::from_code, found, 0)?, n);
        } else {
            tally.out_of_scope += n;
        }
    }
    tally.unjudged = hosts.saturating_sub(judged);
    let silent = silent(sql, memory, order, silent_before)?;
    for (lane, n) in awake {
        let asleep = silent.get(&lane).copied().unwrap_or(0);
        let awake = n.checked_sub(asleep).ok_or_else(|| {
            StoreFault::damaged("the tally", format!("lane {lane} has {n} hosts, and {asleep} of them are silent"))
        })?;
        for (is_silent, n) in [(false, awake), (true, asleep)] {
            if n > 0 {
                tally.in_scope.insert((lane, is_silent), n);
            }
        }
    }
    Ok(tally)
}

/// Silent hosts in scope by lane: by an index on last seen, then without those whom only the memory has seen.
fn silent(sql: &Connection, memory: &Memory, order: i64, silent_before: Timestamp) -> Step<HashMap<Lane, u64>> {
    let mut statement = sql.prepare_cached(
        "SELECT h.id, v.lane FROM host_check_in e JOIN verdict v ON v.host = e.host AND v.order_no = ?1
         JOIN host h ON h.no = e.host WHERE e.last_seen < ?2 AND v.in_scope = 1",
    )?;
    let mut rows = statement.query((order, silent_before.millis()))?;
    let mut silent = HashMap::new();
    while let Some(found) = rows.next()? {
        let seen = memory.seen(row::host_id(found, 0)?);
        if seen.is_none_or(|seen| seen.last_seen < silent_before) {
            *silent.entry(row::member("a lane", Lane::from_code, found, 1)?).or_default() += 1;
        }
    }
    Ok(silent)
}
