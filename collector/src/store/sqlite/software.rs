//! Search: from a text to editions, to sections, to snapshots, to the hosts that have one of them as their current one.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use muster_proto::model::{HostId, SoftwareCount, SoftwareHost, SoftwareReport};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::memory::Memory;
use super::{index, last_seen, row};
use crate::store::postings::{self, Block};
use crate::store::software::{self, Editions};
use crate::store::{SoftwareQuery, snapshot_codec};

/// Numbers of rows.
type Numbers = BTreeSet<i64>;

pub(super) fn find(sql: &Connection, memory: &Memory, query: &SoftwareQuery) -> Step<SoftwareReport> {
    let editions = memory.dictionaries().search(query)?;
    let sections = sections(sql, &editions)?;
    let within = row::within(sql, "site", &query.sites)?;
    let find_hosts = format!("SELECT no FROM host WHERE snapshot = ?1 AND {within}");
    let mut fleet = Fleet { sql, find_hosts, snapshots: HashMap::new(), hosts: HashMap::new() };
    let (mut counted, mut everyone) = (Vec::new(), Numbers::new());
    for (edition, numbers) in software::by_text(&editions) {
        let of_edition = numbers.iter().filter_map(|number| sections.get(number)).flatten().copied();
        let hosts = fleet.of_sections(of_edition)?;
        if !hosts.is_empty() {
            counted.push(SoftwareCount { edition: edition.clone(), hosts: hosts.len() as u64 });
            everyone.extend(hosts);
        }
    }
    let more_editions = software::foremost(&mut counted, query.editions);
    let hosts_total = everyone.len() as u64;
    let hosts = page(sql, memory, query, &editions, &sections, everyone)?;
    Ok(SoftwareReport { editions: counted, more_editions, hosts_total, hosts })
}

/// The sections with these editions: from the index, and from the newest sections, which it does not cover yet.
fn sections(sql: &Connection, editions: &Editions) -> Step<BTreeMap<u32, Vec<i64>>> {
    let mut found: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    let mut statement = sql.prepare_cached("SELECT no FROM index_segment ORDER BY first_section")?;
    let segments: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for segment in segments {
        let mut last: Option<(u32, Block)> = None;
        for edition in editions.keys() {
            // Editions that were added together are in one block, so the block is often the same.
            let block = match last.take() {
                Some((up_to, block)) if *edition <= up_to => Some((up_to, block)),
                _ => match index::block_of(sql, segment, *edition)? {
                    Some(block) => Some((postings::last_of(&block)?, block)),
                    None => None,
                },
            };
            if let Some((_, block)) = &block {
                let named = postings::sections_in(block, *edition)?;
                if !named.is_empty() {
                    found.entry(*edition).or_default().extend(named);
                }
            }
            last = block;
        }
    }
    for (section, of_section) in index::after(sql, index::covered(sql)?, i64::MAX)? {
        for edition in of_section.into_iter().filter(|edition| editions.contains_key(edition)) {
            found.entry(edition).or_default().push(section);
        }
    }
    Ok(found)
}

/// Snapshots by section and hosts by snapshot, each read once.
struct Fleet<'a> {
    sql: &'a Connection,
    /// Finds the hosts of a snapshot at the sites of the query.
    find_hosts: String,
    snapshots: HashMap<i64, Vec<i64>>,
    hosts: HashMap<i64, Vec<i64>>,
}

impl Fleet<'_> {
    fn of_sections(&mut self, sections: impl Iterator<Item = i64>) -> Step<Numbers> {
        let mut snapshots = Numbers::new();
        for section in sections {
            if !self.snapshots.contains_key(&section) {
                let find = "SELECT snapshot FROM snapshot_section WHERE section = ?1";
                self.snapshots.insert(section, numbers(self.sql, find, section)?);
            }
            snapshots.extend(&self.snapshots[&section]);
        }
        let mut hosts = Numbers::new();
        for snapshot in snapshots {
            if !self.hosts.contains_key(&snapshot) {
                self.hosts.insert(snapshot, numbers(self.sql, &self.find_hosts, snapshot)?);
            }
            hosts.extend(&self.hosts[&snapshot]);
        }
        Ok(hosts)
    }
}

fn numbers(sql: &Connection, find: &str, of: i64) -> Step<Vec<i64>> {
    let mut statement = sql.prepare_cached(find)?;
    let found = statement.query_map([of], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// One page of these hosts, in the order of their names, with those of the editions that they have.
fn page(
    sql: &Connection,
    memory: &Memory,
    query: &SoftwareQuery,
    editions: &Editions,
    sections: &BTreeMap<u32, Vec<i64>>,
    everyone: Numbers,
) -> Step<Vec<SoftwareHost>> {
    if query.hosts == 0 {
        return Ok(Vec::new());
    }
    // Row numbers are not in the order of names, so all names are read before the page is cut.
    let mut ids: Vec<((String, HostId), i64)> = Vec::with_capacity(everyone.len());
    for number in everyone {
        let mut statement = sql.prepare_cached("SELECT hostname, id FROM host WHERE no = ?1")?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?));
        let found = statement.query_row([number], read).optional()?;
        ids.extend(found.map(|(name, id)| ((name.to_ascii_lowercase(), HostId::from_bytes(id)), number)));
    }
    ids.retain(|(place, _)| query.after.as_ref().is_none_or(|after| place > after));
    ids.sort_unstable();
    ids.truncate(query.hosts);
    let mut by_section: HashMap<i64, Vec<u32>> = HashMap::new();
    for (edition, named) in sections {
        named.iter().for_each(|section| by_section.entry(*section).or_default().push(*edition));
    }
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
        let mut of_host = BTreeSet::new();
        for section in snapshot_codec::sections(&found.get::<_, Vec<u8>>(3)?)? {
            let known = by_section.get(&section).into_iter().flatten();
            of_host.extend(known.filter_map(|edition| editions.get(edition).cloned()));
        }
        shown += of_host.len();
        hosts.push(SoftwareHost {
            id,
            site: row::site(found, 0)?,
            hostname: found.get(1)?,
            last_seen: Some(last_seen::newest(memory, id, row::instant(found, 2)?)),
            editions: of_host.into_iter().collect(),
        });
    }
    Ok(hosts)
}
