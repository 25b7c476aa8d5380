//! Asks for a waiver: its hosts in portions, then the request.

use std::time::Duration;

use muster_proto::model::{Digest, HostId, OrderId, SiteId, Timestamp, WaiverReason};

use crate::ledger::entry::{Entry, WaiverRequest};
use crate::store::SiteScope;
use crate::store::admin::notes;
use crate::store::decide::waivers::{AskRefusal, OpenWaivers, space};
use crate::store::sql::{AdminTx, Row, Step, Value};

const LAST: &str = "SELECT coalesce(max(no), 0) FROM waiver";
const PREPARE: &str = "INSERT INTO waiver
     (no, order_id, state, reason, control, until, beyond_milestone, requested_by, requested_at, hosts)
     VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, 0)";
const STILL: &str =
    "SELECT no FROM waiver WHERE no = $1 AND state = 1 AND requested_by = $2 AND requested_at = $3 ORDER BY no";
const FIND: &str = "SELECT no, site FROM host_row WHERE id = $1";
const ADD: &str = "INSERT INTO waiver_host (waiver, host) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const COUNT: &str = "SELECT count(*) FROM waiver_host WHERE waiver = $1";
const OF_ORDER: &str =
    "SELECT count(*) FROM waiver WHERE order_id = $1 AND state IN (2, 3) AND until > $2 AND ended_at IS NULL";
const HOSTS: &str = "SELECT CAST(coalesce(sum(hosts), 0) AS bigint) FROM waiver
     WHERE state IN (2, 3) AND until > $1 AND ended_at IS NULL OR state = 4 AND decided_at > $2";
const REQUEST: &str = "UPDATE waiver SET state = 2, hosts = $2, requested_at = $3 WHERE no = $1 AND state = 1";

/// How long the hosts of a request that was refused or withdrawn are kept; the ledger has their list.
pub(crate) const REFUSED_FOR: Duration = Duration::from_secs(86_400);

/// Hosts that one transaction adds.
pub(crate) const PORTION: usize = 400;

/// A waiver whose hosts are being written. Its number is given again once it was thrown away, so who began it and when tell whether
/// it is still this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) number: u64,
    /// The id of the account that asks.
    pub(crate) requested_by: String,
    pub(crate) begun_at: Timestamp,
}

impl Prepared {
    /// Whether the waiver is there and its hosts may be written.
    pub(super) fn is_there(&self, tx: &mut dyn AdminTx) -> Step<bool> {
        let values = [self.number.cast_signed().into(), self.requested_by.as_str().into(), self.begun_at.into()];
        Ok(!tx.query(STILL, &values)?.is_empty())
    }
}

/// A waiver that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct NewWaiver {
    pub(crate) order: OrderId,
    pub(crate) reason: WaiverReason,
    pub(crate) control: String,
    pub(crate) until: Timestamp,
    pub(crate) beyond_milestone: bool,
    /// The id of the account that asks.
    pub(crate) requested_by: String,
}

/// The hosts of a waiver that is asked for, once all of them have come.
#[derive(Debug, Clone)]
pub(crate) struct HostList {
    pub(crate) count: u64,
    /// The hash of the ids: see the ledger entry.
    pub(crate) digest: Digest,
    /// The ids, if they are few enough for an entry.
    pub(crate) named: Vec<HostId>,
}

/// Makes a waiver without hosts, which nobody sees, for so many hosts.
///
/// # Errors
/// The database fails.
pub(crate) fn prepare(
    tx: &mut dyn AdminTx,
    new: &NewWaiver,
    hosts: u64,
    now: Timestamp,
) -> Step<Result<Prepared, AskRefusal>> {
    if let Err(refusal) = space(open_waivers(tx, new, now)?, hosts) {
        return Ok(Err(refusal));
    }
    let number = 1 + tx.query(LAST, &[])?.first().map_or(Ok(0), |row| row.count(0))?;
    let control = Digest::of(new.control.as_bytes());
    let values = [
        number.cast_signed().into(),
        new.order.as_str().into(),
        i64::from(new.reason.code()).into(),
        control.as_bytes().as_slice().into(),
        new.until.into(),
        i64::from(new.beyond_milestone).into(),
        new.requested_by.as_str().into(),
        now.into(),
    ];
    tx.note_progress(PREPARE, &values)?;
    Ok(Ok(Prepared { number, requested_by: new.requested_by.clone(), begun_at: now }))
}

/// What waits or is in force now, with the hosts of requests that were refused lately or are being written.
fn open_waivers(tx: &mut dyn AdminTx, new: &NewWaiver, now: Timestamp) -> Step<OpenWaivers> {
    let mut count = |sql: &'static str, values: &[Value<'_>]| -> Step<u64> {
        tx.query(sql, values)?.first().map_or(Ok(0), |row| row.count(0))
    };
    let of_order = count(OF_ORDER, &[new.order.as_str().into(), now.into()])?;
    let hosts = count(HOSTS, &[now.into(), now.minus(REFUSED_FOR).into()])?;
    Ok(OpenWaivers { of_order, hosts })
}

/// Adds hosts, at most [`PORTION`]. If some are unknown or at other sites, none is added.
///
/// # Errors
/// The database fails.
pub(crate) fn add(
    tx: &mut dyn AdminTx,
    waiver: &Prepared,
    hosts: &[HostId],
    sites: &SiteScope,
) -> Step<Result<(), AskRefusal>> {
    if !waiver.is_there(tx)? {
        return Ok(Err(AskRefusal::Incomplete));
    }
    let ids: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![host.as_bytes().as_slice().into()]).collect();
    let (mut added, mut unknown) = (Vec::new(), Vec::new());
    for (host, rows) in hosts.iter().zip(tx.query_each(FIND, &ids)?) {
        let place = |row: &Row| -> Step<(i64, SiteId)> { Ok((row.int(0)?, row.parse("a site", 1)?)) };
        let found = rows.first().map(place).transpose()?;
        match found.filter(|(_, site)| sites.contains(site)) {
            Some((number, _)) => added.push(vec![waiver.number.cast_signed().into(), number.into()]),
            None => unknown.push(host),
        }
    }
    if let Some(first) = unknown.first() {
        return Ok(Err(AskRefusal::NoSuchHosts { hosts: unknown.len() as u64, first: first.to_string() }));
    }
    tx.note_progress_each(ADD, &added)?;
    Ok(Ok(()))
}

/// Makes the prepared waiver a request, with its ledger entry.
///
/// # Errors
/// The database fails.
pub(crate) fn request(
    tx: &mut dyn AdminTx,
    waiver: &Prepared,
    new: &NewWaiver,
    list: &HostList,
    now: Timestamp,
) -> Step<Result<(), AskRefusal>> {
    let number = waiver.number.cast_signed();
    let stored = tx.query(COUNT, &[number.into()])?.first().map_or(Ok(0), |row| row.count(0))?;
    if stored != list.count || !waiver.is_there(tx)? {
        return Ok(Err(AskRefusal::Incomplete));
    }
    if let Err(refusal) = space(open_waivers(tx, new, now)?, list.count) {
        return Ok(Err(refusal));
    }
    if tx.execute(REQUEST, &[number.into(), list.count.cast_signed().into(), now.into()])? == 0 {
        return Ok(Err(AskRefusal::Incomplete));
    }
    let control = notes::put(tx, &new.control)?;
    tx.record(Entry::WaiverRequested(Box::new(WaiverRequest {
        waiver: waiver.number,
        order: new.order.clone(),
        reason: new.reason,
        control,
        until: new.until,
        beyond_milestone: new.beyond_milestone,
        count: list.count,
        list: list.digest,
        hosts: list.named.clone(),
    })));
    Ok(Ok(()))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LAST, PREPARE, STILL, FIND, ADD, COUNT, OF_ORDER, HOSTS, REQUEST];
