//! Settling: loads what is stored of each judged host, has the changes decided, and writes them with one prepared
//! statement for each table.

use std::collections::{BTreeMap, HashMap};

use muster_proto::convert::stored;
use muster_proto::model::{Cause, Digest, Lane, OrderId, Presence, Protection, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::writer::WriteContext;
use super::{attest, ledger, row, section_hits, tally};
use crate::ledger::actor::ActorId;
use crate::store::decide::settle::{Changes, HostNumbers, Judged, JudgedState, Numbers as _, VerdictRow};
use crate::store::{Judgement, Settlement, decide};

/// Numbers of everything that a settlement names.
struct Numbers<'a> {
    memory: &'a Memory,
    orders: HashMap<&'a str, i64>,
    rules: i64,
}

/// The statements that read what is stored of a host. They are prepared once, because a settlement has many hosts.
struct HostReader<'s> {
    /// All orders, by their numbers.
    orders: HashMap<i64, OrderId>,
    host: CachedStatement<'s>,
    verdicts: CachedStatement<'s>,
    ended: CachedStatement<'s>,
    remediations: CachedStatement<'s>,
}

impl<'a> Numbers<'a> {
    fn of(sql: &Connection, memory: &'a Memory, settlement: &'a Settlement) -> Step<Self> {
        let mut orders = HashMap::new();
        for judged in settlement.judgements.iter().flat_map(|judgement| &judgement.orders) {
            let id = judged.order.as_str();
            if !orders.contains_key(id) {
                orders.insert(id, row::order_number(sql, id)?);
            }
        }
        Ok(Self { memory, orders, rules: row::rules_number(sql, &settlement.rules_version)? })
    }
}

impl decide::settle::Numbers<i64> for Numbers<'_> {
    fn order(&self, id: &OrderId) -> Step<i64> {
        self.orders.get(id.as_str()).copied().ok_or_else(|| StoreFault::Other(format!("order {id} has no number")))
    }

    fn phrase(&self, text: &str) -> Step<i64> {
        Ok(self.memory.dictionaries().phrase(text))
    }

    fn rules(&self) -> i64 {
        self.rules
    }
}

pub(super) fn settle(context: &mut WriteContext<'_>, settlement: &Settlement) -> Step<()> {
    let Settlement { judgements, hits, rules_version, now, .. } = settlement;
    let (sql, now) = (context.sql, *now);
    let numbers = Numbers::of(sql, context.memory, settlement)?;
    // Hits belong to sections and rules, so they are right even if no judgement counts.
    section_hits::hits_put(sql, hits, numbers.rules)?;
    let mut reader = HostReader::new(sql)?;
    let mut changes = Changes::new(now);
    let (mut judged, mut settled) = (Vec::new(), Vec::new());
    for judgement in judgements {
        let Some(no) = context.memory.host_no(judgement.host) else { continue };
        // Also if the judgement does not count: the claim on its ticket is over.
        settled.push((no, judgement.ticket.cast_signed()));
        let Some(host) = reader.host(no)? else { continue };
        // The rest is loaded only for judgements that count.
        if changes.is_newest(no, judgement, host.ticket) {
            let numbers_of_host = host.numbers;
            let before = reader.rest(host, judgement, &numbers)?;
            changes.judge(numbers_of_host, judgement, before, &numbers)?;
            judged.push(judgement.host);
        }
    }
    write(sql, &changes, numbers.rules)?;
    let attested = attest::attest(sql, &changes.attestations, settlement)?;
    for entry in changes.ledger.into_entries(rules_version).chain(attested) {
        ledger::write(sql, now, &ActorId::Judge, &entry)?;
    }
    context.after_commit(move |memory| {
        judged.into_iter().for_each(|host| memory.judged(host, now));
        let mut queue = memory.queue();
        settled.into_iter().for_each(|(host, ticket)| queue.remove(host, ticket));
    });
    Ok(())
}

/// What the row of a host says of its judgement.
struct LoadedHost {
    numbers: HostNumbers<i64>,
    /// With which it waits.
    ticket: Option<u64>,
    enrolled_at: Timestamp,
    /// What was judged last of its state.
    state: Option<JudgedState<i64>>,
    /// The rules that judged it last.
    rules: Option<i64>,
}

impl<'s> HostReader<'s> {
    fn new(sql: &'s Connection) -> Step<Self> {
        let mut all = sql.prepare_cached("SELECT no, id FROM orders")?;
        let mut rows = all.query([])?;
        let mut orders = HashMap::new();
        while let Some(found) = rows.next()? {
            orders.insert(found.get(0)?, row::name("an order", found, 1, OrderId::new)?);
        }
        Ok(Self {
            orders,
            host: sql.prepare_cached(
                "SELECT h.ticket, h.judged_state, h.state_since, j.state_key, h.site, h.enrolled_at, h.judged_rules, h.listed
                 FROM host h LEFT JOIN judged_state j ON j.no = h.judged_state WHERE h.no = ?1",
            )?,
            verdicts: sql.prepare_cached(
                "SELECT order_no, lane, in_scope, presence, protection, due, since, reason, advice, cause
                 FROM verdict WHERE host = ?1",
            )?,
            ended: sql
                .prepare_cached("SELECT order_no, max(until) FROM verdict_history WHERE host = ?1 GROUP BY order_no")?,
            remediations: sql.prepare_cached("SELECT order_no, record FROM host_remediation WHERE host = ?1")?,
        })
    }

    fn host(&mut self, host: i64) -> Step<Option<LoadedHost>> {
        let mut rows = self.host.query([host])?;
        let Some(found) = rows.next()? else { return Ok(None) };
        let state = match (found.get(1)?, row::maybe_instant(found, 2)?, found.get::<_, Option<[u8; 32]>>(3)?) {
            (Some(no), Some(since), Some(key)) => Some(JudgedState { no, key: Digest::from_bytes(key), since }),
            _ => None,
        };
        Ok(Some(LoadedHost {
            numbers: HostNumbers { no: host, site: found.get(4)?, is_listed: found.get(7)? },
            ticket: found.get::<_, Option<i64>>(0)?.map(i64::cast_unsigned),
            enrolled_at: row::instant(found, 5)?,
            rules: found.get(6)?,
            state,
        }))
    }

    fn rest(&mut self, host: LoadedHost, judgement: &Judgement, numbers: &Numbers<'_>) -> Step<Judged<i64>> {
        let LoadedHost { numbers: HostNumbers { no: host, .. }, ticket, enrolled_at, state, rules } = host;
        let verdicts = self.verdicts(host)?;
        let mut has_new = false;
        for judged in &judgement.orders {
            has_new |= !verdicts.contains_key(&numbers.order(&judged.order)?);
        }
        // An older history matters only to an order without a verdict.
        let ended = if has_new { self.ended(host)? } else { BTreeMap::new() };
        let remediations = self.remediations.query_map([host], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let remediations = remediations.collect::<Result<_, _>>()?;
        Ok(Judged { ticket, rules, enrolled_at, verdicts, ended, remediations, state })
    }

    fn verdicts(&mut self, host: i64) -> Step<BTreeMap<i64, (OrderId, VerdictRow<i64>)>> {
        let mut rows = self.verdicts.query([host])?;
        let mut verdicts = BTreeMap::new();
        while let Some(found) = rows.next()? {
            let order = found.get(0)?;
            let unknown = || StoreFault::damaged(format!("verdict under order {order}"), "there is no such order");
            let id = self.orders.get(&order).cloned().ok_or_else(unknown)?;
            let verdict = VerdictRow {
                lane: row::member("a lane", Lane::from_code, found, 1)?,
                in_scope: found.get(2)?,
                presence: row::member("a presence", Presence::from_code, found, 3)?,
                protection: row::member("a protection", Protection::from_code, found, 4)?,
                due: row::maybe_instant(found, 5)?,
                since: row::instant(found, 6)?,
                reason: found.get(7)?,
                advice: found.get(8)?,
                cause: row::member("a cause", Cause::from_code, found, 9)?,
            };
            verdicts.insert(order, (id, verdict));
        }
        Ok(verdicts)
    }

    fn ended(&mut self, host: i64) -> Step<BTreeMap<i64, Timestamp>> {
        let ended = self.ended.query_map([host], |row| Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?))))?;
        Ok(ended.collect::<Result<_, _>>()?)
    }
}

fn write(sql: &Connection, changes: &Changes<'_, i64>, rules: i64) -> Step<()> {
    write_verdicts(sql, changes)?;
    let mut statement = sql.prepare_cached(
        "INSERT INTO verdict_history (host, order_no, since, until, lane, in_scope, cause)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for old in &changes.history {
        let (since, until) = (old.since.millis(), old.until.millis());
        statement.execute((old.host, old.order, since, until, old.lane.code(), old.in_scope, old.cause.code()))?;
    }
    let mut statement = sql.prepare_cached(
        "INSERT INTO host_remediation (host, order_no, unprotected_since, record) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (host, order_no) DO UPDATE SET unprotected_since = excluded.unprotected_since,
             record = excluded.record",
    )?;
    for (host, order, new) in &changes.remediations {
        statement.execute((host, order, new.unprotected_since.map(Timestamp::millis), &new.record))?;
    }
    let mut statement = sql.prepare_cached("DELETE FROM host_remediation WHERE host = ?1 AND order_no = ?2")?;
    for (host, order) in &changes.forgotten {
        statement.execute((host, order))?;
    }
    let mut statement =
        sql.prepare_cached("INSERT INTO duty_pending (host, order_no) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for (host, order) in &changes.duties_pending {
        statement.execute((host, order))?;
    }
    write_hosts(sql, changes, rules)?;
    tally::apply(sql, &changes.tally)
}

fn write_verdicts(sql: &Connection, changes: &Changes<'_, i64>) -> Step<()> {
    let mut statement = sql.prepare_cached(
        "INSERT INTO verdict (host, order_no, lane, in_scope, presence, protection, due, since, reason, advice, cause)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (host, order_no) DO UPDATE SET lane = excluded.lane, in_scope = excluded.in_scope,
             presence = excluded.presence, protection = excluded.protection, due = excluded.due,
             since = excluded.since, reason = excluded.reason, advice = excluded.advice, cause = excluded.cause",
    )?;
    for (host, order, verdict) in &changes.verdicts {
        statement.execute((
            host,
            order,
            verdict.lane.code(),
            verdict.in_scope,
            verdict.presence.code(),
            verdict.protection.code(),
            verdict.due.map(Timestamp::millis),
            verdict.since.millis(),
            verdict.reason,
            verdict.advice,
            verdict.cause.code(),
        ))?;
    }
    let mut statement = sql.prepare_cached("DELETE FROM verdict WHERE host = ?1 AND order_no = ?2")?;
    for (host, order) in &changes.withdrawn {
        statement.execute((host, order))?;
    }
    Ok(())
}

/// Takes the hosts off the judge queue, and writes what was judged of their states.
fn write_hosts(sql: &Connection, changes: &Changes<'_, i64>, rules: i64) -> Step<()> {
    let mut statement = sql.prepare_cached("INSERT INTO host_state (host, since, judged_state) VALUES (?1, ?2, ?3)")?;
    for (host, state, since) in &changes.state_history {
        statement.execute((host, since.millis(), state))?;
    }
    let mut statement = sql.prepare_cached(
        "UPDATE host SET ticket = NULL, queued_at = NULL, judged_at = ?2, judged_rules = ?3 WHERE no = ?1",
    )?;
    for host in &changes.hosts {
        statement.execute((host, changes.now.millis(), rules))?;
    }
    // Apart, because a state has an index that every statement which names it writes.
    let mut statement = sql.prepare_cached("UPDATE host SET judged_state = ?2, state_since = ?3 WHERE no = ?1")?;
    for (host, (key, since)) in &changes.states {
        statement.execute((host, judged_state(sql, *host, key)?, since.millis()))?;
    }
    Ok(())
}

/// The number of a judged state; made from the state of this host when it is new.
fn judged_state(sql: &Connection, host: i64, key: &Digest) -> Step<i64> {
    let find = "SELECT no FROM judged_state WHERE state_key = ?1";
    let known: Option<i64> = sql.prepare_cached(find)?.query_row([key.as_bytes()], |row| row.get(0)).optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let find = "SELECT state FROM host WHERE no = ?1";
    let present = sql.prepare_cached(find)?.query_row([host], |row| Ok(row::state(row, 0)))??;
    sql.prepare_cached("INSERT INTO judged_state (state_key, state) VALUES (?1, ?2)")?
        .execute((key.as_bytes(), stored::state_bytes(&present.shared())))?;
    Ok(sql.last_insert_rowid())
}
