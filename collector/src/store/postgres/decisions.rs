//! Waivers and dispositions as lists, tallies and reports of hosts read them. `store::admin` writes them.

use std::collections::HashMap;

use muster_proto::model::{DispositionKind, OrderId, Timestamp, WaiverReason};
use tokio_postgres::Row;

use super::fault::{PostgresFault, Step};
use super::memory::Memory;
use super::row;
use super::session::Session;
use crate::judge::{HostDecisions, RetirementTerm, WaiverTerm};
use crate::store::decide::decided::{DecidedHosts, DecidedRow};
use crate::store::decide::tally::Instants;
use crate::store::decision_sql::{self, APPROVED, DecidedAtMost};

/// How many hosts are waived or retired at most.
pub(super) async fn at_most(session: &Session, order: &OrderId, now: Timestamp) -> Step<DecidedAtMost> {
    let waivers = decision_sql::waiver_in_force("$1", "$2");
    let find = format!(
        "SELECT (SELECT coalesce(sum(a.hosts), 0)::int8 FROM waiver a WHERE {waivers}),
             (SELECT coalesce(sum(hosts), 0)::int8 FROM disposition WHERE state = {APPROVED} AND decided_at <= $2)"
    );
    let rows = session.query_once(&find, &[&order.as_str(), &now.millis()]).await?;
    let Some(found) = rows.first() else { return Ok(DecidedAtMost::default()) };
    Ok(DecidedAtMost { waived: row::count(found, 0)?, retired: row::count(found, 1)? })
}

/// The hosts in scope of an order at these sites about which something is decided. `within` is a condition on `site`.
pub(super) async fn of_tally(
    session: &Session,
    memory: &Memory,
    (order, number): (&OrderId, i32),
    within: &str,
    instants: Instants,
) -> Step<DecidedHosts<i32>> {
    let mut hosts = DecidedHosts::new(instants);
    let at_most = at_most(session, order, instants.decided_at).await?;
    let now = instants.decided_at.millis();
    let of_host = format!(
        "JOIN host_current n ON n.host = h.no LEFT JOIN verdict v ON v.host = h.no AND v.order_no = $1
         WHERE v.in_scope IS NOT FALSE AND {within}"
    );
    let columns = "h.no, h.id, v.lane, n.listed, n.last_seen";
    let mut found = Vec::new();
    if at_most.retired > 0 {
        let in_force = decision_sql::disposition_in_force("$2");
        let find = format!(
            "SELECT {columns}, d.needs_second = 1 AND d.requested_by = d.decided_by, d.requested_at
             FROM disposition d JOIN disposition_host x ON x.disposition = d.no JOIN host h ON h.no = x.host
             {of_host} AND {in_force}"
        );
        found.extend(session.query_once(&find, &[&number, &now]).await?);
    }
    if at_most.waived > 0 {
        let in_force = decision_sql::waiver_in_force("$3", "$2");
        let find = format!(
            "SELECT {columns}, a.requested_by = a.decided_by, NULL::int8
             FROM waiver a JOIN waiver_host w ON w.waiver = a.no JOIN host h ON h.no = w.host {of_host} AND {in_force}"
        );
        found.extend(session.query_once(&find, &[&number, &now, &order.as_str()]).await?);
    }
    for found in &found {
        let decided = DecidedRow {
            awake: row::maybe_lane(found, 2)?,
            is_listed: found.try_get(3)?,
            last_seen: memory.last_seen(row::host_id(found, 1)?, row::instant(found, 4)?),
            is_self_approved: found.try_get(5)?,
            retired_from: row::maybe_instant(found, 6)?,
        };
        hosts.add(found.try_get(0)?, &decided);
    }
    Ok(hosts)
}

/// The approved waivers and dispositions of these hosts; hosts without any are left out.
pub(super) async fn of_hosts(session: &Session, hosts: &[i32]) -> Step<HashMap<i32, HostDecisions>> {
    let mut decisions: HashMap<i32, HostDecisions> = HashMap::new();
    let find = "SELECT w.host::int4, a.no, a.order_id, a.reason, a.decided_at, a.until, a.ended_at,
                    a.requested_by = a.decided_by
                FROM waiver_host w JOIN waiver a ON a.no = w.waiver
                WHERE w.host = ANY ($1::int4[]) AND a.state = $2 ORDER BY a.no";
    for found in session.query(find, &[&hosts, &APPROVED]).await? {
        let term = WaiverTerm {
            number: row::count(&found, 1)?,
            order: row::name("an order", &found, 2, OrderId::new)?,
            reason: member("a waiver", WaiverReason::from_code, &found, 3)?,
            approved_at: row::instant(&found, 4)?,
            until: row::instant(&found, 5)?,
            ended_at: row::maybe_instant(&found, 6)?,
            is_self_approved: found.try_get(7)?,
        };
        decisions.entry(found.try_get(0)?).or_default().waivers.push(term);
    }
    let find = "SELECT x.host::int4, d.no, d.kind, d.requested_at, d.decided_at, x.ended_at, x.returned_at,
                    d.needs_second = 1 AND d.requested_by = d.decided_by
                FROM disposition_host x JOIN disposition d ON d.no = x.disposition
                WHERE x.host = ANY ($1::int4[]) AND d.state = $2 ORDER BY d.no";
    for found in session.query(find, &[&hosts, &APPROVED]).await? {
        let term = RetirementTerm {
            number: row::count(&found, 1)?,
            kind: member("a disposition", DispositionKind::from_code, &found, 2)?,
            requested_at: row::instant(&found, 3)?,
            approved_at: row::instant(&found, 4)?,
            ended_at: row::maybe_instant(&found, 5)?,
            returned_at: row::maybe_instant(&found, 6)?,
            is_self_approved: found.try_get(7)?,
        };
        decisions.entry(found.try_get(0)?).or_default().retirements.push(term);
    }
    Ok(decisions)
}

/// A member of a closed list in an administrative table, whose numbers are wide.
fn member<T>(what: &str, from_code: impl Fn(u8) -> Option<T>, found: &Row, at: usize) -> Step<T> {
    let code: i64 = found.try_get(at)?;
    let known = u8::try_from(code).ok().and_then(from_code);
    known.ok_or_else(|| PostgresFault::damaged(what, format!("code {code} is unknown")))
}
