//! Search: from a text to editions, to sections, to snapshots, to the hosts that have one of them as their current one.

use std::collections::BinaryHeap;

use muster_proto::model::{HostId, SoftwareHost, SoftwareReport};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::memory::Memory;
use super::{host, index, last_seen, row, walk};
use crate::store::number_set::NumberSet;
use crate::store::software::{self, Editions, OfSections, Pairs, Trail};
use crate::store::{SearchBudget, SiteScope, SoftwareQuery, snapshot_codec};

/// How many sections that the index does not cover are read at once.
const NEWEST: i64 = 64;

pub(super) fn find(sql: &Connection, memory: &Memory, query: &SoftwareQuery) -> Step<SoftwareReport> {
    let budget = &query.budget;
    let editions = memory.dictionaries().search(query)?;
    let sections = sections(sql, &editions, budget)?;
    let snapshots = targets(sql, SNAPSHOTS, &sections.targets(), budget, |_| true)?;
    let hosts = hosts(sql, query, &snapshots.targets())?;
    let trail = Trail { editions: &editions, sections: &sections, snapshots: &snapshots, hosts: &hosts };
    let counted = software::count(trail, query)?;
    let hosts = page(sql, memory, query, trail, &counted.everyone, counted.hosts)?;
    Ok(SoftwareReport { editions: counted.editions, more_editions: counted.more, hosts_total: counted.hosts, hosts })
}

/// The sections with these editions: from the index, and from the newest sections, which it does not cover yet.
fn sections(sql: &Connection, editions: &Editions, budget: &SearchBudget) -> Step<Pairs> {
    let mut found = Pairs::default();
    let numbers = editions.numbers();
    if numbers.is_empty() {
        return Ok(found);
    }
    let mut statement = sql.prepare_cached("SELECT no FROM index_segment ORDER BY first_section")?;
    let segments: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for segment in segments {
        of_segment(sql, segment, &numbers, budget, &mut found)?;
    }
    let wanted: NumberSet = numbers.iter().copied().map(i64::from).collect();
    let mut after = index::covered(sql)?;
    loop {
        let newest = index::after(sql, after, NEWEST)?;
        let Some((last, _)) = newest.last() else { return Ok(found.settled()) };
        after = *last;
        for (section, of_section) in newest {
            budget.spend(1 + of_section.len(), 0)?;
            for edition in of_section.into_iter().map(i64::from).filter(|edition| wanted.contains(*edition)) {
                found.add(edition, section, budget)?;
            }
        }
    }
}

/// Adds the sections that a segment has for these editions, which are ascending. Blocks are read in order, each once.
fn of_segment(sql: &Connection, segment: i64, numbers: &[u32], budget: &SearchBudget, found: &mut Pairs) -> Step<()> {
    let mut rest = numbers;
    let mut statement = sql.prepare_cached(index::BLOCKS_FROM)?;
    while let Some(next) = rest.first() {
        let mut rows = statement.query(index::from_edition(segment, *next))?;
        let mut passed = 0;
        while passed < walk::PASSED {
            let Some(block) = rows.next()? else { return Ok(()) };
            let first = index::first_edition(block.get(0)?);
            let lists = block
                .get_ref(1)?
                .as_blob()
                .map_err(|error| StoreFault::damaged("an index block", error.to_string()))?;
            let before = rest.len();
            // Editions between two blocks are in neither.
            rest = &rest[rest.partition_point(|number| *number < first)..];
            rest = found.add_block(first, lists, rest, budget)?;
            if rest.is_empty() {
                return Ok(());
            }
            passed = if rest.len() < before { 0 } else { passed + 1 };
        }
    }
    Ok(())
}

const SNAPSHOTS: &str = "SELECT section, snapshot FROM snapshot_section WHERE section >= ?1 ORDER BY section, snapshot";
const HOSTS: &str = "SELECT snapshot, no FROM host INDEXED BY host_by_snapshot WHERE snapshot >= ?1 ORDER BY snapshot";

/// What these numbers, which are ascending, lead to. `find` reads an index in order from a number on.
fn targets(
    sql: &Connection,
    find: &str,
    numbers: &[i64],
    budget: &SearchBudget,
    is_asked_for: impl Fn(i64) -> bool,
) -> Step<Pairs> {
    let mut found = Pairs::default();
    walk::rows_of(sql, find, numbers, |from, row, is_wanted| {
        let to: i64 = row.get(1)?;
        if is_wanted && is_asked_for(to) { found.add(from, to, budget) } else { Ok(budget.spend(1, 0)?) }
    })?;
    Ok(found.settled())
}

/// The hosts at the sites of the query whose current snapshot is one of these.
fn hosts(sql: &Connection, query: &SoftwareQuery, snapshots: &[i64]) -> Step<Pairs> {
    if query.sites == SiteScope::All || snapshots.is_empty() {
        return targets(sql, HOSTS, snapshots, &query.budget, |_| true);
    }
    let mut statement =
        sql.prepare_cached(&format!("SELECT no FROM host WHERE {}", row::within(sql, "site", &query.sites)?))?;
    let mut rows = statement.query([])?;
    let mut within = NumberSet::default();
    while let Some(found) = rows.next()? {
        query.budget.spend(1, 0)?;
        within.insert(found.get(0)?);
    }
    targets(sql, HOSTS, snapshots, &query.budget, |host| within.contains(host))
}

/// The place of a host in the order of a list, and its number.
type Placed = ((String, HostId), i64);

/// The first hosts after the place of the query, in the order of their names.
fn first(sql: &Connection, query: &SoftwareQuery, everyone: &NumberSet, count: u64) -> Step<Vec<Placed>> {
    let all = host::count(sql, &SiteScope::All)?;
    let rows = query.hosts as u64;
    // Names are walked until the page is full. If few hosts are in the list, their names are read and sorted instead.
    if rows.saturating_mul(all) / count.max(1) < count.saturating_mul(LOOKED_UP) {
        by_walking(sql, query, everyone)
    } else {
        by_sorting(sql, query, everyone)
    }
}

/// How much more it costs to look up the name of a host than to walk past one.
const LOOKED_UP: u64 = 8;

fn by_walking(sql: &Connection, query: &SoftwareQuery, everyone: &NumberSet) -> Step<Vec<Placed>> {
    let mut statement = sql.prepare_cached(
        "SELECT hostname, no FROM host INDEXED BY host_by_name WHERE hostname >= ?1 ORDER BY hostname, no",
    )?;
    let mut rows = statement.query([query.after.as_ref().map_or("", |(name, _)| name)])?;
    let mut found: Vec<Placed> = Vec::new();
    while let Some(row) = rows.next()? {
        query.budget.spend(1, 0)?;
        let number: i64 = row.get(1)?;
        if !everyone.contains(number) {
            continue;
        }
        let name = row.get_ref(0)?.as_str().map_err(|error| StoreFault::damaged("a host", error.to_string()))?;
        let name = name.to_ascii_lowercase();
        // Hosts of one name are in the order of their ids, which the index does not have.
        if found.len() >= query.hosts && found.last().is_some_and(|((last, _), _)| *last < name) {
            break;
        }
        let Some(id) = id_of(sql, number)? else { continue };
        let place = (name, id);
        if query.after.as_ref().is_none_or(|after| place > *after) {
            query.budget.spend(0, PLACED_BYTES + place.0.len())?;
            found.push((place, number));
        }
    }
    found.sort_unstable();
    found.truncate(query.hosts);
    Ok(found)
}

/// The memory of a host in a list besides its name.
const PLACED_BYTES: usize = 64;

fn id_of(sql: &Connection, number: i64) -> Step<Option<HostId>> {
    let mut statement = sql.prepare_cached("SELECT id FROM host WHERE no = ?1")?;
    let id: Option<[u8; 16]> = statement.query_row([number], |row| row.get(0)).optional()?;
    Ok(id.map(HostId::from_bytes))
}

fn by_sorting(sql: &Connection, query: &SoftwareQuery, everyone: &NumberSet) -> Step<Vec<Placed>> {
    let mut first = BinaryHeap::new();
    let mut statement = sql.prepare_cached("SELECT hostname, id FROM host WHERE no = ?1")?;
    for number in everyone.iter() {
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
    trail: Trail<'_>,
    everyone: &NumberSet,
    count: u64,
) -> Step<Vec<SoftwareHost>> {
    if query.hosts == 0 || count == 0 {
        return Ok(Vec::new());
    }
    let find = "SELECT s.id, h.hostname, e.last_seen, l.entries FROM host h JOIN site s ON s.no = h.site
                JOIN host_check_in e ON e.host = h.no JOIN snapshot l ON l.no = h.snapshot WHERE h.no = ?1";
    let mut statement = sql.prepare_cached(find)?;
    let (mut shown, mut named) = (Vec::new(), NumberSet::default());
    for ((_, id), number) in first(sql, query, everyone, count)? {
        let mut rows = statement.query([number])?;
        let Some(found) = rows.next()? else { continue };
        let sections = snapshot_codec::sections(&found.get::<_, Vec<u8>>(3)?)?;
        query.budget.spend(1, sections.len() * size_of::<i64>())?;
        sections.iter().for_each(|section| named.insert(*section));
        let last_seen = Some(last_seen::newest(memory, id, row::instant(found, 2)?));
        let (site, hostname) = (row::site(found, 0)?, found.get(1)?);
        shown.push((SoftwareHost { id, site, hostname, last_seen, editions: Vec::new() }, sections));
    }
    let of_sections = OfSections::new(trail, &named, &query.budget)?;
    software::filled(shown, &of_sections, &query.budget)
}
