//! Administrative operations on hosts: which ones an operator means, and the marks that set them apart.

use std::collections::BTreeMap;

use muster_proto::model::{
    Digest, HostActionKind, HostId, HostMark, HostName, PurgeCounts, SiteId, Timestamp, TokenId,
};

use super::{notes, tokens};
use crate::ledger::entry::{Entry, HostAction};
use crate::store::decide::marks;
use crate::store::sql::{AdminTx, Row, Step, StoreFault};
use crate::store::{Purged, SiteScope};

const FIND: &str = "SELECT no, id, hostname, site FROM host_row WHERE id = $1";
const OF_TOKEN: &str =
    "SELECT no, id, hostname, site FROM host_row WHERE enrolled_with = $1 AND no > $2 ORDER BY no LIMIT $3";
const BY_NUMBER: &str = "SELECT no, id, hostname, site FROM host_row WHERE no = $1";
const MARKS: &str = "SELECT mark FROM host_mark WHERE host = $1 ORDER BY mark";
const ADD: &str = "INSERT INTO host_mark (mark, host, since, note) VALUES ($1, $2, $3, $4)";
const REMOVE: &str = "DELETE FROM host_mark WHERE mark = $1 AND host = $2";
const COUNT: &str = "SELECT m.mark, h.site, count(*) FROM host_mark m JOIN host_row h ON h.no = m.host
     GROUP BY m.mark, h.site ORDER BY m.mark, h.site";

/// Hosts that one transaction changes: far fewer rows than it may change, so that other writers do not wait long.
pub(crate) const PORTION: usize = 100;

/// Rows of their own that a purge of hosts removes in one transaction: of a host that reports honestly, a year's.
/// Tests have fewer rows.
const PURGED_ROWS: u64 = if cfg!(test) { 6 } else { 2_000 };

/// Which hosts an operator means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostsMeant {
    /// These, at most [`PORTION`].
    Named(Vec<HostId>),
    /// A portion of those that enrolled with this token: those whose rows come after this number.
    EnrolledWith { token: TokenId, after: i64 },
}

/// An action on one portion of hosts.
#[derive(Debug, Clone)]
pub(crate) struct HostsAsked {
    pub(crate) kind: HostActionKind,
    pub(crate) hosts: HostsMeant,
    /// The sites whose hosts the caller may change.
    pub(crate) sites: SiteScope,
    pub(crate) reason: String,
    pub(crate) now: Timestamp,
}

/// What an action has changed in one portion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PortionDone {
    pub(crate) changed: Vec<HostName>,
    pub(crate) unchanged: u64,
    /// After which row the next portion of the token's hosts begins; `None` if this was the last one.
    pub(crate) next: Option<i64>,
    /// What a purge has removed.
    pub(crate) removed: PurgeCounts,
    /// Whether a purge has left some of these hosts for another transaction.
    pub(crate) is_unfinished: bool,
}

/// Does an action on one portion of hosts; `None` if there is no such token at the caller's sites. Hosts of other sites
/// are left out. The identity of each host is read again on every collector.
///
/// # Errors
/// The database fails.
pub(crate) fn act(tx: &mut dyn AdminTx, asked: &HostsAsked) -> Step<Option<PortionDone>> {
    let (hosts, token, next) = match &asked.hosts {
        HostsMeant::Named(ids) => {
            let mut hosts = Vec::new();
            for id in ids {
                let rows = tx.query(FIND, &[id.as_bytes().as_slice().into()])?;
                hosts.extend(rows.first().map(found).transpose()?);
            }
            (hosts, None, None)
        }
        HostsMeant::EnrolledWith { token, after } => {
            let Some((number, site)) = tokens::number(tx, token)? else { return Ok(None) };
            if !asked.sites.contains(&site) {
                return Ok(None);
            }
            let most = i64::try_from(PORTION).unwrap_or(i64::MAX);
            let rows = tx.query(OF_TOKEN, &[number.into(), (*after).into(), most.into()])?;
            let hosts = rows.iter().map(found).collect::<Step<Vec<_>>>()?;
            let next = hosts.last().filter(|_| hosts.len() == PORTION).map(|host| host.no);
            (hosts, Some(token.clone()), next)
        }
    };
    let mut done = PortionDone { next, ..PortionDone::default() };
    let reason = Digest::of(asked.reason.as_bytes());
    let mut left = PURGED_ROWS;
    for host in hosts.into_iter().filter(|host| asked.sites.contains(&host.site)) {
        let is_marked = change(tx, asked, &host, &reason)?;
        let is_purged = asked.kind == HostActionKind::Purge && purge(tx, asked, &host, &mut left, &mut done)?;
        if is_marked || is_purged {
            tx.forget_identity(host.id);
            done.changed.push(HostName { id: host.id, hostname: host.hostname });
        } else {
            done.unchanged += 1;
        }
    }
    if !done.changed.is_empty() {
        let hosts = done.changed.iter().map(|host| host.id).collect();
        let action = HostAction { hosts, token, reason: notes::put(tx, &asked.reason)? };
        tx.record(match asked.kind {
            HostActionKind::Revoke => Entry::HostsRevoked(action),
            HostActionKind::Release => Entry::HostsReleased(action),
            HostActionKind::Review => Entry::HostsReviewed(action),
            HostActionKind::Purge => Entry::HostsPurged { action, removed: done.removed },
        });
    }
    Ok(Some(done))
}

/// Changes the marks of one host; `false` if nothing is to be changed.
fn change(tx: &mut dyn AdminTx, asked: &HostsAsked, host: &Found, reason: &Digest) -> Step<bool> {
    let had = tx.query(MARKS, &[host.no.into()])?.iter().map(|row| mark(row, 0)).collect::<Step<Vec<_>>>()?;
    let change = marks::change(asked.kind, &had);
    for mark in &change.added {
        let (code, note) = (i64::from(mark.code()).into(), reason.as_bytes().as_slice().into());
        tx.execute(ADD, &[code, host.no.into(), asked.now.into(), note])?;
    }
    for mark in &change.removed {
        tx.execute(REMOVE, &[i64::from(mark.code()).into(), host.no.into()])?;
    }
    if change.is_judged() {
        tx.requeue(host.no);
    }
    Ok(!change.is_nothing())
}

/// Removes what one host sent, as far as rows are left for this transaction; says whether there was anything.
fn purge(tx: &mut dyn AdminTx, asked: &HostsAsked, host: &Found, left: &mut u64, done: &mut PortionDone) -> Step<bool> {
    if *left == 0 {
        done.is_unfinished = true;
        return Ok(false);
    }
    let Purged { own, snapshots, sections, is_done } = tx.purge(host.id, host.no, *left, asked.now)?;
    *left = left.saturating_sub(own);
    done.removed.snapshots += snapshots;
    done.removed.sections += sections;
    done.is_unfinished |= !is_done;
    if own > 0 {
        // Its lanes follow from what is left: a product that no scan has refuted stays.
        tx.requeue(host.no);
    }
    Ok(own > 0)
}

/// How many hosts of these sites have each mark. Marks that no host has are left out.
///
/// # Errors
/// The database fails.
pub(crate) fn count(tx: &mut dyn AdminTx, sites: &SiteScope) -> Step<BTreeMap<HostMark, u64>> {
    let mut counts = BTreeMap::new();
    for row in tx.query(COUNT, &[])? {
        if sites.contains(&row.parse("a site", 1)?) {
            *counts.entry(mark(&row, 0)?).or_default() += row.count(2)?;
        }
    }
    Ok(counts)
}

/// Those of these hosts that are at another site, by their row numbers, with their ids.
///
/// # Errors
/// The database fails.
pub(super) fn not_at(tx: &mut dyn AdminTx, hosts: &[i64], site: &SiteId) -> Step<Vec<(i64, HostId)>> {
    let lists: Vec<_> = hosts.iter().map(|no| vec![(*no).into()]).collect();
    let mut elsewhere = Vec::new();
    for row in tx.query_each(BY_NUMBER, &lists)?.iter().flatten() {
        let host = found(row)?;
        elsewhere.extend((host.site != *site).then_some((host.no, host.id)));
    }
    Ok(elsewhere)
}

/// Those of these hosts that are at one of these sites now, by their row numbers.
///
/// # Errors
/// The database fails.
pub(super) fn at_sites(tx: &mut dyn AdminTx, hosts: &[i64], sites: &SiteScope) -> Step<Vec<i64>> {
    if *sites == SiteScope::All {
        return Ok(hosts.to_vec());
    }
    let lists: Vec<_> = hosts.iter().map(|no| vec![(*no).into()]).collect();
    let mut there = Vec::new();
    for row in tx.query_each(BY_NUMBER, &lists)?.iter().flatten() {
        let host = found(row)?;
        there.extend(sites.contains(&host.site).then_some(host.no));
    }
    Ok(there)
}

/// A host that an operator means.
struct Found {
    no: i64,
    id: HostId,
    hostname: String,
    site: SiteId,
}

fn found(row: &Row) -> Step<Found> {
    Ok(Found {
        no: row.int(0)?,
        id: HostId::from_bytes(row.bytes(1)?),
        hostname: row.text(2)?.to_owned(),
        site: row.parse("a site", 3)?,
    })
}

fn mark(row: &Row, at: usize) -> Step<HostMark> {
    let code = row.int(at)?;
    let known = u8::try_from(code).ok().and_then(HostMark::from_code);
    known.ok_or_else(|| StoreFault::damaged("a mark of a host", format!("code {code} is unknown")))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, OF_TOKEN, BY_NUMBER, MARKS, ADD, REMOVE, COUNT];
