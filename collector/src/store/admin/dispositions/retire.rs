//! Retires hosts, or asks for it where a second person is needed; and takes hosts back.

use std::sync::Arc;

use muster_proto::model::{
    Digest, DispositionKind, DutyEvidence, HostId, HostMark, HostName, Label, Lane, OrderId, Platform, SiteId,
    Timestamp,
};

use crate::ledger::entry::{Entry, HostAction};
use crate::store::SiteScope;
use crate::store::admin::notes;
use crate::store::decide::waivers::REQUESTED;
use crate::store::decision_sql::APPROVED;
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const LAST: &str = "SELECT coalesce(max(no), 0) FROM disposition";
const FIND: &str = "SELECT h.no, h.hostname, h.site, i.platform, i.last_seen
     FROM host_row h JOIN identity_row i ON i.no = h.no WHERE h.id = $1 ORDER BY h.no";
const VERDICTS: &str = "SELECT order_id, lane, in_scope FROM verdict_row WHERE host = $1 ORDER BY order_id";
const UNJUDGED: &str = "SELECT host FROM unjudged_row WHERE host = $1 ORDER BY host";
const LABELS: &str = "SELECT label FROM host_label WHERE host = $1 AND until IS NULL ORDER BY label";
const OPEN: &str =
    "SELECT d.no, d.state, d.requested_at FROM disposition_host x JOIN disposition d ON d.no = x.disposition
     WHERE x.host = $1 AND d.state IN (2, 3) AND x.ended_at IS NULL AND x.returned_at IS NULL ORDER BY d.no";
const INSERT: &str = "INSERT INTO disposition (no, state, kind, evidence, evidence_name, evidence_sha256, needs_second, \
     requested_by, requested_at, decided_by, decided_at, hosts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const ADD: &str = "INSERT INTO disposition_host (disposition, host) VALUES ($1, $2)";
const END: &str = "UPDATE disposition_host SET ended_by = $3, ended_at = $4, ended_note = $5
     WHERE disposition = $1 AND host = $2 AND ended_at IS NULL";
pub(super) const RETURN: &str = "UPDATE disposition_host SET returned_at = $3
     WHERE disposition = $1 AND host = $2 AND returned_at IS NULL";
pub(super) const UNMARK: &str = "DELETE FROM host_mark WHERE mark = $1 AND host = $2";

/// Hosts of one disposition: far fewer rows than one transaction may change.
pub(crate) const PORTION: usize = 100;

/// A host as a decision about it needs it.
#[derive(Debug, Clone)]
pub(crate) struct HostStanding {
    #[cfg_attr(not(test), expect(dead_code, reason = "tests tell hosts apart by it"))]
    pub(crate) id: HostId,
    pub(crate) site: SiteId,
    pub(crate) platform: Platform,
    pub(crate) labels: Vec<Label>,
    pub(crate) last_seen: Timestamp,
    /// Whether it waits to be judged, so that its verdicts may be of an earlier report or of earlier rules.
    pub(crate) is_unjudged: bool,
    /// Its awake lane under each order, and whether the order applies to it.
    pub(crate) verdicts: Vec<(OrderId, Lane, bool)>,
}

/// Whether a host is unfinished under an active order.
pub(crate) type IsUnfinished = Arc<dyn Fn(&HostStanding) -> bool + Send + Sync>;

/// Hosts that left the fleet, at most [`PORTION`].
#[derive(Clone)]
pub(crate) struct RetireAsked {
    pub(crate) hosts: Vec<HostId>,
    pub(crate) kind: DispositionKind,
    pub(crate) evidence: String,
    pub(crate) file: Option<DutyEvidence>,
    /// The id of the account that asks.
    pub(crate) account: String,
    pub(crate) sites: SiteScope,
    pub(crate) is_unfinished: IsUnfinished,
    pub(crate) now: Timestamp,
}

/// What was done with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Retired {
    /// The dispositions that were made.
    pub(crate) dispositions: Vec<u64>,
    pub(crate) retired: u64,
    pub(crate) waiting: u64,
    pub(crate) unchanged: u64,
}

/// Retires hosts that are finished, and asks for the retirement of the others. Hosts of other sites are left out.
///
/// # Errors
/// The database fails.
pub(crate) fn retire(tx: &mut dyn AdminTx, asked: &RetireAsked) -> Step<Retired> {
    let mut done = Retired::default();
    let (mut finished, mut unfinished, mut returned) = (Vec::new(), Vec::new(), Vec::new());
    for id in &asked.hosts {
        let Some(host) = found(tx, *id)?.filter(|host| asked.sites.contains(&host.standing.site)) else { continue };
        let (is_open, has_returned) = standing(tx, &host, asked.now)?;
        if has_returned {
            returned.push(host.id);
        }
        if is_open {
            done.unchanged += 1;
        } else if (asked.is_unfinished)(&host.standing) {
            unfinished.push(host);
        } else {
            finished.push(host);
        }
    }
    if !returned.is_empty() {
        tx.record(Entry::HostsReturned { hosts: returned });
    }
    for (hosts, needs_second) in [(finished, false), (unfinished, true)] {
        if hosts.is_empty() {
            continue;
        }
        done.dispositions.push(make(tx, asked, &hosts, needs_second)?);
        let count = if needs_second { &mut done.waiting } else { &mut done.retired };
        *count += hosts.len() as u64;
    }
    Ok(done)
}

/// Whether a disposition of the host waits or retires it, and whether the host reported after one, which is over then.
fn standing(tx: &mut dyn AdminTx, host: &Found, now: Timestamp) -> Step<(bool, bool)> {
    let (mut is_open, mut has_returned) = (false, false);
    for row in tx.query(OPEN, &[host.no.into()])? {
        if row.int(1)? == APPROVED && host.standing.last_seen > row.time(2)? {
            tx.execute(RETURN, &[row.int(0)?.into(), host.no.into(), now.into()])?;
            has_returned = true;
        } else {
            is_open = true;
        }
    }
    Ok((is_open, has_returned))
}

fn make(tx: &mut dyn AdminTx, asked: &RetireAsked, hosts: &[Found], needs_second: bool) -> Step<u64> {
    let number = 1 + tx.query(LAST, &[])?.first().map_or(Ok(0), |row| row.count(0))?;
    let evidence = notes::put(tx, &asked.evidence)?;
    let (name, sha256) = asked.file.as_ref().map(|file| (file.name.as_str(), file.sha256.as_str())).unzip();
    let state = if needs_second { REQUESTED } else { APPROVED };
    let decided = (!needs_second).then_some((asked.account.as_str(), asked.now));
    let values = [
        number.cast_signed().into(),
        state.into(),
        i64::from(asked.kind.code()).into(),
        evidence.as_bytes().as_slice().into(),
        name.map_or(Value::Null, Value::from),
        sha256.map_or(Value::Null, Value::from),
        i64::from(needs_second).into(),
        asked.account.as_str().into(),
        asked.now.into(),
        decided.map_or(Value::Null, |(account, _)| account.into()),
        decided.map_or(Value::Null, |(_, now)| now.into()),
        i64::try_from(hosts.len()).unwrap_or(i64::MAX).into(),
    ];
    tx.execute(INSERT, &values)?;
    for host in hosts {
        tx.execute(ADD, &[number.cast_signed().into(), host.no.into()])?;
        if !needs_second {
            tx.execute(UNMARK, &[i64::from(HostMark::Returned.code()).into(), host.no.into()])?;
        }
    }
    let ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
    tx.record(Entry::DispositionRequested {
        disposition: number,
        disposition_kind: asked.kind,
        hosts: ids.clone(),
        evidence,
        file: asked.file.clone(),
        needs_second,
    });
    if !needs_second {
        tx.record(Entry::DispositionApproved { disposition: number, hosts: ids });
    }
    Ok(number)
}

/// Hosts to be taken back.
#[derive(Debug, Clone)]
pub(crate) struct UnretireAsked {
    pub(crate) hosts: Vec<HostId>,
    /// The id of the account that takes them back.
    pub(crate) account: String,
    pub(crate) reason: String,
    pub(crate) sites: SiteScope,
    pub(crate) now: Timestamp,
}

/// Takes retired hosts back. Returns those that were retired, and how many were not.
///
/// # Errors
/// The database fails.
pub(crate) fn unretire(tx: &mut dyn AdminTx, asked: &UnretireAsked) -> Step<(Vec<HostName>, u64)> {
    let reason = Digest::of(asked.reason.as_bytes());
    let (mut changed, mut unchanged) = (Vec::new(), 0);
    for id in &asked.hosts {
        let Some(host) = found(tx, *id)?.filter(|host| asked.sites.contains(&host.standing.site)) else { continue };
        let mut ended = 0;
        for row in tx.query(OPEN, &[host.no.into()])? {
            if row.int(1)? == APPROVED {
                let values = [
                    row.int(0)?.into(),
                    host.no.into(),
                    asked.account.as_str().into(),
                    asked.now.into(),
                    reason.as_bytes().as_slice().into(),
                ];
                ended += tx.execute(END, &values)?;
            }
        }
        if ended == 0 {
            unchanged += 1;
        } else {
            changed.push(HostName { id: host.id, hostname: host.hostname });
        }
    }
    if !changed.is_empty() {
        let hosts = changed.iter().map(|host| host.id).collect();
        let reason = notes::put(tx, &asked.reason)?;
        tx.record(Entry::HostsUnretired(HostAction { hosts, token: None, reason }));
    }
    Ok((changed, unchanged))
}

struct Found {
    no: i64,
    id: HostId,
    hostname: String,
    standing: HostStanding,
}

fn found(tx: &mut dyn AdminTx, id: HostId) -> Step<Option<Found>> {
    let rows = tx.query(FIND, &[id.as_bytes().as_slice().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let no = row.int(0)?;
    let platform = u8::try_from(row.int(3)?).ok().and_then(Platform::from_code);
    let verdict = |row: &Row| -> Step<(OrderId, Lane, bool)> {
        let lane = u8::try_from(row.int(1)?).ok().and_then(Lane::from_code);
        let lane = lane.ok_or_else(|| StoreFault::damaged("a verdict", "it has an unknown lane"))?;
        Ok((row.parse("an order", 0)?, lane, row.flag(2)?))
    };
    let verdicts = tx.query(VERDICTS, &[no.into()])?.iter().map(verdict).collect::<Step<_>>()?;
    let labels = tx.query(LABELS, &[no.into()])?.iter().map(|row| row.parse("a label", 0)).collect::<Step<_>>()?;
    let standing = HostStanding {
        id,
        site: row.parse("a site", 2)?,
        platform: platform.ok_or_else(|| StoreFault::damaged("a host", "it has an unknown platform"))?,
        labels,
        last_seen: row.time(4)?,
        is_unjudged: !tx.query(UNJUDGED, &[no.into()])?.is_empty(),
        verdicts,
    };
    Ok(Some(Found { no, id, hostname: row.text(1)?.to_owned(), standing }))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[LAST, FIND, VERDICTS, UNJUDGED, LABELS, OPEN, INSERT, ADD, END, RETURN, UNMARK];
