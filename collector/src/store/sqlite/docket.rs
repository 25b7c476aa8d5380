//! Hosts that wait for judgement. Being on the docket is a row, written with the deed that put the host there; a claim
//! is only in memory: it ends with the process that holds it, and then the host is simply still waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::model::{Digest, HostId, OrderId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::memory::{Claim, Memory};
use super::writer::Desk;
use super::{host, ledger, row, verdict};
use crate::judge::Case;
use crate::ledger::entry::Entry;
use crate::store::{DocketDepth, DocketHost};

/// A claim that is older is given to another: its holder is stuck.
const CLAIM_LASTS: Duration = Duration::from_secs(60);

/// Puts a host on the docket. One that waits already keeps its place and gets a new ticket, so that a judgement of what
/// was before is not written.
pub(super) fn put(desk: &mut Desk<'_>, host: i64, now: Timestamp) -> Step<()> {
    desk.sql
        .prepare_cached(
            "INSERT INTO docket (host, ticket, since) VALUES (?1, ?2, ?3)
             ON CONFLICT (host) DO UPDATE SET ticket = excluded.ticket",
        )?
        .execute((host, desk.memory.next_ticket(), now.millis()))?;
    Ok(())
}

/// The ticket with which a host waits.
pub(super) fn ticket(sql: &Connection, host: i64) -> Step<Option<i64>> {
    let find = "SELECT ticket FROM docket WHERE host = ?1";
    Ok(sql.prepare_cached(find)?.query_row([host], |row| row.get(0)).optional()?)
}

/// Takes the host off the docket.
pub(super) fn remove(sql: &Connection, host: i64) -> Step<()> {
    sql.prepare_cached("DELETE FROM docket WHERE host = ?1")?.execute([host])?;
    Ok(())
}

/// Hosts that nobody has claimed with their present ticket, oldest first.
pub(super) fn claim(sql: &Connection, memory: &Memory, most: usize, now: Timestamp) -> Step<Vec<DocketHost>> {
    memory.claims().retain(|_, claim| now.since(claim.at) < CLAIM_LASTS);
    let find = format!(
        "SELECT d.host, d.ticket, h.id, s.id, h.state, l.digest, h.look_since,
                e.last_seen, {}
         FROM docket d JOIN host h ON h.no = d.host JOIN site s ON s.no = h.site
         JOIN host_seen e ON e.host = h.no LEFT JOIN look l ON l.no = h.look ORDER BY d.since, d.host",
        row::FACTS
    );
    let mut statement = sql.prepare_cached(&find)?;
    let mut rows = statement.query([])?;
    let mut claimed = Vec::new();
    while claimed.len() < most {
        let Some(found) = rows.next()? else { break };
        let (no, ticket): (i64, i64) = (found.get(0)?, found.get(1)?);
        {
            let mut claims = memory.claims();
            if claims.get(&no).is_some_and(|claim| claim.ticket == ticket) {
                continue;
            }
            claims.insert(no, Claim { ticket, at: now });
        }
        let id: HostId = row::host_id(found, 2)?;
        let look = match found.get::<_, Option<[u8; 32]>>(5)? {
            Some(digest) => Some((Digest::from_bytes(digest), row::instant(found, 6)?)),
            None => None,
        };
        claimed.push(DocketHost {
            host: id,
            site: row::site(found, 3)?,
            facts: row::facts(found, 8)?,
            state: row::state(found, 4)?,
            look,
            last_seen: Some(host::last_seen(memory, id, row::instant(found, 7)?)),
            cases: cases(sql, no)?,
            ticket: ticket.cast_unsigned(),
        });
    }
    Ok(claimed)
}

fn cases(sql: &Connection, host: i64) -> Step<BTreeMap<OrderId, Case>> {
    let mut statement =
        sql.prepare_cached("SELECT o.id, c.body FROM host_case c JOIN ord o ON o.no = c.ord WHERE c.host = ?1")?;
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

pub(super) fn depth(sql: &Connection) -> Step<DocketDepth> {
    let mut statement = sql.prepare_cached("SELECT count(*), min(since) FROM docket")?;
    let read = |found: &rusqlite::Row<'_>| -> Step<DocketDepth> {
        Ok(DocketDepth { waiting: row::count(found, 0)?, oldest: row::maybe_instant(found, 1)? })
    };
    statement.query_row([], |found| Ok(read(found)))?
}

/// Puts every host on the docket when the rules have another version than those last adopted.
pub(super) fn rules_adopt(desk: &mut Desk<'_>, rules_version: &str, now: Timestamp) -> Step<bool> {
    let sql = desk.sql;
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
    sql.prepare_cached(
        "INSERT INTO docket (host, ticket, since) SELECT no, ?1, ?2 FROM host WHERE true
         ON CONFLICT (host) DO UPDATE SET ticket = excluded.ticket",
    )?
    .execute((desk.memory.next_ticket(), now.millis()))?;
    ledger::write(sql, now, &Entry::RulesAdopted { from: adopted, to: rules_version.to_owned() })?;
    Ok(true)
}
