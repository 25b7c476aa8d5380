//! Search: from a text to editions, to sections, to snapshots, to the hosts that have one of them as their current one.

use std::collections::{BTreeSet, BinaryHeap};

use hashbrown::HashMap;
use muster_proto::model::{HostId, SoftwareHost, SoftwareReport};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::memory::Memory;
use super::{index, last_seen, row};
use crate::store::postings::{self, Block};
use crate::store::software::{self, Editions, Sections, pay_for};
use crate::store::{SearchBudget, SoftwareQuery, snapshot_codec};

/// Numbers of rows.
type Numbers = BTreeSet<i64>;

/// How many sections that the index does not cover are read at once.
const NEWEST: i64 = 64;

pub(super) fn find(sql: &Connection, memory: &Memory, query: &SoftwareQuery) -> Step<SoftwareReport> {
    let editions = memory.dictionaries().search(query)?;
    let sections = sections(sql, &editions, &query.budget)?;
    let within = row::within(sql, "site", &query.sites)?;
    let find_hosts = format!("SELECT no FROM host WHERE snapshot = ?1 AND {within}");
    let (snapshots, hosts) = (HashMap::new(), HashMap::new());
    let mut fleet = Fleet { sql, budget: &query.budget, find_hosts, snapshots, hosts };
    let counted = software::count(&editions, &sections, query, |named| fleet.of_sections(named))?;
    let hosts_total = counted.everyone.len() as u64;
    let hosts = page(sql, memory, query, &editions, &sections, counted.everyone)?;
    Ok(SoftwareReport { editions: counted.editions, more_editions: counted.more, hosts_total, hosts })
}

/// The sections with these editions: from the index, and from the newest sections, which it does not cover yet.
fn sections(sql: &Connection, editions: &Editions, budget: &SearchBudget) -> Step<Sections> {
    let mut found = Sections::new();
    if editions.is_empty() {
        return Ok(found);
    }
    let mut statement = sql.prepare_cached("SELECT no FROM index_segment ORDER BY first_section")?;
    let segments: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for segment in segments {
        let mut last: Option<(u32, Block)> = None;
        for edition in editions.keys() {
            budget.spend(1, 0)?;
            // Editions that were added together are in one block, so the block is often the same.
            let block = match last.take() {
                Some((up_to, block)) if *edition <= up_to => Some((up_to, block)),
                _ => match index::block_of(sql, segment, *edition)? {
                    Some(block) => Some((postings::last_of(&block)?, block)),
                    None => None,
                },
            };
            if let Some((_, block)) = &block {
                software::add_sections(&mut found, *edition, postings::sections_in(block, *edition)?, budget)?;
            }
            last = block;
        }
    }
    let mut after = index::covered(sql)?;
    loop {
        let newest = index::after(sql, after, NEWEST)?;
        let Some((last, _)) = newest.last() else { return Ok(found) };
        after = *last;
        for (section, of_section) in newest {
            budget.spend(1 + of_section.len(), 0)?;
            for edition in of_section.into_iter().filter(|edition| editions.contains_key(edition)) {
                software::add_sections(&mut found, edition, vec![section], budget)?;
            }
        }
    }
}

/// Snapshots by section and hosts by snapshot, each read once.
struct Fleet<'a> {
    sql: &'a Connection,
    budget: &'a SearchBudget,
    /// Finds the hosts of a snapshot at the sites of the query.
    find_hosts: String,
    snapshots: HashMap<i64, Vec<i64>>,
    hosts: HashMap<i64, Vec<i64>>,
}

impl Fleet<'_> {
    fn of_sections(&mut self, sections: &[i64]) -> Step<Numbers> {
        let mut snapshots = Numbers::new();
        for section in sections {
            if !self.snapshots.contains_key(section) {
                let found = self.numbers("SELECT snapshot FROM snapshot_section WHERE section = ?1", *section)?;
                self.snapshots.insert(*section, found);
            }
            let of_section = &self.snapshots[section];
            self.budget.spend(of_section.len(), 0)?;
            snapshots.extend(of_section);
        }
        let mut hosts = Numbers::new();
        for snapshot in snapshots {
            if !self.hosts.contains_key(&snapshot) {
                let found = self.numbers(&self.find_hosts, snapshot)?;
                self.hosts.insert(snapshot, found);
            }
            let of_snapshot = &self.hosts[&snapshot];
            self.budget.spend(of_snapshot.len(), 0)?;
            hosts.extend(of_snapshot);
        }
        Ok(hosts)
    }

    fn numbers(&self, find: &str, of: i64) -> Step<Vec<i64>> {
        // An empty list takes space in its map, too.
        pay_for(self.budget, 1)?;
        let mut statement = self.sql.prepare_cached(find)?;
        let mut rows = statement.query([of])?;
        let mut numbers = Vec::new();
        while let Some(found) = rows.next()? {
            pay_for(self.budget, 1)?;
            numbers.push(found.get(0)?);
        }
        Ok(numbers)
    }
}

/// The first hosts after the place of the query, in the order of their names. Row numbers are not in that order, so the names
/// of all hosts are read, but only those of the page are kept.
fn first(sql: &Connection, query: &SoftwareQuery, everyone: Numbers) -> Step<Vec<((String, HostId), i64)>> {
    let mut first = BinaryHeap::new();
    let mut statement = sql.prepare_cached("SELECT hostname, id FROM host WHERE no = ?1")?;
    for number in everyone {
        query.budget.spend(1, 0)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?));
        let Some((name, id)) = statement.query_row([number], read).optional()? else { continue };
        let place = (name.to_ascii_lowercase(), HostId::from_bytes(id));
        if query.after.as_ref().is_none_or(|after| place > *after) {
            first.push((place, number));
        }
        if first.len() > query.hosts {
            first.pop();
        }
    }
    Ok(first.into_sorted_vec())
}

/// One page of these hosts, in the order of their names, with those of the editions that they have.
fn page(
    sql: &Connection,
    memory: &Memory,
    query: &SoftwareQuery,
    editions: &Editions,
    sections: &Sections,
    everyone: Numbers,
) -> Step<Vec<SoftwareHost>> {
    if query.hosts == 0 {
        return Ok(Vec::new());
    }
    let ids = first(sql, query, everyone)?;
    let by_section = software::by_section(sections);
    let mut hosts = Vec::with_capacity(ids.len());
    let find = "SELECT s.id, h.hostname, e.last_seen, l.entries FROM host h JOIN site s ON s.no = h.site
                JOIN host_check_in e ON e.host = h.no JOIN snapshot l ON l.no = h.snapshot WHERE h.no = ?1";
    let mut shown = 0;
    for ((_, id), number) in ids {
        if shown > software::PAGE {
            break;
        }
        let mut statement = sql.prepare_cached(find)?;
        let mut rows = statement.query([number])?;
        let Some(found) = rows.next()? else { continue };
        let of_host = snapshot_codec::sections(&found.get::<_, Vec<u8>>(3)?)?;
        let of_host = software::of_host(of_host.into_iter(), &by_section, editions, &query.budget)?;
        shown += of_host.len();
        hosts.push(SoftwareHost {
            id,
            site: row::site(found, 0)?,
            hostname: found.get(1)?,
            last_seen: Some(last_seen::newest(memory, id, row::instant(found, 2)?)),
            editions: of_host,
        });
    }
    Ok(hosts)
}
