//! Changes of many hosts: a frozen list of hosts that a job works through in portions, so that it goes on after a crash and holds
//! up no report for long.
//!
//! ```text
//!  begin: [ bulk, bulk_portion…, entry ]  ─►  advance, once for each portion: [ change 400 hosts, count ]  ─►  [ ended, entry ]
//! ```

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{AccountId, BulkKind, BulkReport, Digest, Label, SiteId, Timestamp};

use super::changed::Changed;
use super::{duties, host_labels, host_notes, host_owners, notes, roster, sites};
use crate::ledger::entry::Entry;
use crate::store::SiteScope;
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const LAST: &str = "SELECT coalesce(max(no), 0) FROM bulk";
const RUNNING: &str = "SELECT no, kind, value, account, asked_at, ended_at, hosts, done, changed, refused FROM bulk
     WHERE stage = 1 ORDER BY no LIMIT $1";
const GET: &str =
    "SELECT no, kind, value, account, asked_at, ended_at, hosts, done, changed, refused FROM bulk WHERE no = $1";
const LIST: &str = "SELECT no, kind, value, account, asked_at, ended_at, hosts, done, changed, refused FROM bulk
     ORDER BY no DESC LIMIT $1";
const BEGIN: &str =
    "INSERT INTO bulk (no, kind, value, account, sites, asked_at, ended_at, stage, hosts, done, changed, refused)
     VALUES ($1, $2, $3, $4, $5, $6, NULL, 1, $7, 0, 0, 0)";
const SITES: &str = "SELECT sites FROM bulk WHERE no = $1";
const HEAD: &str = "SELECT no FROM bulk WHERE stage = 1 ORDER BY no LIMIT 1";
const GIVE_UP: &str = "DELETE FROM bulk_portion WHERE bulk = $1";
const STAGE: &str = "INSERT INTO bulk_portion (bulk, no, hosts) VALUES ($1, $2, $3)";
const NEXT: &str = "SELECT no, hosts FROM bulk_portion WHERE bulk = $1 ORDER BY no LIMIT 1";
const DONE: &str = "DELETE FROM bulk_portion WHERE bulk = $1 AND no = $2";
const COUNT: &str = "UPDATE bulk SET done = done + $2, changed = changed + $3, refused = refused + $4 WHERE no = $1";
const END: &str = "UPDATE bulk SET stage = 2, ended_at = $2 WHERE no = $1";
const FORGET: &str = "DELETE FROM bulk WHERE stage = 2 AND no <= $1";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[LAST, RUNNING, GET, LIST, BEGIN, SITES, HEAD, GIVE_UP, STAGE, NEXT, DONE, COUNT, END, FORGET];

/// Hosts that one transaction changes. Each may be judged again, which counts among the rows that a transaction may change.
pub(crate) const PORTION: usize = 400;

/// Bulk changes that may wait or run at once.
pub(crate) const MOST_RUNNING: i64 = 20;

/// Bulk changes that are kept after their end.
pub(crate) const KEPT: i64 = 1_000;

/// A change of many hosts that a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewBulk {
    pub(crate) kind: BulkKind,
    /// The label, owner, note or site.
    pub(crate) value: String,
    /// The account that asks; `None` for a user of the collector's machine.
    pub(crate) account: Option<AccountId>,
    /// The sites whose hosts it may change, also when the change comes to them.
    pub(crate) sites: SiteScope,
    /// The row numbers of the hosts, at most [`limits::BULK_HOSTS`].
    pub(crate) hosts: Vec<i64>,
}

/// Begins a bulk change and freezes its list of hosts; `None` if as many run as may. Returns its number.
///
/// # Errors
/// The database fails.
pub(crate) fn begin(tx: &mut dyn AdminTx, new: &NewBulk, now: Timestamp) -> Step<Option<u64>> {
    if tx.query(RUNNING, &[MOST_RUNNING.into()])?.len() as i64 == MOST_RUNNING {
        return Ok(None);
    }
    let no = 1 + tx.query(LAST, &[])?.first().map_or(Ok(0), |row| row.int(0))?;
    let account = new.account.as_ref().map_or("", |account| account.as_str());
    let hosts = new.hosts.len() as i64;
    let (kind, value) = (i64::from(new.kind.code()), new.value.as_str());
    let sites = match &new.sites {
        SiteScope::All => String::new(),
        SiteScope::Only(sites) => sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(" "),
    };
    let account_and_sites: [Value<'_>; 2] = [account.into(), sites.as_str().into()];
    let [account, sites] = account_and_sites;
    tx.execute(BEGIN, &[no.into(), kind.into(), value.into(), account, sites, now.into(), hosts.into()])?;
    let packed: Vec<Vec<u8>> = new.hosts.chunks(PORTION).map(pack).collect();
    let lists: Vec<Vec<Value<'_>>> =
        (1_i64..).zip(&packed).map(|(at, hosts)| vec![no.into(), at.into(), hosts.as_slice().into()]).collect();
    tx.note_progress_each(STAGE, &lists)?;
    let (value, text) = match new.kind {
        BulkKind::Label | BulkKind::Unlabel | BulkKind::Move => (Some(new.value.clone()), None),
        // Also an empty text has a hash, by which the entry says that nobody answers for the hosts.
        BulkKind::Own | BulkKind::Note => (None, Some(notes::put(tx, &new.value)?)),
    };
    let bulk = no.unsigned_abs();
    tx.record(Entry::BulkStarted { bulk, change: new.kind, value, text, selected: new.hosts.len() as u64 });
    Ok(Some(bulk))
}

/// Whether a bulk change runs.
///
/// # Errors
/// The database fails.
pub(crate) fn is_running(tx: &mut dyn AdminTx) -> Step<bool> {
    Ok(!tx.query(RUNNING, &[1.into()])?.is_empty())
}

/// The labels that decide to which hosts an active order applies, in one version of the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScopeLabels {
    pub(crate) rules: String,
    pub(crate) labels: BTreeSet<Label>,
}

impl ScopeLabels {
    /// Whether hosts are judged again when they get or lose a label. Under rules that are not those in force, every label may decide.
    /// Rules come into force after this transaction or before it, and then all hosts are judged.
    fn decide(&self, tx: &mut dyn AdminTx, label: &str) -> Step<bool> {
        let is_named = self.labels.iter().any(|one| one.as_str() == label);
        Ok(is_named || duties::rules_in_force(tx)?.as_deref() != Some(&self.rules))
    }
}

/// Changes a portion of the hosts of the bulk change that was asked for first, or ends it; says whether one runs.
///
/// # Errors
/// The database fails.
pub(crate) fn advance(tx: &mut dyn AdminTx, scope: &ScopeLabels, now: Timestamp) -> Step<bool> {
    let Some(bulk) = tx.query(RUNNING, &[1.into()])?.first().map(report).transpose()? else { return Ok(false) };
    let no = bulk.number.cast_signed();
    let Some(portion) = tx.query(NEXT, &[no.into()])?.into_iter().next() else {
        tx.execute(END, &[no.into(), now.into()])?;
        tx.note_progress(FORGET, &[(no - KEPT).into()])?;
        tx.record(Entry::BulkEnded { bulk: bulk.number, changed: bulk.changed, refused: bulk.refused });
        return Ok(true);
    };
    let listed = unpack(portion.blob(1)?)?;
    // Another change may have moved hosts since they were selected.
    let sites = sites_of(tx, no)?;
    let hosts = super::hosts::at_sites(tx, &listed, &sites)?;
    let Changed { changed, refused } = change(tx, &bulk, &hosts, scope, now)?;
    let refused = refused + (listed.len() - hosts.len()) as u64;
    tx.note_progress(DONE, &[no.into(), portion.int(0)?.into()])?;
    let counts = [listed.len() as u64, changed, refused].map(|count| Value::from(count.cast_signed()));
    let [done, changed, refused] = counts;
    tx.note_progress(COUNT, &[no.into(), done, changed, refused])?;
    Ok(true)
}

/// Ends the bulk change that was asked for first although hosts are left: its rows are damaged. Returns its number.
///
/// # Errors
/// The database fails.
pub(crate) fn give_up(tx: &mut dyn AdminTx, now: Timestamp) -> Step<Option<u64>> {
    let Some(no) = tx.query(HEAD, &[])?.first().map(|row| row.int(0)).transpose()? else { return Ok(None) };
    tx.note_progress(GIVE_UP, &[no.into()])?;
    tx.execute(END, &[no.into(), now.into()])?;
    let counted = tx.query(GET, &[no.into()])?;
    let count = |at: usize| counted.first().and_then(|row| row.count(at).ok()).unwrap_or(0);
    let (hosts, done, changed, refused) = (count(6), count(7), count(8), count(9));
    let bulk = no.unsigned_abs();
    tx.record(Entry::BulkEnded { bulk, changed, refused: refused + hosts.saturating_sub(done) });
    Ok(Some(bulk))
}

fn sites_of(tx: &mut dyn AdminTx, no: i64) -> Step<SiteScope> {
    let rows = tx.query(SITES, &[no.into()])?;
    let text = rows.first().map_or(Ok(""), |row| row.text(0))?;
    let site = |text: &str| SiteId::new(text).map_err(|error| StoreFault::damaged("a bulk change", error.to_string()));
    let sites = text.split(' ').filter(|site| !site.is_empty()).map(site).collect::<Step<Vec<SiteId>>>()?;
    Ok(SiteScope::of(&sites))
}

fn change(
    tx: &mut dyn AdminTx,
    bulk: &BulkReport,
    hosts: &[i64],
    scope: &ScopeLabels,
    now: Timestamp,
) -> Step<Changed> {
    match bulk.kind {
        BulkKind::Label | BulkKind::Unlabel => {
            let (changed, refused) = if bulk.kind == BulkKind::Label {
                host_labels::add(tx, hosts, &bulk.value, now)?
            } else {
                (host_labels::remove(tx, hosts, &bulk.value, now)?, 0)
            };
            if scope.decide(tx, &bulk.value)? {
                changed.iter().for_each(|host| tx.requeue(*host));
            }
            Ok(Changed { changed: changed.len() as u64, refused })
        }
        BulkKind::Own => host_owners::put(tx, hosts, &bulk.value, now),
        BulkKind::Note => {
            let account = bulk.account.as_ref().map_or("", |account| account.as_str());
            host_notes::add(tx, hosts, (account, &Digest::of(bulk.value.as_bytes())), now)
        }
        BulkKind::Move => relocate(tx, hosts, &bulk.value, now),
    }
}

fn relocate(tx: &mut dyn AdminTx, hosts: &[i64], site: &str, now: Timestamp) -> Step<Changed> {
    let site = SiteId::new(site).map_err(|error| StoreFault::damaged("a bulk change", error.to_string()))?;
    let number = sites::number_noted(tx, &site)?;
    let elsewhere = super::hosts::not_at(tx, hosts, &site)?;
    let numbers: Vec<i64> = elsewhere.iter().map(|(no, _)| *no).collect();
    for (no, id) in &elsewhere {
        tx.move_host(*no, number);
        tx.requeue(*no);
        tx.forget_identity(*id);
    }
    roster::hosts_moved(tx, &numbers, &site, now)?;
    Ok(Changed { changed: numbers.len() as u64, refused: 0 })
}

/// A bulk change.
///
/// # Errors
/// The database fails.
pub(crate) fn get(tx: &mut dyn AdminTx, number: u64) -> Step<Option<BulkReport>> {
    tx.query(GET, &[number.cast_signed().into()])?.first().map(report).transpose()
}

/// The newest bulk changes, at most this many.
///
/// # Errors
/// The database fails.
pub(crate) fn list(tx: &mut dyn AdminTx, most: usize) -> Step<Vec<BulkReport>> {
    let rows = tx.query(LIST, &[i64::try_from(most).unwrap_or(KEPT).into()])?;
    // One damaged row must not hide the others.
    Ok(rows.iter().filter_map(|row| report(row).ok()).collect())
}

fn report(row: &Row) -> Step<BulkReport> {
    let kind = u8::try_from(row.int(1)?).ok().and_then(BulkKind::from_code);
    let account = row.text(3)?;
    Ok(BulkReport {
        number: row.count(0)?,
        kind: kind.ok_or_else(|| StoreFault::damaged("a bulk change", "its kind is unknown"))?,
        value: row.text(2)?.to_owned(),
        account: if account.is_empty() { None } else { Some(row.parse("an account", 3)?) },
        asked_at: row.time(4)?,
        ended_at: row.maybe_time(5)?,
        hosts: row.count(6)?,
        done: row.count(7)?,
        changed: row.count(8)?,
        refused: row.count(9)?,
    })
}

fn pack(hosts: &[i64]) -> Vec<u8> {
    hosts.iter().flat_map(|host| host.to_be_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> Step<Vec<i64>> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || numbers.len() > limits::BULK_HOSTS {
        return Err(StoreFault::damaged("a bulk change", "its list of hosts is not one"));
    }
    Ok(numbers.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect())
}
