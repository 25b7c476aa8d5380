//! Duties: opened by a job, listed, done, and closed with their order.
//!
//! Open duties are bounded by what the fleet has: one for each clock and product, a few for each clock and host, and one
//! for each day of a recurring duty. Only a person settles a duty. Those that were settled long ago are deleted once their order is
//! no longer active; the ledger keeps them.

use std::collections::BTreeMap;

use muster_proto::model::{DutyEvidence, DutyState, DutySubject, HostId, Lane, OrderId, SiteId, Timestamp};

use super::notes;
use crate::judge::{NewDuty, Remediation};
use crate::ledger::entry::Entry;
use crate::store::decide::duties::{Opening, StoredDuty, opening};
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};
use crate::store::versioned_json::from_json;
use crate::store::{FinishRefusal, SiteScope};

const IN_FORCE: &str = "SELECT version FROM rules_in_force ORDER BY version";
const ACTIVITY: &str = "SELECT order_id, active_since, opened_until FROM order_activity ORDER BY order_id";
const ACTIVATE: &str =
    "INSERT INTO order_activity (order_id, active_since) VALUES ($1, $2) ON CONFLICT (order_id) DO NOTHING";
const DEACTIVATE: &str = "DELETE FROM order_activity WHERE order_id = $1";
const ADVANCE: &str = "UPDATE order_activity SET opened_until = $2 WHERE order_id = $1";
const LANES: &str = "SELECT lane, in_scope, hosts FROM lane_row WHERE order_id = $1 ORDER BY lane, in_scope, hosts";

// Hosts that left have nothing left to do. A waived host has: its waiver ends.
const RETIRED: &str =
    "SELECT v.lane, count(DISTINCT x.host) FROM disposition_host x JOIN disposition d ON d.no = x.disposition
     JOIN identity_row i ON i.no = x.host JOIN verdict_row v ON v.host = x.host
     WHERE x.ended_at IS NULL AND x.returned_at IS NULL AND d.state = 3 AND i.last_seen <= d.requested_at
         AND v.order_id = $1 AND v.in_scope GROUP BY v.lane ORDER BY v.lane";

const HOSTS: &str = "SELECT count(*) FROM host_row";

const OVERDUE: &str = "SELECT coalesce(h.site, ''), count(*) FROM duty d LEFT JOIN host_row h ON h.id = d.host
     WHERE d.order_id = $1 AND d.state = 1 AND d.due_at <= $2 GROUP BY coalesce(h.site, '') ORDER BY 1";

const OVERDUE_AT: &str = "SELECT coalesce(h.site, ''), count(*) FROM duty d LEFT JOIN host_row h ON h.id = d.host
     WHERE d.order_id = $1 AND d.opened_at <= $2 AND d.due_at <= $2 AND (d.settled_at IS NULL OR d.settled_at > $2)
     GROUP BY coalesce(h.site, '') ORDER BY 1";

const PENDING: &str = "SELECT host, order_no FROM duty_pending ORDER BY host, order_no LIMIT $1";
const FINDINGS: &str = "SELECT host_id, order_id, in_scope, record FROM remediation_row
     WHERE host = $1 AND order_no = $2 ORDER BY order_id";
const PUT_BACK: &str = "INSERT INTO duty_pending (host, order_no) VALUES ($1, $2) ON CONFLICT DO NOTHING";
// A row that is there already is locked: the job that is about to delete it may have counted the open duties before.
const PEND_AGAIN: &str = "INSERT INTO duty_pending (host, order_no)
     SELECT host, order_no FROM remediation_row WHERE host_id = $1 AND order_id = $2
     ON CONFLICT (host, order_no) DO UPDATE SET order_no = excluded.order_no";
const NOT_PENDING: &str = "DELETE FROM duty_pending WHERE host = $1 AND order_no = $2";

const SAME: &str = "SELECT no, opened_at, state FROM duty
     WHERE order_id = $1 AND clock = $2 AND subject = $3 AND opened_at = $4 ORDER BY no";
const OTHERS: &str = "SELECT no, opened_at, state FROM duty
     WHERE order_id = $1 AND clock = $2 AND subject = $3 AND state <> 3 ORDER BY no LIMIT 1";
const OPEN_OF_SUBJECT: &str =
    "SELECT count(*) FROM duty WHERE order_id = $1 AND clock = $2 AND subject = $3 AND state = 1";
const INSERT: &str = "INSERT INTO duty (no, order_id, clock, subject, host, opened_at, due_at, state)
     SELECT coalesce(max(no), 0) + 1, $1, $2, $3, $4, $5, $6, 1 FROM duty";
const REOPEN: &str = "UPDATE duty SET state = 1, settled_at = NULL WHERE no = $1";
const FINISH: &str =
    "UPDATE duty SET state = 2, settled_at = $2, reference = $3, evidence_name = $4, evidence_sha256 = $5
     WHERE no = $1 AND state = 1";
const OF_ORDER: &str = "SELECT no FROM duty WHERE order_id = $1 AND state = 1 ORDER BY no LIMIT $2";
const CLOSED: &str = "SELECT no, clock FROM duty WHERE order_id = $1 AND state = 3 ORDER BY no LIMIT $2";
const MOVE_BACK: &str = "UPDATE duty SET opened_at = $2, due_at = $3 WHERE no = $1";
const CLOSE: &str = "UPDATE duty SET state = 3, settled_at = $2 WHERE no = $1";
// The one with the highest number is kept: otherwise the next duty would get its number. Those of active orders are kept too: without
// them the same event would open them again.
const PRUNE: &str = "DELETE FROM duty WHERE no IN
     (SELECT no FROM duty WHERE state <> 1 AND settled_at < $1 AND no < (SELECT max(no) FROM duty)
      AND order_id NOT IN (SELECT order_id FROM order_activity) ORDER BY settled_at, no LIMIT 100)";

/// What a list shows of a duty.
macro_rules! rows {
    ($where:literal) => {
        concat!(
            "SELECT d.no, d.order_id, d.clock, d.subject, d.opened_at, d.due_at, d.state, d.settled_at, d.evidence_name, \
             d.evidence_sha256, n.words, h.hostname, h.site
             FROM duty d LEFT JOIN host_row h ON h.id = d.host LEFT JOIN note n ON n.hash = d.reference WHERE ",
            $where
        )
    };
}
const GET: &str = rows!("d.no = $1 ORDER BY d.no");
const ABOUT: &str = rows!("d.subject = $1 AND d.order_id = $2 AND d.state = 1 ORDER BY d.due_at, d.no LIMIT $3");
const LIST: &str = rows!("d.due_at >= $1 AND (d.due_at > $1 OR d.no > $2) ORDER BY d.due_at, d.no LIMIT $3");
const LIST_OPEN: &str =
    rows!("d.state = 1 AND d.due_at >= $1 AND (d.due_at > $1 OR d.no > $2) ORDER BY d.due_at, d.no LIMIT $3");

/// Hosts whose duties one transaction opens.
const PORTION: i64 = 50;
/// Duties that one transaction opens: with the hosts that it takes and puts back and the duties that it deletes, fewer rows than it
/// may change. Tests have fewer duties.
const MOST_OPENED: usize = if cfg!(test) { 12 } else { 250 };
/// Duties that one transaction closes.
const CLOSED_AT_ONCE: i64 = 400;
/// Duties of orders that are no longer active are kept this long after they were settled, in milliseconds: seven years. The longest retention that an order of the
/// rules demands of contractors is three (FAR 4.703).
const KEPT_MS: i64 = 7 * 366 * 86_400_000;

/// A duty as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DutyRow {
    pub(crate) number: u64,
    pub(crate) order: OrderId,
    pub(crate) clock: String,
    pub(crate) subject: DutySubject,
    pub(crate) opened: Timestamp,
    pub(crate) due: Timestamp,
    pub(crate) state: DutyState,
    pub(crate) settled: Option<Timestamp>,
    pub(crate) evidence: Option<DutyEvidence>,
    pub(crate) reference: String,
    pub(crate) hostname: String,
    pub(crate) site: Option<SiteId>,
}

impl DutyRow {
    /// Whether a caller that is bound to sites may see it. What is about no host is about the whole fleet.
    fn is_in(&self, scope: &SiteScope) -> bool {
        match &self.site {
            Some(site) => scope.contains(site),
            None => *scope == SiteScope::All,
        }
    }
}

/// An order that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) order: OrderId,
    pub(crate) active_since: Timestamp,
    /// Up to which instant its milestones and recurring duties were opened.
    pub(crate) opened_until: Option<Timestamp>,
}

/// A host whose duties under an order are not opened yet.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The row numbers of the host and the order.
    place: (i64, i64),
    /// `None` if the host has no verdict any more, or the order does not apply to it.
    pub(crate) findings: Option<HostFindings>,
}

/// What was found on a host.
#[derive(Debug)]
pub(crate) struct HostFindings {
    pub(crate) host: HostId,
    pub(crate) order: OrderId,
    pub(crate) remediation: Remediation,
}

/// A person has done a duty.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    pub(crate) number: u64,
    pub(crate) reference: String,
    pub(crate) evidence: Option<DutyEvidence>,
    /// The sites that the caller may act on.
    pub(crate) sites: SiteScope,
    pub(crate) now: Timestamp,
}

/// The version of the rules in force.
///
/// # Errors
/// The database fails.
pub(crate) fn rules_in_force(tx: &mut dyn AdminTx) -> Step<Option<String>> {
    tx.query(IN_FORCE, &[])?.first().map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// The orders that are active, as far as this was noted.
///
/// # Errors
/// The database fails.
pub(crate) fn activity(tx: &mut dyn AdminTx) -> Step<Vec<Activity>> {
    let read = |row: &Row| -> Step<Activity> {
        Ok(Activity { order: row.parse("an order", 0)?, active_since: row.time(1)?, opened_until: row.maybe_time(2)? })
    };
    tx.query(ACTIVITY, &[])?.iter().map(read).collect()
}

/// Notes that an order is active from now on.
///
/// # Errors
/// The database fails.
pub(crate) fn activate(tx: &mut dyn AdminTx, order: &OrderId, now: Timestamp) -> Step<()> {
    tx.note_progress(ACTIVATE, &[order.as_str().into(), now.into()]).map(drop)
}

/// Opens again some of what was closed when an order was switched off; returns whether there was any.
///
/// # Errors
/// The database fails.
pub(crate) fn reopen(tx: &mut dyn AdminTx, order: &OrderId) -> Step<bool> {
    let rows = tx.query(CLOSED, &[order.as_str().into(), CLOSED_AT_ONCE.into()])?;
    let mut opened: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in &rows {
        tx.execute(REOPEN, &[row.int(0)?.into()])?;
        opened.entry(row.text(1)?.to_owned()).or_default().push(row.count(0)?);
    }
    for (clock, duties) in opened {
        tx.record(Entry::DutiesOpened { order: order.clone(), clock, duties });
    }
    Ok(!rows.is_empty())
}

/// Closes open duties of an order that is no longer active, and notes that it is not. Returns whether some are left for another
/// transaction.
///
/// # Errors
/// The database fails.
pub(crate) fn deactivate(tx: &mut dyn AdminTx, order: &OrderId, now: Timestamp) -> Step<bool> {
    let rows = tx.query(OF_ORDER, &[order.as_str().into(), CLOSED_AT_ONCE.into()])?;
    let mut duties = Vec::new();
    for row in &rows {
        tx.execute(CLOSE, &[row.int(0)?.into(), now.into()])?;
        duties.push(row.count(0)?);
    }
    let is_unfinished = duties.len() as u64 == CLOSED_AT_ONCE.unsigned_abs();
    if !duties.is_empty() {
        tx.record(Entry::DutiesClosed { order: order.clone(), duties });
    }
    if !is_unfinished {
        tx.note_progress(DEACTIVATE, &[order.as_str().into()])?;
    }
    Ok(is_unfinished)
}

/// Notes that milestones and recurring duties of an order were opened up to an instant.
///
/// # Errors
/// The database fails.
pub(crate) fn advance(tx: &mut dyn AdminTx, order: &OrderId, until: Timestamp) -> Step<()> {
    tx.note_progress(ADVANCE, &[order.as_str().into(), until.into()]).map(drop)
}

/// Whether no host in scope has anything left to do under an order. As long as a host was not judged under it, nobody knows.
///
/// # Errors
/// The database fails.
pub(crate) fn is_finished(tx: &mut dyn AdminTx, order: &OrderId) -> Step<bool> {
    let hosts = tx.query(HOSTS, &[])?.first().map_or(Ok(0), |row| row.count(0))?;
    let rows = tx.query(LANES, &[order.as_str().into()])?;
    let (mut judged, mut unfinished) = (0, 0);
    for row in &rows {
        judged += row.count(2)?;
        unfinished += if row.flag(1)? && !lane(row)?.is_finished() { row.count(2)? } else { 0 };
    }
    if unfinished > 0 {
        let mut retired = 0;
        for row in tx.query(RETIRED, &[order.as_str().into()])? {
            retired += if lane(&row)?.is_finished() { 0 } else { row.count(1)? };
        }
        unfinished = unfinished.saturating_sub(retired);
    }
    Ok(unfinished == 0 && judged > 0 && judged >= hosts)
}

fn lane(row: &Row) -> Step<Lane> {
    let lane = u8::try_from(row.int(0)?).ok().and_then(Lane::from_code);
    lane.ok_or_else(|| StoreFault::damaged("the tally", "it has an unknown lane"))
}

/// Whether duties of some host are not opened yet.
///
/// # Errors
/// The database fails.
pub(crate) fn is_pending(tx: &mut dyn AdminTx) -> Step<bool> {
    Ok(!tx.query(PENDING, &[1.into()])?.is_empty())
}

/// Takes a portion of the hosts whose duties are not opened yet.
///
/// # Errors
/// The database fails.
pub(crate) fn take_pending(tx: &mut dyn AdminTx) -> Step<Vec<Pending>> {
    let mut taken = Vec::new();
    for row in tx.query(PENDING, &[PORTION.into()])? {
        let place = (row.int(0)?, row.int(1)?);
        // Before the record is read: what a settlement finds from now on puts the host here again.
        tx.note_progress(NOT_PENDING, &[place.0.into(), place.1.into()])?;
        let record = tx.query(FINDINGS, &[place.0.into(), place.1.into()])?;
        let findings = record.first().map(findings).transpose().unwrap_or_else(|fault| {
            // One damaged record must not hold up the duties of all other hosts; `check` names it.
            tracing::error!(host.no = place.0, ?fault, "cannot open the duties of a host");
            None
        });
        taken.push(Pending { place, findings: findings.flatten() });
    }
    Ok(taken)
}

/// Puts hosts back whose duties are not all open yet.
///
/// # Errors
/// The database fails.
pub(crate) fn put_back(tx: &mut dyn AdminTx, taken: &[Pending]) -> Step<()> {
    for Pending { place: (host, order), .. } in taken {
        tx.note_progress(PUT_BACK, &[(*host).into(), (*order).into()])?;
    }
    Ok(())
}

/// `None` if the order does not apply to the host.
fn findings(row: &Row) -> Step<Option<HostFindings>> {
    if !row.flag(2)? {
        return Ok(None);
    }
    Ok(Some(HostFindings {
        host: HostId::from_bytes(row.bytes(0)?),
        order: row.parse("an order", 1)?,
        remediation: from_json("a remediation record", row.text(3)?)?,
    }))
}

/// The duties that one transaction has opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Their numbers.
    pub(crate) numbers: Vec<u64>,
    /// Whether [`MOST_OPENED`] were opened and others are left. The same call in another transaction opens more.
    pub(crate) is_unfinished: bool,
}

/// Opens those duties that are not open yet, at most [`MOST_OPENED`].
///
/// # Errors
/// The database fails.
pub(crate) fn open(tx: &mut dyn AdminTx, duties: &[NewDuty], now: Timestamp) -> Step<Opened> {
    let mut opened: BTreeMap<(&OrderId, &str), Vec<u64>> = BTreeMap::new();
    let (mut count, mut is_unfinished) = (0, false);
    for duty in duties {
        let subject = duty.subject.to_string();
        let key = [duty.order.as_str().into(), duty.clock.as_str().into(), subject.as_str().into()];
        let mut stored = tx.query(SAME, &[key[0], key[1], key[2], duty.opened.into()])?;
        if stored.is_empty() && duty.once {
            stored = tx.query(OTHERS, &key)?;
        }
        let stored: Vec<StoredDuty> = stored.iter().map(stored_duty).collect::<Step<_>>()?;
        let open = tx.query(OPEN_OF_SUBJECT, &key)?.first().map_or(Ok(0), |row| row.count(0))?;
        let opening = opening(&stored, open, duty);
        if opening != Opening::Nothing && count == MOST_OPENED {
            is_unfinished = true;
            break;
        }
        match opening {
            Opening::Nothing => continue,
            Opening::Reopen(number) => {
                tx.execute(REOPEN, &[number.into()])?;
            }
            Opening::MoveBack(number) => {
                tx.execute(MOVE_BACK, &[number.into(), duty.opened.into(), duty.due.into()])?;
            }
            Opening::Insert => {
                let host = match &duty.subject {
                    DutySubject::Host(host) => host.as_bytes().as_slice().into(),
                    DutySubject::Order | DutySubject::Product(_) => Value::Null,
                };
                tx.execute(INSERT, &[key[0], key[1], key[2], host, duty.opened.into(), duty.due.into()])?;
            }
        }
        let stored = tx.query(SAME, &[key[0], key[1], key[2], duty.opened.into()])?;
        let number = stored.first().map_or(Ok(0), |row| row.count(0))?;
        opened.entry((&duty.order, &duty.clock)).or_default().push(number);
        count += 1;
    }
    if !opened.is_empty() {
        tx.execute(PRUNE, &[(now.millis() - KEPT_MS).into()])?;
    }
    let numbers = opened.values().flatten().copied().collect();
    for ((order, clock), duties) in opened {
        tx.record(Entry::DutiesOpened { order: order.clone(), clock: clock.to_owned(), duties });
    }
    Ok(Opened { numbers, is_unfinished })
}

/// Notes that a duty is done.
///
/// # Errors
/// The database fails.
pub(crate) fn finish(tx: &mut dyn AdminTx, asked: &Finish) -> Step<Result<DutyRow, FinishRefusal>> {
    let Some(found) = get(tx, asked.number, &asked.sites)? else { return Ok(Err(FinishRefusal::Unknown)) };
    match found.state {
        DutyState::Open => {}
        DutyState::Done => return Ok(Err(FinishRefusal::Done)),
        DutyState::Closed => return Ok(Err(FinishRefusal::Closed)),
    }
    let Finish { number, reference, evidence, now, .. } = asked;
    let hash = notes::put(tx, reference)?;
    let name = evidence.as_ref().map_or(Value::Null, |file| file.name.as_str().into());
    let sha256 = evidence.as_ref().map_or(Value::Null, |file| file.sha256.as_str().into());
    tx.execute(FINISH, &[number.cast_signed().into(), (*now).into(), hash.as_bytes().as_slice().into(), name, sha256])?;
    if let DutySubject::Host(host) = &found.subject {
        // What was found while too many of its duties were open has none yet.
        tx.execute(PEND_AGAIN, &[host.as_bytes().as_slice().into(), found.order.as_str().into()])?;
    }
    tx.record(Entry::DutyDone {
        duty: *number,
        order: found.order,
        clock: found.clock,
        subject: found.subject,
        reference: hash,
        evidence: evidence.clone(),
    });
    let done = get(tx, *number, &asked.sites)?;
    Ok(done.ok_or(FinishRefusal::Unknown))
}

/// A duty, if there is one with this number that a caller of these sites may see.
///
/// # Errors
/// The database fails.
pub(crate) fn get(tx: &mut dyn AdminTx, number: u64, sites: &SiteScope) -> Step<Option<DutyRow>> {
    // No duty has a number that does not fit.
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    let found = tx.query(GET, &[number.into()])?.first().map(duty_row).transpose()?;
    Ok(found.filter(|duty| duty.is_in(sites)))
}

/// Open duties of an order about this subject that a caller of these sites may see, at most so many, the one that is due first at
/// the beginning.
///
/// # Errors
/// The database fails.
pub(crate) fn about(
    tx: &mut dyn AdminTx,
    order: &OrderId,
    subject: &DutySubject,
    sites: &SiteScope,
    most: usize,
) -> Step<Vec<DutyRow>> {
    let (subject, most) = (subject.to_string(), i64::try_from(most).unwrap_or(i64::MAX));
    let found = tx.query(ABOUT, &[subject.as_str().into(), order.as_str().into(), most.into()])?;
    let duties = found.iter().map(duty_row).collect::<Step<Vec<_>>>()?;
    Ok(duties.into_iter().filter(|duty| duty.is_in(sites)).collect())
}

/// A page of duties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) duties: Vec<DutyRow>,
    /// Due instant and number after which the next page begins; `None` on the last page.
    pub(crate) next: Option<(Timestamp, u64)>,
}

/// At most so many duties that a caller of these sites may see, the one that is due first at the beginning. A page whose caller
/// may see few of many duties has fewer.
///
/// # Errors
/// The database fails.
pub(crate) fn list(
    tx: &mut dyn AdminTx,
    order: Option<&OrderId>,
    all: bool,
    sites: &SiteScope,
    after: Option<(Timestamp, u64)>,
    most: usize,
) -> Step<Listed> {
    let statement = if all { LIST } else { LIST_OPEN };
    let mut at = after.unwrap_or((Timestamp::from_millis(i64::MIN), 0));
    let (mut duties, mut last) = (Vec::new(), at);
    for _ in 0..READS {
        let rows = tx.query(statement, &[at.0.into(), at.1.cast_signed().into(), READ_AT_ONCE.into()])?;
        for row in &rows {
            let duty = duty_row(row)?;
            at = (duty.due, duty.number);
            if order.is_none_or(|order| *order == duty.order) && duty.is_in(sites) {
                if duties.len() == most {
                    return Ok(Listed { duties, next: Some(last) });
                }
                duties.push(duty);
                last = at;
            }
        }
        if (rows.len() as u64) < READ_AT_ONCE.unsigned_abs() {
            return Ok(Listed { duties, next: None });
        }
    }
    Ok(Listed { duties, next: Some(at) })
}

/// How many open duties of an order are past their time, of those that a caller of these sites may see.
///
/// # Errors
/// The database fails.
pub(crate) fn overdue(tx: &mut dyn AdminTx, order: &OrderId, sites: &SiteScope, now: Timestamp) -> Step<u64> {
    overdue_by(tx, OVERDUE, order, sites, now)
}

/// The same at an instant of the past: duties that were open then and past their time.
///
/// # Errors
/// The database fails.
pub(crate) fn overdue_at(tx: &mut dyn AdminTx, order: &OrderId, sites: &SiteScope, at: Timestamp) -> Step<u64> {
    overdue_by(tx, OVERDUE_AT, order, sites, at)
}

fn overdue_by(tx: &mut dyn AdminTx, sql: &'static str, order: &OrderId, sites: &SiteScope, at: Timestamp) -> Step<u64> {
    let mut overdue = 0;
    for row in tx.query(sql, &[order.as_str().into(), at.into()])? {
        // What is about no host has no site.
        let is_seen = match row.text(0)? {
            "" => *sites == SiteScope::All,
            _ => sites.contains(&row.parse("a site", 0)?),
        };
        overdue += if is_seen { row.count(1)? } else { 0 };
    }
    Ok(overdue)
}

/// Duties that a list reads at once, and how often it reads for one page: the time for a page is limited, also where few of them
/// may be seen.
const READ_AT_ONCE: i64 = if cfg!(test) { 4 } else { 1_000 };
const READS: usize = if cfg!(test) { 3 } else { 50 };

fn stored_duty(row: &Row) -> Step<StoredDuty> {
    Ok(StoredDuty { number: row.int(0)?, opened: row.time(1)?, state: state(row, 2)? })
}

fn state(row: &Row, at: usize) -> Step<DutyState> {
    let state = u8::try_from(row.int(at)?).ok().and_then(DutyState::from_code);
    state.ok_or_else(|| StoreFault::damaged("a duty", "it has an unknown state"))
}

fn duty_row(row: &Row) -> Step<DutyRow> {
    let evidence = if row.is_null(8) {
        None
    } else {
        Some(DutyEvidence { name: row.text(8)?.to_owned(), sha256: row.text(9)?.to_owned() })
    };
    let text = |at: usize| if row.is_null(at) { Ok(String::new()) } else { row.text(at).map(str::to_owned) };
    Ok(DutyRow {
        number: row.count(0)?,
        order: row.parse("a duty", 1)?,
        clock: row.text(2)?.to_owned(),
        subject: row.parse("a duty", 3)?,
        opened: row.time(4)?,
        due: row.time(5)?,
        state: state(row, 6)?,
        settled: row.maybe_time(7)?,
        evidence,
        reference: text(10)?,
        hostname: text(11)?,
        site: if row.is_null(12) { None } else { Some(row.parse("a site", 12)?) },
    })
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    IN_FORCE,
    ACTIVITY,
    ACTIVATE,
    DEACTIVATE,
    ADVANCE,
    LANES,
    RETIRED,
    HOSTS,
    OVERDUE,
    OVERDUE_AT,
    PENDING,
    FINDINGS,
    PUT_BACK,
    PEND_AGAIN,
    NOT_PENDING,
    SAME,
    OPEN_OF_SUBJECT,
    OTHERS,
    INSERT,
    REOPEN,
    FINISH,
    OF_ORDER,
    CLOSED,
    MOVE_BACK,
    CLOSE,
    PRUNE,
    GET,
    ABOUT,
    LIST,
    LIST_OPEN,
];
