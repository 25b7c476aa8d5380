//! Hosts as they were at an instant, read one by one or some hundred at a time.

use std::collections::BTreeMap;

use muster_proto::model::{HostId, Label, OrderId, Platform, SiteId, Timestamp};

use super::decisions;
use super::lanes::span;
use crate::store::decide::past::{HostPast, LaneSpan};
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const ORDERS: &str = "SELECT no, id FROM order_row ORDER BY no";
const NUMBER: &str = "SELECT no FROM host_row WHERE id = $1 ORDER BY no";
const MACHINES: &str = "SELECT no, id, hostname, site, platform, os_name, enrolled_at, last_seen FROM machine_row
     WHERE no > $1 ORDER BY no LIMIT $2";
const NOW: &str = "SELECT host, since, lane, in_scope, cause, order_no FROM lane_now
     WHERE host > $1 AND host <= $2 AND since <= $3 ORDER BY host, order_no";
const BEFORE: &str = "SELECT host, since, lane, in_scope, cause, order_no, until FROM lane_before
     WHERE host > $1 AND host <= $2 AND since <= $3 AND until > $3 ORDER BY host, order_no";
const GAPS: &str = "SELECT host, since, until FROM gap_row
     WHERE host > $1 AND host <= $2 AND since <= $3 AND until > $3 ORDER BY host, since";
const LABELS: &str = "SELECT host, label FROM host_label
     WHERE host > $1 AND host <= $2 AND since <= $3 AND (until IS NULL OR until > $3) ORDER BY host, label";
const OWNERS: &str = "SELECT host, owner FROM host_owner
     WHERE host > $1 AND host <= $2 AND since <= $3 AND (until IS NULL OR until > $3) ORDER BY host, since";
const MATCHED: &str = "SELECT host, no FROM roster_entry
     WHERE host > $1 AND host <= $2 AND since <= $3 ORDER BY host";
const MATCHED_BEFORE: &str = "SELECT host, entry FROM roster_entry_history
     WHERE host > $1 AND host <= $2 AND since <= $3 AND until > $3 ORDER BY host, since, entry";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[ORDERS, NUMBER, MACHINES, NOW, BEFORE, GAPS, LABELS, OWNERS, MATCHED, MATCHED_BEFORE];

/// A host as it was at an instant. Its name, site and system are those of now: earlier ones are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostThen {
    pub(crate) no: i64,
    pub(crate) host: HostId,
    pub(crate) hostname: String,
    pub(crate) site: SiteId,
    pub(crate) platform: Platform,
    pub(crate) os_name: String,
    /// The labels that it had.
    pub(crate) labels: Vec<Label>,
    /// Who answered for it; empty if nobody did, or before [`add_said`].
    pub(crate) owner: String,
    /// The machine of the roster that it was; `None` if it was none, or before [`add_said`].
    pub(crate) entry: Option<u64>,
    /// What is stored of it under any order, without lanes.
    past: HostPast,
    /// The lane that it was in under each order that had judged it.
    lanes: BTreeMap<i64, LaneSpan>,
}

impl HostThen {
    /// Whether it enrolled only after an instant.
    pub(crate) fn is_enrolled_after(&self, at: Timestamp) -> bool {
        at < self.past.enrolled_at
    }

    /// What is stored of it under an order, by the order's number.
    pub(crate) fn past(&self, order: i64) -> HostPast {
        HostPast { spans: self.lanes.get(&order).copied().into_iter().collect(), ..self.past.clone() }
    }
}

/// The numbers of the orders that have judged a host.
///
/// # Errors
/// The database fails.
pub(crate) fn orders(tx: &mut dyn AdminTx) -> Step<BTreeMap<OrderId, i64>> {
    tx.query(ORDERS, &[])?.iter().map(|row| Ok((row.parse("an order", 1)?, row.int(0)?))).collect()
}

/// One host at an instant; `None` if there is no such host.
///
/// # Errors
/// The database fails.
pub(crate) fn host(tx: &mut dyn AdminTx, host: HostId, at: Timestamp) -> Step<Option<HostThen>> {
    let Some(row) = tx.query(NUMBER, &[host.as_bytes().as_slice().into()])?.into_iter().next() else {
        return Ok(None);
    };
    Ok(hosts(tx, &[row.int(0)?], at)?.pop())
}

/// Hosts at an instant, by their numbers.
///
/// # Errors
/// The database fails.
pub(crate) fn hosts(tx: &mut dyn AdminTx, numbers: &[i64], at: Timestamp) -> Step<Vec<HostThen>> {
    let one: Vec<Vec<Value<'_>>> = numbers.iter().map(|no| vec![Value::Int(no - 1), Value::Int(1)]).collect();
    let range: Vec<Vec<Value<'_>>> =
        numbers.iter().map(|no| vec![Value::Int(no - 1), Value::Int(*no), at.into()]).collect();
    let machines: Vec<Row> = tx.query_each(MACHINES, &one)?.into_iter().flatten().collect();
    let mut found = read_machines(&machines)?;
    let [now, before, gaps, labels] = [NOW, BEFORE, GAPS, LABELS].map(|sql| tx.query_each(sql, &range));
    let flat = |rows: Vec<Vec<Row>>| rows.into_iter().flatten().collect::<Vec<Row>>();
    add(&mut found, &flat(now?), &flat(before?), &flat(gaps?))?;
    add_labels(&mut found, &flat(labels?))?;
    add_decisions(&mut found, decisions::of_hosts(tx, numbers, at)?);
    // A number that is not there finds the host after it.
    Ok(found.into_values().filter(|host| numbers.contains(&host.no)).collect())
}

/// Hosts at an instant that come after this number, at most so many, in the order of their numbers.
///
/// # Errors
/// The database fails.
pub(crate) fn hosts_after(tx: &mut dyn AdminTx, after: i64, most: usize, at: Timestamp) -> Step<Vec<HostThen>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut found = read_machines(&tx.query(MACHINES, &[after.into(), most.into()])?)?;
    let Some(last) = found.last_key_value().map(|(no, _)| *no) else { return Ok(Vec::new()) };
    let range = [after.into(), last.into(), at.into()];
    let (now, before, gaps) = (tx.query(NOW, &range)?, tx.query(BEFORE, &range)?, tx.query(GAPS, &range)?);
    add(&mut found, &now, &before, &gaps)?;
    add_labels(&mut found, &tx.query(LABELS, &range)?)?;
    add_decisions(&mut found, decisions::of_range(tx, (after, last), (at, at))?);
    Ok(found.into_values().collect())
}

/// Adds what people and lists said of hosts by an instant: their owners, and which machines of the roster they were. The hosts are in
/// the order of their numbers.
///
/// # Errors
/// The database fails.
pub(crate) fn add_said(tx: &mut dyn AdminTx, hosts: &mut [HostThen], at: Timestamp) -> Step<()> {
    let (Some(first), Some(last)) = (hosts.first(), hosts.last()) else { return Ok(()) };
    let range = [(first.no - 1).into(), last.no.into(), at.into()];
    let (mut owners, mut entries) = (BTreeMap::new(), BTreeMap::new());
    for row in tx.query(OWNERS, &range)? {
        owners.insert(row.int(0)?, row.text(1)?.to_owned());
    }
    for row in tx.query(MATCHED_BEFORE, &range)?.iter().chain(&tx.query(MATCHED, &range)?) {
        entries.insert(row.int(0)?, row.count(1)?);
    }
    for host in hosts {
        host.owner = owners.remove(&host.no).unwrap_or_default();
        host.entry = entries.remove(&host.no);
    }
    Ok(())
}

fn read_machines(rows: &[Row]) -> Step<BTreeMap<i64, HostThen>> {
    let machine = |row: &Row| {
        let platform = u8::try_from(row.int(4)?).ok().and_then(Platform::from_code);
        let host = HostThen {
            no: row.int(0)?,
            host: HostId::from_bytes(row.bytes(1)?),
            hostname: row.text(2)?.to_owned(),
            site: row.parse("a site", 3)?,
            platform: platform.ok_or_else(|| StoreFault::damaged("a host", "its platform is unknown"))?,
            os_name: row.text(5)?.to_owned(),
            labels: Vec::new(),
            owner: String::new(),
            entry: None,
            past: HostPast { enrolled_at: row.time(6)?, last_seen: row.time(7)?, ..HostPast::default() },
            lanes: BTreeMap::new(),
        };
        Ok((host.no, host))
    };
    rows.iter().map(machine).collect()
}

fn add(hosts: &mut BTreeMap<i64, HostThen>, now: &[Row], before: &[Row], gaps: &[Row]) -> Step<()> {
    for row in now.iter().chain(before) {
        let Some(host) = hosts.get_mut(&row.int(0)?) else { continue };
        // Only rows of the past have an end.
        let until = if row.has(6) { Some(row.time(6)?) } else { None };
        host.lanes.insert(row.int(5)?, span(row, until, 2)?);
    }
    for row in gaps {
        if let Some(host) = hosts.get_mut(&row.int(0)?) {
            host.past.gaps.push((row.time(1)?, row.time(2)?));
        }
    }
    Ok(())
}

fn add_labels(hosts: &mut BTreeMap<i64, HostThen>, rows: &[Row]) -> Step<()> {
    for row in rows {
        if let Some(host) = hosts.get_mut(&row.int(0)?) {
            host.labels.push(row.parse("a label", 1)?);
        }
    }
    Ok(())
}

fn add_decisions(hosts: &mut BTreeMap<i64, HostThen>, decisions: decisions::Decisions) {
    for (no, decisions) in decisions {
        if let Some(host) = hosts.get_mut(&no) {
            host.past.decisions = decisions;
        }
    }
}
