//! Verdicts as readers see them.

use muster_proto::model::{Lane, OrderId, Presence, Protection};
use rusqlite::Connection;

use super::fault::Step;
use super::memory::Memory;
use super::row;
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

/// The verdicts of a host, in the order of the orders' ids.
pub(super) fn of_host(sql: &Connection, memory: &Memory, host: i64) -> Step<Vec<StoredVerdict>> {
    let mut statement = sql.prepare_cached(
        "SELECT o.id, v.lane, v.in_scope, v.presence, v.protection, v.due, v.since,
                v.reason, v.advice, (SELECT version FROM rules WHERE no = v.rules),
                (SELECT record FROM host_remediation r WHERE r.host = v.host AND r.order_no = v.order_no)
         FROM verdict v JOIN orders o ON o.no = v.order_no WHERE v.host = ?1 ORDER BY o.id",
    )?;
    let mut rows = statement.query([host])?;
    let mut verdicts = Vec::new();
    while let Some(found) = rows.next()? {
        let remediation = match found.get::<_, Option<String>>(10)? {
            Some(text) => row::from_json("a remediation record", &text)?,
            None => Remediation::default(),
        };
        verdicts.push(StoredVerdict {
            order: row::name("an order", found, 0, OrderId::new)?,
            awake_lane: row::member("a lane", Lane::from_code, found, 1)?,
            in_scope: found.get(2)?,
            presence: row::member("a presence", Presence::from_code, found, 3)?,
            protection: row::member("a protection", Protection::from_code, found, 4)?,
            due: row::maybe_instant(found, 5)?,
            since: row::instant(found, 6)?,
            reason: memory.dictionaries().phrases.words(found.get(7)?)?,
            advice: memory.dictionaries().phrases.words(found.get(8)?)?,
            remediation,
            rules_version: found.get(9)?,
        });
    }
    Ok(verdicts)
}
