//! The judge queue. A host that waits has a ticket in its row, written in the transaction that made it wait. A claim is
//! only in memory: if the process that holds it ends, the host still waits.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::model::{Digest, HostId, HostMark, OrderId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::memory::Memory;
use super::writer::WriteContext;
use super::{facts, last_seen, ledger, row, verdict};
use crate::judge::Remediation;
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry;
use crate::store::decide::labels;
use crate::store::{QueueDepth, QueuedHost};

/// An older claim is given to another judge: its holder is stuck.
const CLAIM_LASTS: Duration = Duration::from_secs(60);

/// Puts a host on the judge queue. A host that waits already keeps its place and gets a new ticket, so that a judgement
/// of its earlier snapshot is not written.
pub(super) fn put(context: &mut WriteContext<'_>, host: i64, now: Timestamp) -> Step<()> {
    let ticket = context.memory.next_ticket();
    context
        .sql
        .prepare_cached("UPDATE host SET ticket = ?2, queued_at = coalesce(queued_at, ?3) WHERE no = ?1")?
        .execute((host, ticket, now.millis()))?;
    requeued(context, host, ticket, now);
    Ok(())
}

/// After the commit, the memory's queue takes over a ticket that was written to the row of a host, and the judge wakes.
pub(super) fn requeued(context: &mut WriteContext<'_>, host: i64, ticket: i64, now: Timestamp) {
    context.after_commit(move |memory| {
        memory.queue().put(host, ticket, now);
        memory.queue_notify().notify_one();
    });
}

/// Claims hosts whose present ticket nobody has claimed, oldest first.
pub(super) fn claim(sql: &Connection, memory: &Memory, most: usize, now: Timestamp) -> Step<Vec<QueuedHost>> {
    // Claimed before the first read of the transaction, so the rows are at least as new as the tickets.
    let tickets = memory.queue().claim(most, now, CLAIM_LASTS);
    hosts(sql, memory, &tickets)
}

/// Hosts with row numbers after this one, at most `most`, with all that judging them needs. They need not wait, and their
/// tickets are 0. Also returns the last of the numbers.
pub(super) fn page(sql: &Connection, memory: &Memory, after: i64, most: usize) -> Step<(Vec<QueuedHost>, Option<i64>)> {
    let mut statement = sql.prepare_cached("SELECT no FROM host WHERE no > ?1 ORDER BY no LIMIT ?2")?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let numbers = statement.query_map((after, most), |row| Ok((row.get(0)?, 0)))?;
    let numbers: Vec<(i64, i64)> = numbers.collect::<Result<_, _>>()?;
    Ok((hosts(sql, memory, &numbers)?, numbers.last().map(|(no, _)| *no)))
}

/// Hosts by their row numbers, with their tickets.
fn hosts(sql: &Connection, memory: &Memory, tickets: &[(i64, i64)]) -> Step<Vec<QueuedHost>> {
    let find = format!(
        "SELECT h.id, s.id, h.state, l.digest, h.snapshot_since, e.last_seen, h.ticket,
                EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = ?2),
                (SELECT group_concat(x.label, ' ') FROM host_label x WHERE x.host = h.no AND x.until IS NULL), {}
         FROM host h JOIN site s ON s.no = h.site JOIN host_check_in e ON e.host = h.no LEFT JOIN snapshot l ON l.no = h.snapshot
         WHERE h.no = ?1",
        facts::COLUMNS
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut claimed = Vec::with_capacity(tickets.len());
    for &(no, ticket) in tickets {
        let mut rows = statement.query((no, HostMark::TwoHolders.code()))?;
        let Some(found) = rows.next()? else { continue };
        let id: HostId = row::host_id(found, 0)?;
        let snapshot = match found.get::<_, Option<[u8; 32]>>(3)? {
            Some(digest) => Some((Digest::from_bytes(digest), row::instant(found, 4)?)),
            None => None,
        };
        claimed.push(QueuedHost {
            host: id,
            site: row::site(found, 1)?,
            facts: facts::facts(found, 9, memory.dictionaries())?,
            state: row::state(found, 2)?,
            snapshot,
            last_seen: Some(last_seen::newest(memory, id, row::instant(found, 5)?)),
            remediations: remediations(sql, no)?,
            has_two_holders: found.get(7)?,
            labels: labels::read(&found.get::<_, Option<String>>(8)?.unwrap_or_default())?,
            ticket: ticket.cast_unsigned(),
        });
    }
    Ok(claimed)
}

fn remediations(sql: &Connection, host: i64) -> Step<BTreeMap<OrderId, Remediation>> {
    let mut statement = sql.prepare_cached(
        "SELECT o.id, r.record FROM host_remediation r JOIN orders o ON o.no = r.order_no WHERE r.host = ?1",
    )?;
    let mut rows = statement.query([host])?;
    let mut remediations = BTreeMap::new();
    while let Some(found) = rows.next()? {
        let remediation = row::from_json("a remediation record", &found.get::<_, String>(1)?)?;
        remediations.insert(row::name("an order", found, 0, OrderId::new)?, remediation);
    }
    // An order that has judged the host has an entry even if there is nothing to remember.
    for judged in verdict::orders_of_host(sql, host)? {
        remediations.entry(judged).or_default();
    }
    Ok(remediations)
}

pub(super) fn depth(memory: &Memory) -> QueueDepth {
    let (waiting, oldest) = memory.queue().depth();
    QueueDepth { waiting: waiting as u64, oldest }
}

/// Puts every host on the judge queue if these rules are not the ones adopted last; says whether it did.
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
    sql.prepare_cached("INSERT INTO rule_period (from_at, version) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute((now.millis(), rules_version))?;
    // One ticket for all hosts will do, because a ticket is compared only with that of the same host.
    let ticket = context.memory.next_ticket();
    sql.prepare_cached("UPDATE host SET ticket = ?1, queued_at = coalesce(queued_at, ?2)")?
        .execute((ticket, now.millis()))?;
    let mut statement = sql.prepare_cached("SELECT no FROM host")?;
    let hosts: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    context.after_commit(move |memory| {
        let mut queue = memory.queue();
        hosts.into_iter().for_each(|host| queue.put(host, ticket, now));
        // The judge that wakes takes this lock first.
        drop(queue);
        memory.queue_notify().notify_one();
    });
    ledger::write(sql, now, &ActorId::Rules, &Entry::RulesAdopted { from: adopted, to: rules_version.to_owned() })?;
    Ok(true)
}
