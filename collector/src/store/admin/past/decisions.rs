//! Waivers and dispositions of the past: the approved ones of hosts, and the hosts that were waived or retired at an instant.

use std::collections::BTreeMap;

use muster_proto::model::{DispositionKind, OrderId, SiteId, Timestamp, WaiverReason};

use super::lanes::span;
use crate::judge::{HostDecisions, RetirementTerm, WaiverTerm};
use crate::store::decide::past::HostPast;
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

// Those that were in force at any time from `$3` to `$4`, unless the host had come back.
const WAIVERS: &str =
    "SELECT w.host, a.no, a.order_id, a.reason, a.decided_at, a.until, a.ended_at, a.requested_by, a.decided_by
     FROM waiver_host w JOIN waiver a ON a.no = w.waiver
     WHERE w.host > $1 AND w.host <= $2 AND a.state = 3 AND a.until > $3 AND a.decided_at <= $4
         AND (a.ended_at IS NULL OR a.ended_at > $3)
     ORDER BY w.host, a.no";
const RETIREMENTS: &str = "SELECT x.host, d.no, d.kind, d.requested_at, d.decided_at, x.ended_at, x.returned_at,
         d.requested_by, d.decided_by, d.needs_second
     FROM disposition_host x CROSS JOIN disposition d
     WHERE x.host > $1 AND x.host <= $2 AND d.no = x.disposition AND d.state = 3 AND d.decided_at <= $4
         AND (x.ended_at IS NULL OR x.ended_at > $3) AND (x.returned_at IS NULL OR x.returned_at > $3)
     ORDER BY x.host, d.no";

/// The hosts that a waiver under the order `$1` or a disposition named at the instant `$2`, with numbers from `$3` on up to `$4`.
macro_rules! named {
    () => {
        "(SELECT w.host FROM waiver a JOIN waiver_host w ON w.waiver = a.no
          WHERE a.order_id = $1 AND a.state = 3 AND a.decided_at <= $2 AND a.until > $2
              AND (a.ended_at IS NULL OR a.ended_at > $2) AND w.host > $3 AND w.host <= $4
          UNION SELECT x.host FROM disposition d JOIN disposition_host x ON x.disposition = d.no
          WHERE d.state = 3 AND d.decided_at <= $2 AND (x.ended_at IS NULL OR x.ended_at > $2)
              AND (x.returned_at IS NULL OR x.returned_at > $2) AND x.host > $3 AND x.host <= $4)"
    };
}
const NAMED: &str = concat!("SELECT n.host FROM ", named!(), " AS n ORDER BY n.host LIMIT $5");
const HOSTS: &str = concat!(
    "SELECT i.no, i.site, i.listed, i.enrolled_at, i.last_seen FROM identity_row i WHERE i.no IN ",
    named!(),
    " ORDER BY i.no"
);
const NOW: &str = concat!(
    "SELECT v.host, v.since, v.lane, v.in_scope, v.cause FROM lane_now v
     WHERE v.order_no = $5 AND v.since <= $2 AND v.host IN ",
    named!(),
    " ORDER BY v.host"
);
const BEFORE: &str = concat!(
    "SELECT v.host, v.since, v.lane, v.in_scope, v.cause, v.until FROM lane_before v
     WHERE v.order_no = $5 AND v.since <= $2 AND v.until > $2 AND v.host IN ",
    named!(),
    " ORDER BY v.host"
);
const GAPS: &str = concat!(
    "SELECT g.host, g.since, g.until FROM gap_row g WHERE g.since <= $2 AND g.until > $2 AND g.host IN ",
    named!(),
    " ORDER BY g.host, g.since"
);

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[WAIVERS, RETIREMENTS, NAMED, HOSTS, NOW, BEFORE, GAPS];

/// Hosts that are read at a time.
const AT_ONCE: usize = 2_000;

/// The waivers and dispositions of some hosts, by the numbers of the hosts.
pub(super) type Decisions = BTreeMap<i64, HostDecisions>;

/// Those of the hosts after `after` up to `last` that were in force at any time of `during`.
///
/// # Errors
/// The database fails.
pub(super) fn of_range(
    tx: &mut dyn AdminTx,
    (after, last): (i64, i64),
    during: (Timestamp, Timestamp),
) -> Step<Decisions> {
    let values = [after.into(), last.into(), during.0.into(), during.1.into()];
    read(&tx.query(WAIVERS, &values)?, &tx.query(RETIREMENTS, &values)?)
}

/// Those of these hosts that were in force at an instant.
///
/// # Errors
/// The database fails.
pub(super) fn of_hosts(tx: &mut dyn AdminTx, hosts: &[i64], at: Timestamp) -> Step<Decisions> {
    let of = |no: &i64| vec![Value::Int(no - 1), Value::Int(*no), at.into(), at.into()];
    let values: Vec<Vec<Value<'_>>> = hosts.iter().map(of).collect();
    let [waivers, retirements] = [WAIVERS, RETIREMENTS].map(|sql| tx.query_each(sql, &values));
    let flat = |rows: Vec<Vec<Row>>| rows.into_iter().flatten().collect::<Vec<Row>>();
    read(&flat(waivers?), &flat(retirements?))
}

/// A host that a waiver or a disposition named.
#[derive(Debug)]
pub(crate) struct NamedHost {
    pub(super) no: i64,
    pub(super) site: SiteId,
    /// Whether it is on the roster now.
    pub(super) is_listed: bool,
    pub(super) past: HostPast,
}

/// Calls `each` with every host that a waiver under an order or a disposition named at an instant. `number` is that of the order in
/// the lanes.
///
/// # Errors
/// The database fails.
pub(super) fn each_named(
    tx: &mut dyn AdminTx,
    (order, number): (&OrderId, i64),
    at: Timestamp,
    mut each: impl FnMut(&NamedHost),
) -> Step<()> {
    let most = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
    let mut after = 0;
    loop {
        let next = [order.as_str().into(), at.into(), after.into(), i64::MAX.into(), most.into()];
        let found = tx.query(NAMED, &next)?;
        let Some(last) = found.last().map(|row| row.int(0)).transpose()? else { return Ok(()) };
        portion(tx, (order, number), at, (after, last))?.values().for_each(&mut each);
        if found.len() < AT_ONCE {
            return Ok(());
        }
        after = last;
    }
}

/// Those with numbers after `after` up to `last`.
///
/// # Errors
/// The database fails.
pub(crate) fn portion(
    tx: &mut dyn AdminTx,
    (order, number): (&OrderId, i64),
    at: Timestamp,
    (after, last): (i64, i64),
) -> Step<BTreeMap<i64, NamedHost>> {
    let range = [order.as_str().into(), at.into(), after.into(), last.into()];
    let under = [range[0], range[1], range[2], range[3], number.into()];
    let mut hosts = BTreeMap::new();
    for row in tx.query(HOSTS, &range)? {
        let past = HostPast { enrolled_at: row.time(3)?, last_seen: row.time(4)?, ..HostPast::default() };
        let host = NamedHost { no: row.int(0)?, site: row.parse("a site", 1)?, is_listed: row.flag(2)?, past };
        hosts.insert(host.no, host);
    }
    for row in tx.query(NOW, &under)? {
        if let Some(host) = hosts.get_mut(&row.int(0)?) {
            host.past.spans.push(span(&row, None, 2)?);
        }
    }
    for row in tx.query(BEFORE, &under)? {
        if let Some(host) = hosts.get_mut(&row.int(0)?) {
            host.past.spans.push(span(&row, Some(row.time(5)?), 2)?);
        }
    }
    for row in tx.query(GAPS, &range)? {
        if let Some(host) = hosts.get_mut(&row.int(0)?) {
            host.past.gaps.push((row.time(1)?, row.time(2)?));
        }
    }
    for (no, decisions) in of_range(tx, (after, last), (at, at))? {
        if let Some(host) = hosts.get_mut(&no) {
            host.past.decisions = decisions;
        }
    }
    Ok(hosts)
}

fn read(waivers: &[Row], retirements: &[Row]) -> Step<Decisions> {
    let damaged = |what: &'static str| StoreFault::damaged(what, "it has an unknown code");
    let mut decisions = Decisions::new();
    for row in waivers {
        let reason = u8::try_from(row.int(3)?).ok().and_then(WaiverReason::from_code);
        let term = WaiverTerm {
            number: row.count(1)?,
            order: row.parse("an order", 2)?,
            reason: reason.ok_or_else(|| damaged("a waiver"))?,
            approved_at: row.time(4)?,
            until: row.time(5)?,
            ended_at: row.maybe_time(6)?,
            is_self_approved: row.text(7)? == row.text(8)?,
        };
        decisions.entry(row.int(0)?).or_default().waivers.push(term);
    }
    for row in retirements {
        let kind = u8::try_from(row.int(2)?).ok().and_then(DispositionKind::from_code);
        let term = RetirementTerm {
            number: row.count(1)?,
            kind: kind.ok_or_else(|| damaged("a disposition"))?,
            requested_at: row.time(3)?,
            approved_at: row.time(4)?,
            ended_at: row.maybe_time(5)?,
            returned_at: row.maybe_time(6)?,
            is_self_approved: row.flag(9)? && row.text(7)? == row.text(8)?,
        };
        decisions.entry(row.int(0)?).or_default().retirements.push(term);
    }
    Ok(decisions)
}
