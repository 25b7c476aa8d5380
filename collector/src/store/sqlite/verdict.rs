//! Verdicts: current and history, the cases behind them, and the tally that is kept with them.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{Lane, OrderId, Presence, Protection, Timestamp};
use rusqlite::Connection;

use super::fault::{Fault, Step};
use super::writer::Desk;
use super::{docket, host, judged, ledger, row, tally};
use crate::judge::Case;
use crate::ledger::entry::Entry;
use crate::store::{JudgedOrder, Judgement, StoredVerdict};

/// A verdict as far as a new one is compared with it.
struct Standing {
    lane: Lane,
    in_scope: bool,
    since: Timestamp,
}

/// Changes of the tally, by order, lane and scope.
type Changes = HashMap<(i64, Lane, bool), i64>;

/// One host's judgement while it is written.
struct Settling<'a> {
    no: i64,
    judgement: &'a Judgement,
    rules: i64,
    now: Timestamp,
}

pub(super) fn settle(desk: &mut Desk<'_>, judgements: &[Judgement], now: Timestamp) -> Step<()> {
    let mut changes = Changes::new();
    for judgement in judgements {
        let Some(no) = desk.memory.host_no(judgement.host) else { continue };
        let ticket = judgement.ticket.cast_signed();
        desk.after_commit(move |memory| {
            let mut claims = memory.claims();
            if claims.get(&no).is_some_and(|claim| claim.ticket == ticket) {
                claims.remove(&no);
            }
        });
        if docket::ticket(desk.sql, no)? != Some(ticket) {
            continue;
        }
        let rules = row::rules_number(desk.sql, &judgement.rules_version)?;
        let settling = Settling { no, judgement, rules, now };
        settling.write(desk, &mut changes)?;
        desk.sql.prepare_cached("UPDATE host SET judged_at = ?2 WHERE no = ?1")?.execute((no, now.millis()))?;
        docket::remove(desk.sql, no)?;
        let host = judgement.host;
        desk.after_commit(move |memory| memory.judged(host, now));
    }
    tally::apply(desk.sql, &changes)
}

impl Settling<'_> {
    fn write(&self, desk: &Desk<'_>, changes: &mut Changes) -> Step<()> {
        let mut before = standings(desk.sql, self.no)?;
        for judged in &self.judgement.orders {
            let order = row::order_number(desk.sql, judged.order.as_str())?;
            self.write_order(desk.sql, order, judged, before.remove(&order), changes)?;
            case_put(desk.sql, self.no, order, &judged.case)?;
            let keys = self.judgement.look.as_ref().zip(self.judgement.state_key.as_ref());
            if let (Some((look, state_key)), Some(assessment)) = (keys, &judged.assessment) {
                judged::assessment_put(desk.sql, (look, state_key, order, self.rules), assessment)?;
            }
        }
        for (order, standing) in before {
            self.withdraw(desk.sql, order, &standing, changes)?;
        }
        if let Some(key) = &self.judgement.state_key {
            host::state_judged(desk, self.no, key, self.now)?;
        }
        Ok(())
    }

    fn write_order(
        &self,
        sql: &Connection,
        order: i64,
        judged: &JudgedOrder,
        before: Option<Standing>,
        changes: &mut Changes,
    ) -> Step<()> {
        let stays = before.as_ref().filter(|old| old.lane == judged.awake_lane && old.in_scope == judged.in_scope);
        let since = match (stays, &before) {
            (Some(old), _) => old.since,
            // The history is ordered, also when the clock was set back.
            (None, Some(old)) => self.now.max(Timestamp::from_millis(old.since.millis().saturating_add(1))),
            (None, None) => self.first_since(sql, order)?,
        };
        sql.prepare_cached(
            "INSERT INTO verdict (host, ord, lane, in_scope, presence, protection, due, since, reason, advice, rules)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (host, ord) DO UPDATE SET lane = excluded.lane, in_scope = excluded.in_scope,
                 presence = excluded.presence, protection = excluded.protection, due = excluded.due,
                 since = excluded.since, reason = excluded.reason, advice = excluded.advice, rules = excluded.rules",
        )?
        .execute((
            self.no,
            order,
            judged.awake_lane.code(),
            judged.in_scope,
            judged.presence.code(),
            judged.protection.code(),
            judged.due.map(Timestamp::millis),
            since.millis(),
            row::phrase(sql, &judged.reason)?,
            row::phrase(sql, &judged.advice)?,
            self.rules,
        ))?;
        if stays.is_some() {
            return Ok(());
        }
        self.end_history(sql, order, since)?;
        sql.prepare_cached(
            "INSERT INTO verdict_history (host, ord, since, lane, in_scope) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((self.no, order, since.millis(), judged.awake_lane.code(), judged.in_scope))?;
        if let Some(old) = &before {
            *changes.entry((order, old.lane, old.in_scope)).or_default() -= 1;
        }
        *changes.entry((order, judged.awake_lane, judged.in_scope)).or_default() += 1;
        let from = before.map(|old| old.lane);
        self.tell(sql, judged.order.clone(), from, Some(judged.awake_lane), judged.in_scope)
    }

    /// The order is no longer judged: the verdict goes, its history ends, the case stays.
    fn withdraw(&self, sql: &Connection, order: i64, old: &Standing, changes: &mut Changes) -> Step<()> {
        sql.prepare_cached("DELETE FROM verdict WHERE host = ?1 AND ord = ?2")?.execute((self.no, order))?;
        self.end_history(sql, order, self.now.max(Timestamp::from_millis(old.since.millis().saturating_add(1))))?;
        *changes.entry((order, old.lane, old.in_scope)).or_default() -= 1;
        let id: String =
            sql.prepare_cached("SELECT id FROM ord WHERE no = ?1")?.query_row([order], |row| row.get(0))?;
        let id = OrderId::new(id).map_err(|error| Fault::damaged("an order", error.to_string()))?;
        self.tell(sql, id, Some(old.lane), None, old.in_scope)
    }

    /// Since when a verdict stands that follows none: after the end of an earlier history, if there was one.
    fn first_since(&self, sql: &Connection, order: i64) -> Step<Timestamp> {
        let find = "SELECT max(until) FROM verdict_history WHERE host = ?1 AND ord = ?2";
        let last: Option<i64> = sql.prepare_cached(find)?.query_row((self.no, order), |row| row.get(0))?;
        Ok(last.map_or(self.now, |last| self.now.max(Timestamp::from_millis(last))))
    }

    fn end_history(&self, sql: &Connection, order: i64, until: Timestamp) -> Step<()> {
        sql.prepare_cached("UPDATE verdict_history SET until = ?3 WHERE host = ?1 AND ord = ?2 AND until IS NULL")?
            .execute((self.no, order, until.millis()))?;
        Ok(())
    }

    fn tell(&self, sql: &Connection, order: OrderId, from: Option<Lane>, to: Option<Lane>, in_scope: bool) -> Step<()> {
        let entry = Entry::LaneChanged {
            host: self.judgement.host,
            order,
            from,
            to,
            in_scope,
            rules_version: self.judgement.rules_version.clone(),
        };
        ledger::write(sql, self.now, &entry)
    }
}

fn standings(sql: &Connection, host: i64) -> Step<BTreeMap<i64, Standing>> {
    let mut statement = sql.prepare_cached("SELECT ord, lane, in_scope, since FROM verdict WHERE host = ?1")?;
    let mut rows = statement.query([host])?;
    let mut standings = BTreeMap::new();
    while let Some(found) = rows.next()? {
        let lane = row::member("a lane", Lane::from_code, found, 1)?;
        let standing = Standing { lane, in_scope: found.get(2)?, since: row::instant(found, 3)? };
        standings.insert(found.get(0)?, standing);
    }
    Ok(standings)
}

/// A case with nothing in it needs no row.
fn case_put(sql: &Connection, host: i64, order: i64, case: &Case) -> Step<()> {
    if *case == Case::default() {
        sql.prepare_cached("DELETE FROM host_case WHERE host = ?1 AND ord = ?2")?.execute((host, order))?;
    } else {
        sql.prepare_cached(
            "INSERT INTO host_case (host, ord, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (host, ord) DO UPDATE SET body = excluded.body WHERE body <> excluded.body",
        )?
        .execute((host, order, row::to_json(case)?))?;
    }
    Ok(())
}

/// Orders under which a host has a verdict.
pub(super) fn orders_of_host(sql: &Connection, host: i64) -> Step<Vec<OrderId>> {
    let mut statement =
        sql.prepare_cached("SELECT o.id FROM verdict v JOIN ord o ON o.no = v.ord WHERE v.host = ?1")?;
    let mut rows = statement.query([host])?;
    let mut orders = Vec::new();
    while let Some(found) = rows.next()? {
        orders.push(row::name("an order", found, 0, OrderId::new)?);
    }
    Ok(orders)
}

/// The verdicts of a host, in the order of the orders' ids.
pub(super) fn of_host(sql: &Connection, host: i64) -> Step<Vec<StoredVerdict>> {
    let mut statement = sql.prepare_cached(
        "SELECT o.id, v.lane, v.in_scope, v.presence, v.protection, v.due, v.since,
                (SELECT text FROM phrase WHERE no = v.reason), (SELECT text FROM phrase WHERE no = v.advice),
                (SELECT version FROM rules WHERE no = v.rules),
                (SELECT body FROM host_case c WHERE c.host = v.host AND c.ord = v.ord)
         FROM verdict v JOIN ord o ON o.no = v.ord WHERE v.host = ?1 ORDER BY o.id",
    )?;
    let mut rows = statement.query([host])?;
    let mut verdicts = Vec::new();
    while let Some(found) = rows.next()? {
        let case = match found.get::<_, Option<String>>(10)? {
            Some(text) => row::from_json("a case", &text)?,
            None => Case::default(),
        };
        verdicts.push(StoredVerdict {
            order: row::name("an order", found, 0, OrderId::new)?,
            awake_lane: row::member("a lane", Lane::from_code, found, 1)?,
            in_scope: found.get(2)?,
            presence: row::member("a presence", Presence::from_code, found, 3)?,
            protection: row::member("a protection", Protection::from_code, found, 4)?,
            due: row::maybe_instant(found, 5)?,
            since: row::instant(found, 6)?,
            reason: found.get(7)?,
            advice: found.get(8)?,
            case,
            rules_version: found.get(9)?,
        });
    }
    Ok(verdicts)
}
