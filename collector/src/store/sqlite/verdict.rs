//! Verdicts as readers see them.

use std::collections::HashMap;

use muster_proto::model::{Lane, OrderId, Presence, Protection};
use rusqlite::Connection;

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::{row, walk};
use crate::judge::Remediation;
use crate::store::StoredVerdict;

/// Orders under which a host has a verdict.
pub(super) fn orders_of_host(sql: &Connection, host: i64) -> Step<Vec<OrderId>> {
    let mut statement =
        sql.prepare_cached("SELECT o.id FROM verdict v JOIN orders o ON o.no = v.order_no WHERE v.host = ?1")?;
    let mut rows = statement.query([host])?;
    let mut orders = Vec::new();
    while let Some(found) = rows.next()? {
        orders.push(row::name("an order", found, 0, OrderId::new)?);
    }
    Ok(orders)
}

/// The verdicts of these hosts, whose numbers are ascending, in the order of the orders' ids.
pub(super) fn of_hosts(sql: &Connection, memory: &Memory, hosts: &[i64]) -> Step<HashMap<i64, Vec<StoredVerdict>>> {
    let orders = orders(sql)?;
    let mut remediations: HashMap<(i64, i64), Remediation> = HashMap::new();
    let find = "SELECT host, order_no, record FROM host_remediation WHERE host >= ?1 ORDER BY host, order_no";
    walk::rows_of(sql, find, hosts, |host, found, is_wanted| {
        if is_wanted {
            let record = row::from_json("a remediation record", &found.get::<_, String>(2)?)?;
            remediations.insert((host, found.get(1)?), record);
        }
        Ok(())
    })?;
    let mut verdicts: HashMap<i64, Vec<StoredVerdict>> = HashMap::new();
    let find = "SELECT host, order_no, lane, in_scope, presence, protection, due, since, reason, advice FROM verdict
                WHERE host >= ?1 ORDER BY host, order_no";
    walk::rows_of(sql, find, hosts, |host, found, is_wanted| {
        if !is_wanted {
            return Ok(());
        }
        let order: i64 = found.get(1)?;
        let phrases = &memory.dictionaries().phrases;
        verdicts.entry(host).or_default().push(StoredVerdict {
            order: orders
                .get(&order)
                .cloned()
                .ok_or_else(|| StoreFault::damaged("a verdict", "its order is not there"))?,
            awake_lane: row::member("a lane", Lane::from_code, found, 2)?,
            in_scope: found.get(3)?,
            presence: row::member("a presence", Presence::from_code, found, 4)?,
            protection: row::member("a protection", Protection::from_code, found, 5)?,
            due: row::maybe_instant(found, 6)?,
            since: row::instant(found, 7)?,
            reason: phrases.words(found.get(8)?)?,
            advice: phrases.words(found.get(9)?)?,
            remediation: remediations.remove(&(host, order)).unwrap_or_default(),
        });
        Ok(())
    })?;
    verdicts.values_mut().for_each(|verdicts| verdicts.sort_by(|a, b| a.order.cmp(&b.order)));
    Ok(verdicts)
}

/// The ids of all orders. There are a few dozen.
fn orders(sql: &Connection) -> Step<HashMap<i64, OrderId>> {
    let mut statement = sql.prepare_cached("SELECT no, id FROM orders")?;
    let mut rows = statement.query([])?;
    let mut orders = HashMap::new();
    while let Some(found) = rows.next()? {
        orders.insert(found.get(0)?, row::name("an order", found, 1, OrderId::new)?);
    }
    Ok(orders)
}
