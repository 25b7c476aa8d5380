//! Waivers as they are stored and read. Their hosts are written in portions, while the waiver is in the state 1; a last
//! transaction makes it a request (`ask`). Whether one is in force follows from the time.

use std::collections::BTreeMap;

use muster_proto::model::{
    HostId, HostName, Lane, OrderId, SiteId, Timestamp, WaiverReason, WaiverReport, WaiverState,
};

use crate::store::SiteScope;
use crate::store::decide::waivers::{REFUSED, REQUESTED, StoredState};
use crate::store::decision_sql::APPROVED;
use crate::store::sql::{AdminTx, Row, Step, StoreFault};

pub(crate) mod ask;
pub(crate) mod clean;
pub(crate) mod decide;

/// What a list shows of a waiver.
macro_rules! rows {
    ($where:literal) => {
        concat!(
            "SELECT a.no, a.order_id, a.state, a.reason, n.words, a.until, a.beyond_milestone, a.hosts, a.requested_by, r.name, \
             a.requested_at, a.decided_by, d.name, a.decided_at, a.ended_by, e.name, a.ended_at
             FROM waiver a LEFT JOIN note n ON n.hash = a.control LEFT JOIN account r ON r.id = a.requested_by
             LEFT JOIN account d ON d.id = a.decided_by LEFT JOIN account e ON e.id = a.ended_by WHERE a.state <> 1 AND ",
            $where
        )
    };
}
const GET: &str = rows!("a.no = $1 ORDER BY a.no");
const LIST: &str = rows!("a.until >= $1 AND (a.until > $1 OR a.no > $2) ORDER BY a.until, a.no LIMIT $3");
const SITES: &str = "SELECT h.site, count(*) FROM waiver_host w JOIN host_row h ON h.no = w.host
     WHERE w.waiver = $1 GROUP BY h.site ORDER BY h.site";
const FIRST: &str = "SELECT h.id, h.hostname, h.site, w.host FROM waiver_host w JOIN host_row h ON h.no = w.host
     WHERE w.waiver = $1 AND w.host > $2 ORDER BY w.host LIMIT $3";
const LANES: &str = "SELECT h.site, v.lane, v.in_scope, count(*) FROM waiver_host w JOIN host_row h ON h.no = w.host
     JOIN verdict_row v ON v.host = w.host WHERE w.waiver = $1 AND v.order_id = $2
     GROUP BY h.site, v.lane, v.in_scope ORDER BY h.site, v.lane, v.in_scope";

/// Waivers that are read at a time.
const PORTION: i64 = 200;
/// Hosts that are read at a time.
const LOOKED_AT: i64 = 2_000;

/// A waiver as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaiverRow {
    pub(crate) number: u64,
    pub(crate) requested_by: String,
    /// The account that approved or refused it.
    pub(crate) decided_by: Option<String>,
    /// As a reader of all sites sees it.
    pub(crate) report: WaiverReport,
}

/// Which waivers a list has.
#[derive(Debug, Clone)]
pub(crate) struct ListAsked {
    pub(crate) order: Option<OrderId>,
    /// Also those that are over or were refused.
    pub(crate) all: bool,
    /// Only those in force that end before this instant.
    pub(crate) ending_before: Option<Timestamp>,
    pub(crate) sites: SiteScope,
    pub(crate) now: Timestamp,
    /// The end and the number of the last one of the page before.
    pub(crate) after: Option<(i64, i64)>,
    pub(crate) rows: usize,
}

/// A page of waivers, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct WaiverPage {
    pub(crate) rows: Vec<WaiverReport>,
    pub(crate) next: Option<(i64, i64)>,
}

/// A page of waivers, the one that ends first at the beginning.
///
/// # Errors
/// The database fails.
pub(crate) fn list(tx: &mut dyn AdminTx, asked: &ListAsked) -> Step<WaiverPage> {
    let first = if asked.all { (i64::MIN, 0) } else { (asked.now.millis(), i64::MAX) };
    let mut after = asked.after.unwrap_or(first);
    let mut page = WaiverPage::default();
    loop {
        let found = tx.query(LIST, &[after.0.into(), after.1.into(), PORTION.into()])?;
        let is_last = found.len() < usize::try_from(PORTION).unwrap_or(usize::MAX);
        for row in &found {
            let waiver = read(row, asked.now)?;
            let Some(report) = wanted(tx, asked, waiver)? else {
                after = (row.int(5)?, row.int(0)?);
                continue;
            };
            if page.rows.len() == asked.rows {
                page.next = Some(after);
                return Ok(page);
            }
            after = (row.int(5)?, row.int(0)?);
            page.rows.push(report);
        }
        if is_last {
            return Ok(page);
        }
    }
}

/// What a reader sees of a waiver; `None` if the list does not have it.
fn wanted(tx: &mut dyn AdminTx, asked: &ListAsked, waiver: WaiverRow) -> Step<Option<WaiverReport>> {
    let report = waiver.report;
    let is_open = matches!(report.state, WaiverState::Requested | WaiverState::InForce);
    let is_wanted = (asked.all || is_open)
        && asked.order.as_ref().is_none_or(|order| *order == report.order)
        && asked.ending_before.is_none_or(|before| report.state == WaiverState::InForce && report.until < before);
    if !is_wanted {
        return Ok(None);
    }
    let hosts = hosts_at(tx, report.number, report.hosts, &asked.sites)?;
    Ok((hosts > 0).then_some(WaiverReport { hosts, ..report }))
}

/// How many of the hosts of a waiver are at these sites.
pub(super) fn hosts_at(tx: &mut dyn AdminTx, number: u64, all: u64, sites: &SiteScope) -> Step<u64> {
    if *sites == SiteScope::All {
        return Ok(all);
    }
    let mut hosts = 0;
    for row in tx.query(SITES, &[number.cast_signed().into()])? {
        hosts += if sites.contains(&row.parse::<SiteId>("a site", 0)?) { row.count(1)? } else { 0 };
    }
    Ok(hosts)
}

/// Which hosts of a waiver are shown with it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HostsShown {
    /// At most so many.
    pub(crate) rows: usize,
    /// The number of the last host of the page before.
    pub(crate) after: i64,
}

/// A waiver with some of its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaiverShown {
    pub(crate) report: WaiverReport,
    /// What continues after these hosts; `None` if there are no more.
    pub(crate) next: Option<i64>,
}

/// One waiver with hosts and the lanes of all; `None` if there is none with this number at these sites.
///
/// # Errors
/// The database fails.
pub(crate) fn get(
    tx: &mut dyn AdminTx,
    number: u64,
    shown: HostsShown,
    sites: &SiteScope,
    now: Timestamp,
) -> Step<Option<WaiverShown>> {
    let Some(row) = find(tx, number, now)? else { return Ok(None) };
    let hosts = hosts_at(tx, number, row.report.hosts, sites)?;
    if hosts == 0 {
        return Ok(None);
    }
    let (first_hosts, next) = hosts_of(tx, number, shown, sites)?;
    let mut lanes: BTreeMap<Lane, u64> = BTreeMap::new();
    let mut judged = 0;
    for row in tx.query(LANES, &[number.cast_signed().into(), row.report.order.as_str().into()])? {
        if !sites.contains(&row.parse::<SiteId>("a site", 0)?) {
            continue;
        }
        judged += row.count(3)?;
        let lane = u8::try_from(row.int(1)?).ok().and_then(Lane::from_code);
        let lane = lane.ok_or_else(|| StoreFault::damaged("a verdict", "it has an unknown lane"))?;
        if row.flag(2)? {
            *lanes.entry(lane).or_default() += row.count(3)?;
        }
    }
    let unjudged = hosts.saturating_sub(judged);
    if unjudged > 0 {
        *lanes.entry(Lane::Unknown).or_default() += unjudged;
    }
    Ok(Some(WaiverShown { report: WaiverReport { hosts, first_hosts, lanes, ..row.report }, next }))
}

/// Hosts of a waiver at these sites, and what continues after them.
fn hosts_of(
    tx: &mut dyn AdminTx,
    number: u64,
    shown: HostsShown,
    sites: &SiteScope,
) -> Step<(Vec<HostName>, Option<i64>)> {
    let (mut hosts, mut after) = (Vec::new(), shown.after);
    loop {
        let found = tx.query(FIRST, &[number.cast_signed().into(), after.into(), LOOKED_AT.into()])?;
        let is_last = found.len() < usize::try_from(LOOKED_AT).unwrap_or(usize::MAX);
        for row in &found {
            if sites.contains(&row.parse::<SiteId>("a site", 2)?) {
                if hosts.len() == shown.rows {
                    return Ok((hosts, Some(after)));
                }
                hosts.push(HostName { id: HostId::from_bytes(row.bytes(0)?), hostname: row.text(1)?.to_owned() });
            }
            after = row.int(3)?;
        }
        if is_last {
            return Ok((hosts, None));
        }
    }
}

/// One waiver.
///
/// # Errors
/// The database fails.
pub(crate) fn find(tx: &mut dyn AdminTx, number: u64, now: Timestamp) -> Step<Option<WaiverRow>> {
    tx.query(GET, &[number.cast_signed().into()])?.first().map(|row| read(row, now)).transpose()
}

fn read(row: &Row, now: Timestamp) -> Step<WaiverRow> {
    let reason = u8::try_from(row.int(3)?).ok().and_then(WaiverReason::from_code);
    let code = row.int(2)?;
    let known = [REQUESTED, APPROVED, REFUSED].contains(&code);
    let reason = reason.filter(|_| known).ok_or_else(|| StoreFault::damaged("a waiver", "it has an unknown code"))?;
    let maybe_text =
        |at: usize| if row.is_null(at) { Ok(None) } else { row.text(at).map(|text| Some(text.to_owned())) };
    // The name of an account that was forgotten is its id.
    let name =
        |id: usize, name: usize| -> Step<String> { Ok(maybe_text(name)?.or(maybe_text(id)?).unwrap_or_default()) };
    let (requested_by, decided_by) = (row.text(8)?.to_owned(), maybe_text(11)?);
    let stored =
        StoredState { code, decided_at: row.maybe_time(13)?, until: row.time(5)?, ended_at: row.maybe_time(16)? };
    let report = WaiverReport {
        number: row.count(0)?,
        order: row.parse("an order", 1)?,
        state: stored.at(now),
        reason,
        control: maybe_text(4)?.unwrap_or_else(|| "the control is forgotten".to_owned()),
        until: stored.until,
        beyond_milestone: row.flag(6)?,
        hosts: row.count(7)?,
        requested_by: name(8, 9)?,
        requested_at: row.time(10)?,
        decided_by: name(11, 12)?,
        decided_at: stored.decided_at,
        is_self_approved: code == APPROVED && decided_by.as_ref() == Some(&requested_by),
        ended_by: name(14, 15)?,
        ended_at: stored.ended_at,
        first_hosts: Vec::new(),
        lanes: BTreeMap::new(),
    };
    Ok(WaiverRow { number: report.number, requested_by, decided_by, report })
}

/// Every statement of this module.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    [&[GET, LIST, SITES, FIRST, LANES], ask::STATEMENTS, clean::STATEMENTS, decide::STATEMENTS].concat()
}
