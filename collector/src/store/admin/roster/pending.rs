//! Matching: a job goes through the entries that changed, and through those of hosts that changed.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{EntryState, HostId, Identifier, MatchBasis, Timestamp};

use super::moves::{self, EntryRow, Moves, Place};
use super::records;
use crate::ledger::entry::Entry;
use crate::store::admin::identifier_row::identifier;
use crate::store::decide::roster::{self, Candidate, EntrySeen, HostSeen};
use crate::store::sql::{AdminTx, Row, Step, Value};

const PENDING: &str = "SELECT entry FROM roster_pending ORDER BY entry LIMIT $1";
const ADD: &str = "INSERT INTO roster_pending (entry) VALUES ($1) ON CONFLICT (entry) DO NOTHING";
const DONE: &str = "DELETE FROM roster_pending WHERE entry = $1";
const ANY_SOURCE: &str = "SELECT no FROM roster_source ORDER BY no LIMIT 1";
const ENTRIES_WITH: &str =
    "SELECT DISTINCT entry FROM roster_identifier WHERE value = $1 AND kind = $2 ORDER BY entry LIMIT $3";
const ENTRY_OF_HOST: &str = "SELECT no FROM roster_entry WHERE host = $1";
const ENTRIES_PROPOSED: &str = "SELECT entry FROM roster_candidate WHERE host = $1 ORDER BY entry LIMIT $2";
const HOSTS_WITH: &str =
    "SELECT i.host, r.last_seen, e.no, e.basis, r.enrolled_at FROM host_identifier i JOIN identity_row r ON r.no = i.host
     LEFT JOIN roster_entry e ON e.host = i.host WHERE i.value = $1 AND i.kind = $2 ORDER BY i.host LIMIT $3";
const OF_HOST: &str = "SELECT kind, value FROM host_identifier WHERE host = $1 ORDER BY kind, value";
const APART: &str = "SELECT host FROM roster_apart WHERE entry = $1 ORDER BY host";
const NO_CANDIDATES: &str = "DELETE FROM roster_candidate WHERE entry = $1";
const CANDIDATE: &str = "INSERT INTO roster_candidate (entry, host, agreeing, why) VALUES ($1, $2, $3, $4)";
const HOST_ID: &str = "SELECT id FROM host_row WHERE no = $1";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    PENDING,
    ADD,
    DONE,
    ANY_SOURCE,
    ENTRIES_WITH,
    ENTRY_OF_HOST,
    ENTRIES_PROPOSED,
    HOSTS_WITH,
    OF_HOST,
    APART,
    NO_CANDIDATES,
    CANDIDATE,
    HOST_ID,
];

/// Entries that one transaction matches: each changes at most two dozen rows.
const PORTION: i64 = 100;

/// An identifier that so many hosts or entries have identifies none of them.
pub(super) const COMMON: usize = 12;

/// Notes the entries that these hosts may be the machines of, by the identifiers that changed.
pub(crate) fn note_hosts(tx: &mut dyn AdminTx, hosts: &BTreeMap<i64, Vec<Identifier>>) -> Step<()> {
    if hosts.is_empty() || tx.query(ANY_SOURCE, &[])?.is_empty() {
        return Ok(());
    }
    let mut entries = BTreeSet::new();
    let changed = hosts.values().flatten().flat_map(|one| std::iter::once(one.clone()).chain(one.swapped()));
    let changed: BTreeSet<Identifier> = changed.collect();
    for found in entries_with(tx, &changed)?.into_values().filter(|found| found.len() < COMMON) {
        entries.extend(found);
    }
    let lists: Vec<Vec<Value<'_>>> = hosts.keys().map(|host| vec![(*host).into()]).collect();
    for row in tx.query_each(ENTRY_OF_HOST, &lists)?.iter().flatten() {
        entries.insert(row.int(0)?);
    }
    let lists: Vec<Vec<Value<'_>>> = hosts.keys().map(|host| vec![(*host).into(), (COMMON as i64).into()]).collect();
    for row in tx.query_each(ENTRIES_PROPOSED, &lists)?.iter().flatten() {
        entries.insert(row.int(0)?);
    }
    note(tx, &entries)
}

/// Notes entries that must be matched again.
pub(super) fn note(tx: &mut dyn AdminTx, entries: &BTreeSet<i64>) -> Step<()> {
    let lists: Vec<Vec<Value<'_>>> = entries.iter().map(|entry| vec![(*entry).into()]).collect();
    tx.note_progress_each(ADD, &lists).map(drop)
}

/// The entries that have each of these identifiers; at most [`COMMON`] of each.
pub(super) fn entries_with(
    tx: &mut dyn AdminTx,
    identifiers: &BTreeSet<Identifier>,
) -> Step<BTreeMap<Identifier, BTreeSet<i64>>> {
    let values = |one: &'_ Identifier| -> (i64, String) { (i64::from(one.kind.code()), one.value.clone()) };
    let owned: Vec<_> = identifiers.iter().map(values).collect();
    let lists: Vec<Vec<Value<'_>>> =
        owned.iter().map(|(kind, value)| vec![value.as_str().into(), (*kind).into(), (COMMON as i64).into()]).collect();
    let found = tx.query_each(ENTRIES_WITH, &lists)?;
    let entries = |rows: &Vec<crate::store::sql::Row>| rows.iter().map(|row| row.int(0)).collect::<Step<BTreeSet<_>>>();
    identifiers.iter().zip(&found).map(|(one, rows)| Ok((one.clone(), entries(rows)?))).collect()
}

/// Whether any entry waits.
///
/// # Errors
/// The database fails.
pub(crate) fn is_pending(tx: &mut dyn AdminTx) -> Step<bool> {
    Ok(!tx.query(PENDING, &[1.into()])?.is_empty())
}

/// Matches a portion of the entries that changed. `identifies` says whether an identifier is of one machine, and no placeholder. Returns
/// whether more entries wait.
///
/// # Errors
/// The database fails.
pub(crate) fn advance(tx: &mut dyn AdminTx, identifies: &dyn Fn(&Identifier) -> bool, now: Timestamp) -> Step<bool> {
    let rows = tx.query(PENDING, &[PORTION.into()])?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.int(0)).collect::<Step<_>>()?;
    if numbers.is_empty() {
        return Ok(false);
    }
    let entries = moves::load(tx, &numbers)?;
    let mut seen = Seen::read(tx, &numbers, identifies)?;
    let (mut moves, mut again) = (Moves::new(now), BTreeSet::new());
    moves.read_sites(tx, seen.hosts.keys())?;
    let (mut matched, mut unmatched) = (Vec::new(), Vec::new());
    for row in entries.values() {
        // It has lost its host to another entry of this portion, and is matched anew.
        if again.contains(&row.no) {
            continue;
        }
        let change = decided(row, &seen);
        let Some((place, candidates)) = change else { continue };
        // A probable match gives way to a certain one, and its entry is matched anew.
        if let Some(host) = place.host
            && let Some((other, _)) =
                seen.hosts.get(&host).and_then(|host| host.matched).filter(|(other, _)| *other != row.no)
        {
            if let Some(losing) = moves::load(tx, &[other])?.remove(&other) {
                moves.put(tx, &losing, Place::without(EntryState::Missing))?;
                unmatched.extend(losing.host.map(|host| (other, host)));
            }
            matched.retain(|(entry, ..): &(i64, i64, MatchBasis)| *entry != other);
            again.insert(other);
        }
        if (row.host, row.basis) != (place.host, place.basis) {
            unmatched.extend(row.host.map(|host| (row.no, host)));
            matched.extend(place.host.map(|host| (row.no, host, place.basis)));
        }
        moves.put(tx, row, place)?;
        seen.matched(row, place);
        put_candidates(tx, row.no, &candidates)?;
    }
    moves.finish(tx)?;
    record_unmatched(tx, &unmatched)?;
    for basis in [MatchBasis::Certain, MatchBasis::Probable] {
        let of_basis: Vec<_> =
            matched.iter().filter(|(.., how)| *how == basis).map(|(entry, host, _)| (*entry, *host)).collect();
        record_matched(tx, &of_basis, basis)?;
    }
    let lists: Vec<Vec<Value<'_>>> = numbers.iter().map(|no| vec![(*no).into()]).collect();
    tx.note_progress_each(DONE, &lists)?;
    note(tx, &again)?;
    Ok(numbers.len() as i64 == PORTION || !again.is_empty())
}

/// Where an entry goes, and the hosts that a person is asked about; `None` if it stays as it is.
fn decided(row: &EntryRow, seen: &Seen) -> Option<(Place, Vec<Candidate>)> {
    match (row.state, row.basis) {
        (EntryState::Closed, _) | (EntryState::Matched, MatchBasis::ByHand) => return None,
        (EntryState::Matched | EntryState::Missing | EntryState::Review | EntryState::Excused, _) => {}
    }
    let entry = seen.entries.get(&row.no)?;
    let matching = roster::matching(entry, &seen.hosts_of(entry));
    let place = match matching.host {
        Some((host, basis)) => Place::at(host, basis),
        // An excuse holds until a host is found.
        None if row.state == EntryState::Excused => return None,
        None if matching.candidates.is_empty() => Place::without(EntryState::Missing),
        None => Place::without(EntryState::Review),
    };
    Some((place, matching.candidates))
}

fn put_candidates(tx: &mut dyn AdminTx, entry: i64, candidates: &[Candidate]) -> Step<()> {
    tx.progress_later(NO_CANDIDATES, &[entry.into()])?;
    for Candidate { host, agreeing, why } in candidates {
        let agreeing: Vec<&str> = agreeing.iter().map(|kind| kind.name()).collect();
        let agreeing = agreeing.join(" ");
        let why = i64::from(why.code());
        tx.progress_later(CANDIDATE, &[entry.into(), (*host).into(), agreeing.as_str().into(), why.into()])?;
    }
    Ok(())
}

/// Notes in the ledger which entries, each with its host, were matched.
pub(super) fn record_matched(tx: &mut dyn AdminTx, matched: &[(i64, i64)], basis: MatchBasis) -> Step<()> {
    if !matched.is_empty() {
        let (entries, hosts) = named(tx, matched)?;
        tx.record(Entry::RosterMatched { entries, hosts, basis });
    }
    Ok(())
}

/// Notes in the ledger which entries, each with its host, are no longer matched.
pub(super) fn record_unmatched(tx: &mut dyn AdminTx, unmatched: &[(i64, i64)]) -> Step<()> {
    if !unmatched.is_empty() {
        let (entries, hosts) = named(tx, unmatched)?;
        tx.record(Entry::RosterUnmatched { entries, hosts });
    }
    Ok(())
}

fn named(tx: &mut dyn AdminTx, pairs: &[(i64, i64)]) -> Step<(Vec<u64>, Vec<HostId>)> {
    let entries = pairs.iter().map(|(entry, _)| entry.unsigned_abs()).collect();
    let lists: Vec<Vec<Value<'_>>> = pairs.iter().map(|(_, host)| vec![(*host).into()]).collect();
    let id = |rows: &Vec<Row>| rows.first().map_or(Ok([0; 16]), |row| row.bytes(0)).map(HostId::from_bytes);
    let hosts = tx.query_each(HOST_ID, &lists)?.iter().map(id).collect::<Step<Vec<_>>>()?;
    Ok((entries, hosts))
}

/// What the decision about some entries depends on.
#[derive(Default)]
struct Seen {
    entries: BTreeMap<i64, EntrySeen>,
    hosts: BTreeMap<i64, HostAndEntry>,
    /// The hosts that have each identifier.
    with: BTreeMap<Identifier, BTreeSet<i64>>,
    /// Pairs of entry and host that a person took apart.
    apart: BTreeSet<(i64, i64)>,
}

/// A host, and the entry that it is matched with.
struct HostAndEntry {
    identifiers: BTreeSet<Identifier>,
    last_seen: Timestamp,
    enrolled_at: Timestamp,
    matched: Option<(i64, MatchBasis)>,
}

impl Seen {
    fn read(tx: &mut dyn AdminTx, entries: &[i64], identifies: &dyn Fn(&Identifier) -> bool) -> Step<Self> {
        let mut seen = Self::default();
        let of_entries = records::identifiers(tx, entries)?;
        let of_entries: BTreeMap<i64, BTreeSet<Identifier>> = of_entries
            .into_iter()
            .map(|(no, all)| (no, all.into_iter().filter(|one| identifies(one)).collect()))
            .collect();
        let all: BTreeSet<Identifier> =
            of_entries.values().flatten().flat_map(|one| std::iter::once(one.clone()).chain(one.swapped())).collect();
        seen.read_hosts(tx, &all, identifies)?;
        let shared = entries_with(tx, &all)?;
        for (no, identifiers) in of_entries {
            let is_shared = |one: &&Identifier| {
                let spelled = std::iter::once((*one).clone()).chain(one.swapped());
                spelled.filter_map(|one| shared.get(&one)).flatten().any(|other| *other != no)
            };
            let shared = identifiers.iter().filter(is_shared).cloned().collect();
            seen.entries.insert(no, EntrySeen { no, identifiers, shared });
        }
        let lists: Vec<Vec<Value<'_>>> = entries.iter().map(|no| vec![(*no).into()]).collect();
        for (entry, rows) in entries.iter().zip(tx.query_each(APART, &lists)?) {
            for row in rows {
                seen.apart.insert((*entry, row.int(0)?));
            }
        }
        Ok(seen)
    }

    fn read_hosts(
        &mut self,
        tx: &mut dyn AdminTx,
        identifiers: &BTreeSet<Identifier>,
        identifies: &dyn Fn(&Identifier) -> bool,
    ) -> Step<()> {
        let owned: Vec<_> = identifiers.iter().map(|one| (one.value.clone(), i64::from(one.kind.code()))).collect();
        let lists: Vec<Vec<Value<'_>>> = owned
            .iter()
            .map(|(value, kind)| vec![value.as_str().into(), (*kind).into(), (COMMON as i64).into()])
            .collect();
        for (one, rows) in identifiers.iter().zip(tx.query_each(HOSTS_WITH, &lists)?) {
            if rows.len() >= COMMON {
                continue;
            }
            for row in &rows {
                let matched = if row.is_null(2) { None } else { Some((row.int(2)?, moves::basis(row, 3)?)) };
                let (host, last_seen) = (row.int(0)?, row.time(1)?);
                self.with.entry(one.clone()).or_default().insert(host);
                let enrolled_at = row.time(4)?;
                let identifiers = BTreeSet::new();
                self.hosts.insert(host, HostAndEntry { identifiers, last_seen, enrolled_at, matched });
            }
        }
        let hosts: Vec<i64> = self.hosts.keys().copied().collect();
        let lists: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![(*host).into()]).collect();
        for (host, rows) in hosts.iter().zip(tx.query_each(OF_HOST, &lists)?) {
            let all = rows.iter().map(|row| identifier(row, 0)).collect::<Step<BTreeSet<_>>>()?;
            if let Some(known) = self.hosts.get_mut(host) {
                known.identifiers = all.into_iter().filter(|one| identifies(one)).collect();
            }
        }
        Ok(())
    }

    /// The hosts that have an identifier of an entry.
    fn hosts_of(&self, entry: &EntrySeen) -> Vec<HostSeen> {
        let spelled = entry.identifiers.iter().flat_map(|one| std::iter::once(one.clone()).chain(one.swapped()));
        let hosts: BTreeSet<i64> = spelled.filter_map(|one| self.with.get(&one)).flatten().copied().collect();
        let seen = |no: i64| {
            let host = self.hosts.get(&no)?;
            Some(HostSeen {
                no,
                identifiers: host.identifiers.clone(),
                last_seen: host.last_seen,
                enrolled_at: host.enrolled_at,
                matched: host.matched,
                is_apart: self.apart.contains(&(entry.no, no)),
            })
        };
        hosts.into_iter().filter_map(seen).collect()
    }

    /// Notes a match, which the next entries of the portion must know.
    fn matched(&mut self, row: &EntryRow, place: Place) {
        if let Some(before) =
            row.host.filter(|before| Some(*before) != place.host).and_then(|no| self.hosts.get_mut(&no))
        {
            before.matched = None;
        }
        if let Some(host) = place.host.and_then(|no| self.hosts.get_mut(&no)) {
            host.matched = Some((row.no, place.basis));
        }
    }
}
