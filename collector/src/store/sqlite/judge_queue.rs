//! Hosts that wait for judgement. Being on the judge queue is a ticket in the host's row, written with the operation that put the
//! host there; a claim is only in memory: it ends with the process that holds it, and then the host is simply still
//! waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::model::{Digest, HostId, OrderId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::memory::Memory;
use super::writer::WriteContext;
use super::{facts, host, ledger, row, verdict};
use crate::judge::Remediation;
use crate::ledger::entry::Entry;
use crate::store::{QueueDepth, QueuedHost};

/// A claim that is older is given to another: its holder is stuck.
const CLAIM_LASTS: Duration = Duration::from_secs(60);

/// Puts a host on the judge queue. One that waits already keeps its place and gets a new ticket, so that a judgement of what
/// was before is not written.
pub(super) fn put(context: &mut WriteContext<'_>, host: i64, now: Timestamp) -> Step<()> {
    let ticket = context.memory.next_ticket();
    context
        .sql
        .prepare_cached("UPDATE host SET ticket = ?2, queued_at = coalesce(queued_at, ?3) WHERE no = ?1")?
        .execute((host, ticket, now.millis()))?;
    is_put(context, host, ticket, now);
    Ok(())
}

/// The row of a host has come to hold this ticket: so does the memory, and the judge is called.
pub(super) fn is_put(context: &mut WriteContext<'_>, host: i64, ticket: i64, now: Timestamp) {
    context.after_commit(move |memory| {
        memory.queue().put(host, ticket, now);
        memory.queue_notify().notify_one();
    });
}

/// The ticket with which a host waits.
pub(super) fn ticket(sql: &Connection, host: i64) -> Step<Option<i64>> {
    let find = "SELECT ticket FROM host WHERE no = ?1";
    Ok(sql.prepare_cached(find)?.query_row([host], |row| row.get(0))?)
}

/// Hosts that nobody has claimed with their present ticket, oldest first.
pub(super) fn claim(sql: &Connection, memory: &Memory, most: usize, now: Timestamp) -> Step<Vec<QueuedHost>> {
    let given = memory.queue().claim(most, now, CLAIM_LASTS);
    let find = format!(
        "SELECT h.id, s.id, h.state, l.digest, h.snapshot_since, e.last_seen, h.ticket, {}
         FROM host h JOIN site s ON s.no = h.site JOIN host_check_in e ON e.host = h.no LEFT JOIN snapshot l ON l.no = h.snapshot
         WHERE h.no = ?1",
        facts::COLUMNS
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut claimed = Vec::with_capacity(given.len());
    for (no, ticket) in given {
        let mut rows = statement.query([no])?;
        let Some(found) = rows.next()? else { continue };
        let id: HostId = row::host_id(found, 0)?;
        let snapshot = match found.get::<_, Option<[u8; 32]>>(3)? {
            Some(digest) => Some((Digest::from_bytes(digest), row::instant(found, 4)?)),
            None => None,
        };
        claimed.push(QueuedHost {
            host: id,
            site: row::site(found, 1)?,
            facts: facts::facts(found, 7, memory.dictionaries())?,
            state: row::state(found, 2)?,
            snapshot,
            last_seen: Some(host::last_seen(memory, id, row::instant(found, 5)?)),
            cases: cases(sql, no)?,
            ticket: ticket.cast_unsigned(),
        });
    }
    Ok(claimed)
}

fn cases(sql: &Connection, host: i64) -> Step<BTreeMap<OrderId, Remediation>> {
    let mut statement = sql.prepare_cached(
        "SELECT o.id, c.record FROM host_remediation c JOIN orders o ON o.no = c.order_no WHERE c.host = ?1",
    )?;
    let mut rows = statement.query([host])?;
    let mut cases = BTreeMap::new();
    while let Some(found) = rows.next()? {
        let case = row::from_json("a case", &found.get::<_, String>(1)?)?;
        cases.insert(row::name("an order", found, 0, OrderId::new)?, case);
    }
    // An order that has judged the host is there also when there is nothing to remember.
    for judged in verdict::orders_of_host(sql, host)? {
        cases.entry(judged).or_default();
    }
    Ok(cases)
}

pub(super) fn depth(memory: &Memory) -> QueueDepth {
    let (waiting, oldest) = memory.queue().depth();
    QueueDepth { waiting: waiting as u64, oldest }
}

/// Puts every host on the judge queue when the rules have another version than those last adopted.
pub(super) fn rules_adopt(context: &mut WriteContext<'_>, rules_version: &str, now: Timestamp) -> Step<bool> {
    let sql = context.sql;
    let adopted: Option<String> = sql
        .prepare_cached("SELECT version FROM rules WHERE adopted_at IS NOT NULL")?
        .query_row([], |row| row.get(0))
        .optional()?;
    if adopted.as_deref() == Some(rules_version) {
        return Ok(false);
    }
    sql.prepare_cached("UPDATE rules SET adopted_at = NULL WHERE adopted_at IS NOT NULL")?.execute([])?;
    let number = row::rules_number(sql, rules_version)?;
    sql.prepare_cached("UPDATE rules SET adopted_at = ?2 WHERE no = ?1")?.execute((number, now.millis()))?;
    let ticket = context.memory.next_ticket();
    sql.prepare_cached("UPDATE host SET ticket = ?1, queued_at = coalesce(queued_at, ?2)")?
        .execute((ticket, now.millis()))?;
    let mut statement = sql.prepare_cached("SELECT no FROM host")?;
    let hosts: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    context.after_commit(move |memory| {
        let mut queue = memory.queue();
        hosts.into_iter().for_each(|host| queue.put(host, ticket, now));
        drop(queue);
        memory.queue_notify().notify_one();
    });
    ledger::write(sql, now, &Entry::RulesAdopted { from: adopted, to: rules_version.to_owned() })?;
    Ok(true)
}
