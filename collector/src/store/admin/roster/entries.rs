//! Reading the roster: its entries, its sources, and how many machines it has.

use std::collections::BTreeMap;

use muster_proto::model::{
    CandidateReason, CandidateReport, Digest, EntryReport, EntryState, HostId, IdentifierKind, Platform, RecordReport,
    RosterSourceReport, SiteId, Timestamp,
};

use super::{moves, records};
use crate::store::SiteScope;
use crate::store::admin::notes;
use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const COLUMNS_OF_ONE: &str = "SELECT no, name, site, counted_site, platform, state, since, host, basis, note, listed_at
     FROM roster_entry WHERE no = $1";
const LIST: &str = "SELECT no, name, site, counted_site, platform, state, since, host, basis, note, listed_at
     FROM roster_entry WHERE (name, no) > ($1, $2) AND state <> $3 ORDER BY name, no LIMIT $4";
const LIST_OF_STATE: &str = "SELECT no, name, site, counted_site, platform, state, since, host, basis, note, listed_at
     FROM roster_entry WHERE (name, no) > ($1, $2) AND state = $3 ORDER BY name, no LIMIT $4";
const HOST: &str =
    "SELECT h.id, h.hostname, h.site, r.last_seen FROM host_row h JOIN identity_row r ON r.no = h.no WHERE h.no = $1";
const CANDIDATES: &str = "SELECT host, agreeing, why FROM roster_candidate WHERE entry = $1 ORDER BY host";
const OF_HOST: &str = "SELECT e.no FROM roster_entry e JOIN host_row h ON h.no = e.host WHERE h.id = $1";
const SOURCES: &str = "SELECT no, name, imported_at FROM roster_source ORDER BY name";
const OF_SOURCE: &str = "SELECT e.state, count(*) FROM roster_record r JOIN roster_entry e ON e.no = r.entry
     WHERE r.source = $1 AND r.closed_at IS NULL GROUP BY e.state ORDER BY e.state";
const COUNTS: &str =
    "SELECT state, site, platform, entries FROM roster_count WHERE entries > 0 ORDER BY state, site, platform";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[COLUMNS_OF_ONE, LIST, LIST_OF_STATE, HOST, CANDIDATES, OF_HOST, SOURCES, OF_SOURCE, COUNTS];

/// Entries that are read at a time.
const PORTION: i64 = 500;
/// Entries that one request may read, because few of them may be of the caller's sites or have the text. Tests have fewer.
const BUDGET: usize = if cfg!(test) { 1_000 } else { 20_000 };

/// Which entries are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct EntriesAsked {
    /// Only those in this state; without it, all that are not closed.
    pub(crate) state: Option<EntryState>,
    /// Only those without a host, also if a person has to decide whether they have one.
    pub(crate) without_host: bool,
    /// Only those of which a list has this text in a name, identifier or owner; in lower case.
    pub(crate) text: String,
    /// Only those that some sources have and others do not.
    pub(crate) differing: bool,
    /// The sites that the caller may see. Entries without a site are for callers of all sites.
    pub(crate) sites: SiteScope,
    /// The name and the number after which the page begins.
    pub(crate) after: Option<(String, i64)>,
    pub(crate) rows: usize,
}

/// A page of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EntriesPage {
    pub(crate) entries: Vec<EntryReport>,
    /// Where the next page begins; `None` if nothing follows.
    pub(crate) next: Option<(String, i64)>,
}

/// A page of entries in the order of their names.
///
/// # Errors
/// The database fails.
pub(crate) fn list(tx: &mut dyn AdminTx, asked: &EntriesAsked) -> Step<EntriesPage> {
    let mut page = EntriesPage::default();
    let (mut name, mut no) = asked.after.clone().unwrap_or_default();
    let (sql, state) = match asked.state {
        Some(state) => (LIST_OF_STATE, state),
        None => (LIST, EntryState::Closed),
    };
    let sources = sources(tx)?.iter().filter(|source| source.records > 0).count();
    let mut read = 0;
    loop {
        let values: [Value<'_>; 4] = [name.as_str().into(), no.into(), i64::from(state.code()).into(), PORTION.into()];
        let rows = tx.query(sql, &values)?;
        let is_last = (rows.len() as i64) < PORTION;
        read += rows.len();
        let visible: Vec<&Row> = rows
            .iter()
            .filter_map(|row| is_visible(row, &asked.sites).map(|seen| seen.then_some(row)).transpose())
            .collect::<Step<_>>()?;
        for entry in reports(tx, &visible, &asked.sites)? {
            if !is_asked(&entry, asked, sources) {
                continue;
            }
            if page.entries.len() == asked.rows {
                page.next = page.entries.last().map(key);
                return Ok(page);
            }
            page.entries.push(entry);
        }
        let Some(last) = rows.last().filter(|_| !is_last) else { return Ok(page) };
        (name, no) = (last.text(1)?.to_owned(), last.int(0)?);
        if read >= BUDGET {
            page.next = Some((name, no));
            return Ok(page);
        }
    }
}

fn key(entry: &EntryReport) -> (String, i64) {
    (entry.name.clone(), entry.number.cast_signed())
}

/// One entry; `None` if there is none that a caller of these sites may see.
///
/// # Errors
/// The database fails.
pub(crate) fn get(tx: &mut dyn AdminTx, number: u64, sites: &SiteScope) -> Step<Option<EntryReport>> {
    let rows = tx.query(COLUMNS_OF_ONE, &[number.cast_signed().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    if !is_visible(row, sites)? {
        return Ok(None);
    }
    Ok(reports(tx, &[row], sites)?.pop())
}

/// The entry that a host is matched with.
///
/// # Errors
/// The database fails.
pub(crate) fn of_host(tx: &mut dyn AdminTx, host: HostId, sites: &SiteScope) -> Step<Option<EntryReport>> {
    let rows = tx.query(OF_HOST, &[host.as_bytes().as_slice().into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    get(tx, row.count(0)?, sites)
}

/// The sources, in the order of their names.
///
/// # Errors
/// The database fails.
pub(crate) fn sources(tx: &mut dyn AdminTx) -> Step<Vec<RosterSourceReport>> {
    let mut sources = Vec::new();
    for row in tx.query(SOURCES, &[])? {
        let mut source =
            RosterSourceReport { name: row.text(1)?.to_owned(), imported: row.time(2)?, records: 0, missing: 0 };
        for count in tx.query(OF_SOURCE, &[row.int(0)?.into()])? {
            let records = count.count(1)?;
            source.records += records;
            source.missing += if moves::state(&count, 0)?.is_missing() { records } else { 0 };
        }
        sources.push(source);
    }
    Ok(sources)
}

/// The number of entries in each state.
///
/// # Errors
/// The database fails.
pub(crate) fn counts(tx: &mut dyn AdminTx) -> Step<BTreeMap<EntryState, u64>> {
    let mut counts = BTreeMap::new();
    for row in tx.query(COUNTS, &[])? {
        *counts.entry(moves::state(&row, 0)?).or_default() += row.count(3)?;
    }
    Ok(counts)
}

/// Whether a caller of these sites may see the entry of a row.
fn is_visible(row: &Row, sites: &SiteScope) -> Step<bool> {
    if *sites == SiteScope::All {
        return Ok(true);
    }
    Ok(site(row, 3)?.is_some_and(|site| sites.contains(&site)))
}

fn site(row: &Row, at: usize) -> Step<Option<SiteId>> {
    if row.text(at)?.is_empty() { Ok(None) } else { row.parse("a site", at).map(Some) }
}

fn is_asked(entry: &EntryReport, asked: &EntriesAsked, sources: usize) -> bool {
    let open = || entry.records.iter().filter(|record| record.closed.is_none());
    let has_text = || {
        let texts = open().flat_map(|record| {
            let row = &record.row;
            [&row.name, &row.fqdn, &row.serial, &row.hardware_uuid, &row.owner, &row.owner_email, &row.external_id]
                .into_iter()
                .chain(&row.macs)
        });
        texts.chain([&entry.hostname, &entry.name]).any(|text| text.to_lowercase().contains(&asked.text))
    };
    (!asked.without_host || entry.state.is_missing())
        && (!asked.differing || open().count() < sources)
        && (asked.text.is_empty() || has_text())
}

/// The entries of rows, with their records, hosts and candidates.
fn reports(tx: &mut dyn AdminTx, rows: &[&Row], sites: &SiteScope) -> Step<Vec<EntryReport>> {
    let numbers: Vec<i64> = rows.iter().map(|row| row.int(0)).collect::<Step<_>>()?;
    let mut records = records::of_entries(tx, &numbers)?;
    let lists: Vec<Vec<Value<'_>>> = numbers.iter().map(|no| vec![(*no).into()]).collect();
    let candidates = tx.query_each(CANDIDATES, &lists)?;
    let mut wanted: Vec<i64> = candidates.iter().flatten().map(|row| row.int(0)).collect::<Step<_>>()?;
    for row in rows.iter().filter(|row| !row.is_null(7)) {
        wanted.push(row.int(7)?);
    }
    let hosts = hosts(tx, &wanted)?;
    let mut reports = Vec::new();
    for (row, candidates) in rows.iter().zip(&candidates) {
        let no = row.int(0)?;
        let host = if row.is_null(7) { None } else { hosts.get(&row.int(7)?) };
        let note = if row.is_null(9) { None } else { notes::get(tx, &Digest::from_bytes(row.bytes(9)?))? };
        let records = records.remove(&no).unwrap_or_default();
        reports.push(EntryReport {
            number: no.unsigned_abs(),
            name: row.text(1)?.to_owned(),
            site: site(row, 3)?,
            platform: u8::try_from(row.int(4)?).ok().and_then(Platform::from_code),
            state: moves::state(row, 5)?,
            since: row.time(6)?,
            listed: row.time(10)?,
            host: host.map(|host| host.id),
            hostname: host.map(|host| host.hostname.clone()).unwrap_or_default(),
            basis: moves::basis(row, 8)?,
            note: note.unwrap_or_default(),
            records: records
                .into_iter()
                .map(|record| RecordReport { source: record.source, row: record.row, closed: record.closed })
                .collect(),
            candidates: candidates
                .iter()
                .filter_map(|row| candidate(row, &hosts, sites).transpose())
                .collect::<Step<_>>()?,
        });
    }
    Ok(reports)
}

/// A host that entries name.
struct NamedHost {
    id: HostId,
    hostname: String,
    site: SiteId,
    last_seen: Timestamp,
}

fn hosts(tx: &mut dyn AdminTx, numbers: &[i64]) -> Step<BTreeMap<i64, NamedHost>> {
    let lists: Vec<Vec<Value<'_>>> = numbers.iter().map(|no| vec![(*no).into()]).collect();
    let mut hosts = BTreeMap::new();
    for (no, rows) in numbers.iter().zip(tx.query_each(HOST, &lists)?) {
        if let Some(row) = rows.first() {
            let host = NamedHost {
                id: HostId::from_bytes(row.bytes(0)?),
                hostname: row.text(1)?.to_owned(),
                site: row.parse("a site", 2)?,
                last_seen: row.time(3)?,
            };
            hosts.insert(*no, host);
        }
    }
    Ok(hosts)
}

/// A candidate; `None` if it is gone or of another site.
fn candidate(row: &Row, hosts: &BTreeMap<i64, NamedHost>, sites: &SiteScope) -> Step<Option<CandidateReport>> {
    let host = hosts.get(&row.int(0)?).filter(|host| sites.contains(&host.site));
    let Some(host) = host else { return Ok(None) };
    let unknown = || StoreFault::damaged("a candidate of the roster", "it is unknown why it was not matched");
    let agreeing = row.text(1)?.split_whitespace().filter_map(|kind| kind.parse::<IdentifierKind>().ok());
    Ok(Some(CandidateReport {
        host: host.id,
        hostname: host.hostname.clone(),
        site: host.site.clone(),
        last_seen: host.last_seen,
        agreeing: agreeing.collect(),
        why: u8::try_from(row.int(2)?).ok().and_then(CandidateReason::from_code).ok_or_else(unknown)?,
    }))
}
