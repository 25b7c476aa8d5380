//! Verdicts: current and history, the cases behind them, and the tally that is kept with them.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{Lane, OrderId, Presence, Protection, Timestamp};
use rusqlite::Connection;

use super::fault::Step;
use super::memory::Memory;
use super::writer::WriteContext;
use super::{host, ledger, row, section_hits, tally};
use crate::judge::Remediation;
use crate::ledger::entry::{LaneChange, LaneChanges};
use crate::store::{JudgedOrder, Judgement, Settlement, StoredVerdict};

/// A verdict as far as a new one is compared with it.
struct Verdict {
    id: OrderId,
    lane: Lane,
    in_scope: bool,
    since: Timestamp,
}

/// A settlement while it is written.
struct Settling<'a> {
    sql: &'a Connection,
    memory: &'a Memory,
    now: Timestamp,
    rules: i64,
    /// Numbers of orders that were asked for.
    orders: HashMap<OrderId, i64>,
    /// Changes of the tally, by order, lane and scope.
    tally: HashMap<(i64, Lane, bool), i64>,
    changes: LaneChanges,
}

pub(super) fn settle(context: &mut WriteContext<'_>, settlement: &Settlement) -> Step<()> {
    let Settlement { judgements, hits, rules_version, now } = settlement;
    let now = *now;
    let rules = row::rules_number(context.sql, rules_version)?;
    section_hits::hits_put(context.sql, hits, rules)?;
    let mut settling = Settling {
        sql: context.sql,
        memory: context.memory,
        now,
        rules,
        orders: HashMap::new(),
        tally: HashMap::new(),
        changes: LaneChanges::default(),
    };
    for judgement in judgements {
        let Some(no) = context.memory.host_no(judgement.host) else { continue };
        let ticket = judgement.ticket.cast_signed();
        let is_newest = context
            .sql
            .prepare_cached(
                "UPDATE host SET ticket = NULL, queued_at = NULL, judged_at = ?3 WHERE no = ?1 AND ticket = ?2",
            )?
            .execute((no, ticket, now.millis()))?;
        if is_newest == 1 {
            settling.write(no, judgement)?;
            let host = judgement.host;
            context.after_commit(move |memory| memory.judged(host, now));
        }
        context.after_commit(move |memory| memory.queue().remove(no, ticket));
    }
    for entry in settling.changes.into_entries(rules_version) {
        ledger::write(context.sql, now, &entry)?;
    }
    tally::apply(context.sql, &settling.tally)
}

impl Settling<'_> {
    fn write(&mut self, no: i64, judgement: &Judgement) -> Step<()> {
        let mut before = verdicts(self.sql, no)?;
        let mut changes = Vec::new();
        for judged in &judgement.orders {
            let order = self.order(&judged.order)?;
            changes.extend(self.write_order(no, order, judged, before.remove(&order))?);
            remediation_put(self.sql, no, order, &judged.case)?;
        }
        for (order, verdict) in before {
            changes.push(self.withdraw(no, order, verdict)?);
        }
        self.changes.add(judgement.host, changes);
        if let Some(key) = &judgement.state_key {
            host::state_judged(self.sql, no, key, self.now)?;
        }
        Ok(())
    }

    fn order(&mut self, id: &OrderId) -> Step<i64> {
        if let Some(known) = self.orders.get(id) {
            return Ok(*known);
        }
        let number = row::order_number(self.sql, id.as_str())?;
        self.orders.insert(id.clone(), number);
        Ok(number)
    }

    fn write_order(
        &mut self,
        no: i64,
        order: i64,
        judged: &JudgedOrder,
        before: Option<Verdict>,
    ) -> Step<Option<LaneChange>> {
        let stays = before.as_ref().filter(|old| old.lane == judged.awake_lane && old.in_scope == judged.in_scope);
        let since = match (stays, &before) {
            (Some(old), _) => old.since,
            // The history is ordered, also when the clock was set back.
            (None, Some(old)) => self.after(old),
            (None, None) => self.first_since(no, order)?,
        };
        let phrases = self.memory.dictionaries();
        self.sql
            .prepare_cached(
                "INSERT INTO verdict (host, order_no, lane, in_scope, presence, protection, due, since, reason, advice, rules)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (host, order_no) DO UPDATE SET lane = excluded.lane, in_scope = excluded.in_scope,
                     presence = excluded.presence, protection = excluded.protection, due = excluded.due,
                     since = excluded.since, reason = excluded.reason, advice = excluded.advice,
                     rules = excluded.rules",
            )?
            .execute((
                no,
                order,
                judged.awake_lane.code(),
                judged.in_scope,
                judged.presence.code(),
                judged.protection.code(),
                judged.due.map(Timestamp::millis),
                since.millis(),
                phrases.phrase(&judged.reason),
                phrases.phrase(&judged.advice),
                self.rules,
            ))?;
        if stays.is_some() {
            return Ok(None);
        }
        if let Some(old) = &before {
            self.end(no, order, old, since)?;
        }
        *self.tally.entry((order, judged.awake_lane, judged.in_scope)).or_default() += 1;
        let from = before.map(|old| old.lane);
        let (to, in_scope) = (Some(judged.awake_lane), judged.in_scope);
        Ok(Some(LaneChange { order: judged.order.clone(), from, to, in_scope }))
    }

    /// The order is no longer judged: the verdict goes, its history ends, the case stays.
    fn withdraw(&mut self, no: i64, order: i64, old: Verdict) -> Step<LaneChange> {
        self.sql.prepare_cached("DELETE FROM verdict WHERE host = ?1 AND order_no = ?2")?.execute((no, order))?;
        self.end(no, order, &old, self.after(&old))?;
        Ok(LaneChange { order: old.id, from: Some(old.lane), to: None, in_scope: old.in_scope })
    }

    /// Now, or what comes directly after the beginning of this verdict.
    fn after(&self, old: &Verdict) -> Timestamp {
        self.now.max(Timestamp::from_millis(old.since.millis().saturating_add(1)))
    }

    /// A verdict becomes history.
    fn end(&mut self, no: i64, order: i64, old: &Verdict, until: Timestamp) -> Step<()> {
        self.sql
            .prepare_cached(
                "INSERT INTO verdict_history (host, order_no, since, until, lane, in_scope) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((no, order, old.since.millis(), until.millis(), old.lane.code(), old.in_scope))?;
        *self.tally.entry((order, old.lane, old.in_scope)).or_default() -= 1;
        Ok(())
    }

    /// Since when a verdict stands that follows none: after the end of an earlier history, if there was one.
    fn first_since(&self, no: i64, order: i64) -> Step<Timestamp> {
        let find = "SELECT max(until) FROM verdict_history WHERE host = ?1 AND order_no = ?2";
        let last: Option<i64> = self.sql.prepare_cached(find)?.query_row((no, order), |row| row.get(0))?;
        Ok(last.map_or(self.now, |last| self.now.max(Timestamp::from_millis(last))))
    }
}

fn verdicts(sql: &Connection, host: i64) -> Step<BTreeMap<i64, Verdict>> {
    let mut statement = sql.prepare_cached(
        "SELECT v.order_no, v.lane, v.in_scope, v.since, o.id FROM verdict v JOIN orders o ON o.no = v.order_no WHERE v.host = ?1",
    )?;
    let mut rows = statement.query([host])?;
    let mut verdicts = BTreeMap::new();
    while let Some(found) = rows.next()? {
        let lane = row::member("a lane", Lane::from_code, found, 1)?;
        let id = row::name("an order", found, 4, OrderId::new)?;
        let verdict = Verdict { id, lane, in_scope: found.get(2)?, since: row::instant(found, 3)? };
        verdicts.insert(found.get(0)?, verdict);
    }
    Ok(verdicts)
}

/// A case with nothing in it needs no row.
fn remediation_put(sql: &Connection, host: i64, order: i64, case: &Remediation) -> Step<()> {
    if *case == Remediation::default() {
        sql.prepare_cached("DELETE FROM host_remediation WHERE host = ?1 AND order_no = ?2")?.execute((host, order))?;
    } else {
        sql.prepare_cached(
            "INSERT INTO host_remediation (host, order_no, record) VALUES (?1, ?2, ?3)
             ON CONFLICT (host, order_no) DO UPDATE SET record = excluded.record WHERE record <> excluded.record",
        )?
        .execute((host, order, row::to_json(case)?))?;
    }
    Ok(())
}

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
                (SELECT record FROM host_remediation c WHERE c.host = v.host AND c.order_no = v.order_no)
         FROM verdict v JOIN orders o ON o.no = v.order_no WHERE v.host = ?1 ORDER BY o.id",
    )?;
    let mut rows = statement.query([host])?;
    let mut verdicts = Vec::new();
    while let Some(found) = rows.next()? {
        let case = match found.get::<_, Option<String>>(10)? {
            Some(text) => row::from_json("a case", &text)?,
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
            case,
            rules_version: found.get(9)?,
        });
    }
    Ok(verdicts)
}
