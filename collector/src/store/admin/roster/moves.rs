//! Moving entries from state to state: their rows, their past, the counts, and whether their hosts are on the roster.

use std::collections::BTreeMap;

use muster_proto::model::{Digest, EntryState, MatchBasis, Timestamp};

use crate::store::sql::{AdminTx, Row, Step, StoreFault, Value};

const LOAD: &str = "SELECT no, state, since, host, basis, counted_site, platform, site FROM roster_entry WHERE no = $1";
const CREATE: &str = "INSERT INTO roster_entry
     (no, name, site, counted_site, platform, state, since, host, basis, note, listed_at)
     VALUES ($1, $2, $3, $3, $4, $5, $6, NULL, $7, NULL, $6)";
const MOVE: &str =
    "UPDATE roster_entry SET state = $2, since = $3, host = $4, basis = $5, note = $6, counted_site = $7 WHERE no = $1";
const DESCRIBE: &str = "UPDATE roster_entry SET name = $2, site = $3, platform = $4, counted_site = $5 WHERE no = $1";
const PAST: &str =
    "INSERT INTO roster_entry_history (entry, since, until, state, host, basis) VALUES ($1, $2, $3, $4, $5, $6)";
const OLD: &str = "DELETE FROM roster_entry_history WHERE entry = $1 AND since <=
     (SELECT since FROM roster_entry_history WHERE entry = $1 ORDER BY since DESC LIMIT 1 OFFSET $2)";
/// Entries to which a host was proposed may have it when it is free.
const FREED: &str = "INSERT INTO roster_pending (entry) SELECT entry FROM roster_candidate WHERE host = $1
     ON CONFLICT (entry) DO NOTHING";
const NO_LONGER_PROPOSED: &str = "DELETE FROM roster_candidate WHERE entry = $1";
const OF_HOST: &str =
    "SELECT no, state, since, host, basis, counted_site, platform, site FROM roster_entry WHERE host = $1 ORDER BY no";
const FOLLOW: &str = "UPDATE roster_entry SET counted_site = $2 WHERE no = $1";
const SITE_OF_HOST: &str = "SELECT site FROM host_row WHERE no = $1";
const COUNT: &str = "INSERT INTO roster_count (state, site, platform, entries) VALUES ($1, $2, $3, $4)
     ON CONFLICT (state, site, platform) DO UPDATE SET entries = roster_count.entries + excluded.entries";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[LOAD, CREATE, MOVE, DESCRIBE, PAST, OLD, FREED, NO_LONGER_PROPOSED, OF_HOST, FOLLOW, SITE_OF_HOST, COUNT];

/// Earlier states that are kept of an entry.
const KEPT_SPANS: i64 = 100;

/// An entry as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryRow {
    pub(super) no: i64,
    pub(super) state: EntryState,
    since: Timestamp,
    pub(super) host: Option<i64>,
    pub(super) basis: MatchBasis,
    counted_site: String,
    platform: i64,
    /// The site that the lists say.
    site: String,
}

/// Where an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) state: EntryState,
    pub(super) host: Option<i64>,
    pub(super) basis: MatchBasis,
    /// The hash of what a person said.
    pub(super) note: Option<Digest>,
}

impl Place {
    /// Without a host.
    pub(super) const fn without(state: EntryState) -> Self {
        Self { state, host: None, basis: MatchBasis::None, note: None }
    }

    /// With the host that is the machine.
    pub(super) const fn at(host: i64, basis: MatchBasis) -> Self {
        Self { state: EntryState::Matched, host: Some(host), basis, note: None }
    }
}

/// What an entry is called and where it is, from its records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) site: String,
    pub(super) platform: i64,
}

/// Changes of entries in one transaction. The counts are written at the end, once for each that changes.
#[derive(Debug)]
pub(super) struct Moves {
    now: Timestamp,
    counts: BTreeMap<(u8, String, i64), i64>,
    /// The sites of hosts that were read before.
    sites: BTreeMap<i64, String>,
}

impl Moves {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { now, counts: BTreeMap::new(), sites: BTreeMap::new() }
    }

    /// Reads the sites of hosts together, for entries that are matched with them.
    pub(super) fn read_sites<'h>(&mut self, tx: &mut dyn AdminTx, hosts: impl Iterator<Item = &'h i64>) -> Step<()> {
        let hosts: Vec<i64> = hosts.copied().collect();
        let lists: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![(*host).into()]).collect();
        for (host, rows) in hosts.iter().zip(tx.query_each(SITE_OF_HOST, &lists)?) {
            if let Some(row) = rows.first() {
                self.sites.insert(*host, row.text(0)?.to_owned());
            }
        }
        Ok(())
    }

    /// Adds an entry that no host is known to be.
    pub(super) fn create(&mut self, tx: &mut dyn AdminTx, no: i64, entry: &Described) -> Step<()> {
        let Described { name, site, platform } = entry;
        let (state, basis) = (EntryState::Missing, i64::from(MatchBasis::None.code()));
        let values: [Value<'_>; 7] = [
            no.into(),
            name.as_str().into(),
            site.as_str().into(),
            (*platform).into(),
            i64::from(state.code()).into(),
            self.now.into(),
            basis.into(),
        ];
        tx.progress_later(CREATE, &values)?;
        self.count(state, site, *platform, 1);
        Ok(())
    }

    /// Moves an entry. Where it is already, it stays since when it was.
    pub(super) fn put(&mut self, tx: &mut dyn AdminTx, row: &EntryRow, place: Place) -> Step<()> {
        let is_there = (row.state, row.host, row.basis) == (place.state, place.host, place.basis);
        // What a person says anew is noted, even if the entry stays where it is.
        if is_there && place.note.is_none() {
            return Ok(());
        }
        // The clock may have been set back; spans of one entry must not overlap.
        let now = if self.now > row.since { self.now } else { Timestamp::from_millis(row.since.millis() + 1) };
        let counted_site = match place.host {
            Some(host) => match self.sites.get(&host) {
                Some(site) => site.clone(),
                None => site_of_host(tx, host)?,
            },
            None => row.site.clone(),
        };
        let host = |host: Option<i64>| host.map_or(Value::Null, Value::from);
        let code = |code: u8| Value::from(i64::from(code));
        let (state, basis) = (code(row.state.code()), code(row.basis.code()));
        tx.progress_later(PAST, &[row.no.into(), row.since.into(), now.into(), state, host(row.host), basis])?;
        let note = place.note.as_ref().map_or(Value::Null, |note| Value::from(note.as_bytes().as_slice()));
        let (state, basis) = (code(place.state.code()), code(place.basis.code()));
        tx.progress_later(
            MOVE,
            &[row.no.into(), state, now.into(), host(place.host), basis, note, counted_site.as_str().into()],
        )?;
        tx.progress_later(OLD, &[row.no.into(), KEPT_SPANS.into()])?;
        if place.state == EntryState::Closed {
            tx.progress_later(NO_LONGER_PROPOSED, &[row.no.into()])?;
        }
        self.count(row.state, &row.counted_site, row.platform, -1);
        self.count(place.state, &counted_site, row.platform, 1);
        if row.host != place.host {
            if let Some(before) = row.host {
                tx.list_host(before, false);
                tx.progress_later(FREED, &[before.into()])?;
            }
            place.host.into_iter().for_each(|now| tx.list_host(now, true));
        }
        Ok(())
    }

    /// Writes what the lists say of an entry.
    pub(super) fn describe(&mut self, tx: &mut dyn AdminTx, row: &EntryRow, entry: &Described) -> Step<()> {
        let Described { name, site, platform } = entry;
        // A matched entry counts at the site of its host.
        let counted_site = if row.host.is_some() { &row.counted_site } else { site };
        let values: [Value<'_>; 5] = [
            row.no.into(),
            name.as_str().into(),
            site.as_str().into(),
            (*platform).into(),
            counted_site.as_str().into(),
        ];
        tx.progress_later(DESCRIBE, &values)?;
        if (&row.counted_site, row.platform) != (counted_site, *platform) {
            self.count(row.state, &row.counted_site, row.platform, -1);
            self.count(row.state, counted_site, *platform, 1);
        }
        Ok(())
    }

    /// Counts the entry of a host at the site to which the host is moved.
    pub(super) fn follow(&mut self, tx: &mut dyn AdminTx, host: i64, site: &str) -> Step<()> {
        for row in tx.query(OF_HOST, &[host.into()])? {
            let entry = entry(&row)?;
            tx.progress_later(FOLLOW, &[entry.no.into(), site.into()])?;
            self.count(entry.state, &entry.counted_site, entry.platform, -1);
            self.count(entry.state, site, entry.platform, 1);
        }
        Ok(())
    }

    fn count(&mut self, state: EntryState, site: &str, platform: i64, entries: i64) {
        *self.counts.entry((state.code(), site.to_owned(), platform)).or_default() += entries;
    }

    /// Writes the counts.
    pub(super) fn finish(self, tx: &mut dyn AdminTx) -> Step<()> {
        let changed = self.counts.iter().filter(|(_, entries)| **entries != 0);
        let lists: Vec<Vec<Value<'_>>> = changed
            .map(|((state, site, platform), entries)| {
                vec![i64::from(*state).into(), site.as_str().into(), (*platform).into(), (*entries).into()]
            })
            .collect();
        tx.note_progress_each(COUNT, &lists).map(drop)
    }
}

/// The entries with these numbers; one that is not there is left out.
pub(super) fn load(tx: &mut dyn AdminTx, numbers: &[i64]) -> Step<BTreeMap<i64, EntryRow>> {
    let lists: Vec<Vec<Value<'_>>> = numbers.iter().map(|no| vec![(*no).into()]).collect();
    let mut entries = BTreeMap::new();
    for row in tx.query_each(LOAD, &lists)?.iter().flatten() {
        let entry = entry(row)?;
        entries.insert(entry.no, entry);
    }
    Ok(entries)
}

fn entry(row: &Row) -> Step<EntryRow> {
    Ok(EntryRow {
        no: row.int(0)?,
        state: state(row, 1)?,
        since: row.time(2)?,
        host: if row.is_null(3) { None } else { Some(row.int(3)?) },
        basis: basis(row, 4)?,
        counted_site: row.text(5)?.to_owned(),
        platform: row.int(6)?,
        site: row.text(7)?.to_owned(),
    })
}

pub(super) fn state(row: &Row, at: usize) -> Step<EntryState> {
    let state = u8::try_from(row.int(at)?).ok().and_then(EntryState::from_code);
    state.ok_or_else(|| StoreFault::damaged("an entry of the roster", "its state is unknown"))
}

pub(super) fn basis(row: &Row, at: usize) -> Step<MatchBasis> {
    let basis = u8::try_from(row.int(at)?).ok().and_then(MatchBasis::from_code);
    basis.ok_or_else(|| StoreFault::damaged("an entry of the roster", "the basis of its match is unknown"))
}

fn site_of_host(tx: &mut dyn AdminTx, host: i64) -> Step<String> {
    let rows = tx.query(SITE_OF_HOST, &[host.into()])?;
    let row = rows.first().ok_or_else(|| StoreFault::damaged("an entry of the roster", "its host is not there"))?;
    row.text(0).map(ToOwned::to_owned)
}
