//! Waivers and dispositions as lists, tallies and reports of hosts read them. `store::admin` writes them.

use std::collections::HashMap;

use muster_proto::model::{DispositionKind, OrderId, Timestamp, WaiverReason};
use rusqlite::Connection;

use super::fault::Step;
use super::memory::Memory;
use super::{last_seen, row};
use crate::judge::{HostDecisions, RetirementTerm, WaiverTerm};
use crate::store::SiteScope;
use crate::store::decide::decided::{DecidedHosts, DecidedRow};
use crate::store::decide::tally::Instants;
use crate::store::decision_sql::{self, APPROVED, DecidedAtMost};

/// How many hosts are waived or retired at most.
pub(super) fn at_most(sql: &Connection, order: &OrderId, now: Timestamp) -> Step<DecidedAtMost> {
    let waivers = decision_sql::waiver_in_force("?1", "?2");
    let find = format!("SELECT coalesce(sum(a.hosts), 0) FROM waiver a WHERE {waivers}");
    let count = |found: &rusqlite::Row<'_>| Ok(row::count(found, 0));
    let waived = sql.prepare_cached(&find)?.query_row((order.as_str(), now.millis()), count)??;
    let find = "SELECT coalesce(sum(hosts), 0) FROM disposition WHERE state = ?1 AND decided_at <= ?2";
    let retired = sql.prepare_cached(find)?.query_row((APPROVED, now.millis()), count)??;
    Ok(DecidedAtMost { waived, retired })
}

/// The hosts in scope of an order at these sites about which something is decided.
pub(super) fn of_tally(
    sql: &Connection,
    memory: &Memory,
    (order, number): (&OrderId, i64),
    scope: &SiteScope,
    instants: Instants,
) -> Step<DecidedHosts<i64>> {
    let mut hosts = DecidedHosts::new(instants);
    let at_most = at_most(sql, order, instants.decided_at)?;
    let within = row::within(sql, "h.site", scope)?;
    let of_host = format!(
        "JOIN host_check_in e ON e.host = h.no LEFT JOIN verdict v ON v.host = h.no AND v.order_no = ?1
         WHERE coalesce(v.in_scope, 1) = 1 AND {within}"
    );
    let columns = "h.no, h.id, v.lane, h.listed, e.last_seen";
    let mut read = |text: String, values: &[&dyn rusqlite::ToSql]| -> Step<()> {
        let mut statement = sql.prepare_cached(&text)?;
        let mut rows = statement.query(values)?;
        while let Some(found) = rows.next()? {
            let last_seen = last_seen::newest(memory, row::host_id(found, 1)?, row::instant(found, 4)?);
            let decided = DecidedRow {
                awake: row::maybe_lane(found, 2)?,
                is_listed: found.get(3)?,
                last_seen,
                is_self_approved: found.get(5)?,
                retired_from: found.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
            };
            hosts.add(found.get(0)?, &decided);
        }
        Ok(())
    };
    let now = instants.decided_at.millis();
    if at_most.retired > 0 {
        let in_force = decision_sql::disposition_in_force("?2");
        let text = format!(
            "SELECT {columns}, d.needs_second = 1 AND d.requested_by = d.decided_by, d.requested_at
             FROM disposition d CROSS JOIN disposition_host x ON x.disposition = d.no
             CROSS JOIN host h ON h.no = x.host {of_host} AND {in_force}"
        );
        read(text, &[&number, &now])?;
    }
    if at_most.waived > 0 {
        let in_force = decision_sql::waiver_in_force("?3", "?2");
        let text = format!(
            "SELECT {columns}, a.requested_by = a.decided_by, NULL
             FROM waiver a CROSS JOIN waiver_host w ON w.waiver = a.no
             CROSS JOIN host h ON h.no = w.host {of_host} AND {in_force}"
        );
        read(text, &[&number, &now, &order.as_str()])?;
    }
    Ok(hosts)
}

/// The approved waivers and dispositions of these hosts; hosts without any are left out.
pub(super) fn of_hosts(sql: &Connection, hosts: &[i64]) -> Step<HashMap<i64, HostDecisions>> {
    let mut decisions: HashMap<i64, HostDecisions> = HashMap::new();
    let some = "SELECT EXISTS (SELECT 1 FROM waiver_host), EXISTS (SELECT 1 FROM disposition_host)";
    let (waivers, dispositions): (bool, bool) =
        sql.prepare_cached(some)?.query_row([], |found| Ok((found.get(0)?, found.get(1)?)))?;
    let mut statement = sql.prepare_cached(
        "SELECT a.no, a.order_id, a.reason, a.decided_at, a.until, a.ended_at, a.requested_by = a.decided_by
         FROM waiver_host w CROSS JOIN waiver a ON a.no = w.waiver WHERE w.host = ?1 AND a.state = ?2 ORDER BY a.no",
    )?;
    for host in hosts.iter().filter(|_| waivers) {
        let mut rows = statement.query((host, APPROVED))?;
        while let Some(found) = rows.next()? {
            let term = WaiverTerm {
                number: row::count(found, 0)?,
                order: row::name("an order", found, 1, OrderId::new)?,
                reason: row::member("a waiver", WaiverReason::from_code, found, 2)?,
                approved_at: row::instant(found, 3)?,
                until: row::instant(found, 4)?,
                ended_at: row::maybe_instant(found, 5)?,
                is_self_approved: found.get(6)?,
            };
            decisions.entry(*host).or_default().waivers.push(term);
        }
    }
    let mut statement = sql.prepare_cached(
        "SELECT d.no, d.kind, d.requested_at, d.decided_at, x.ended_at, x.returned_at,
             d.needs_second = 1 AND d.requested_by = d.decided_by
         FROM disposition_host x CROSS JOIN disposition d ON d.no = x.disposition
         WHERE x.host = ?1 AND d.state = ?2 ORDER BY d.no",
    )?;
    for host in hosts.iter().filter(|_| dispositions) {
        let mut rows = statement.query((host, APPROVED))?;
        while let Some(found) = rows.next()? {
            let term = RetirementTerm {
                number: row::count(found, 0)?,
                kind: row::member("a disposition", DispositionKind::from_code, found, 1)?,
                requested_at: row::instant(found, 2)?,
                approved_at: row::instant(found, 3)?,
                ended_at: row::maybe_instant(found, 4)?,
                returned_at: row::maybe_instant(found, 5)?,
                is_self_approved: found.get(6)?,
            };
            decisions.entry(*host).or_default().retirements.push(term);
        }
    }
    Ok(decisions)
}
