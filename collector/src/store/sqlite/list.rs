//! Lists of hosts: streams in the order of the sort key, filtered by the database, except for silence, which needs the
//! check-ins that are only in memory.

use muster_proto::model::{Lane, Platform, Timestamp};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::fault::Step;
use super::memory::Memory;
use super::{host, last_seen, mark, row, verdict};
use crate::store::decide::host_list::{self, HostStream, ListCounts, StreamSource};
use crate::store::decide::silence;
use crate::store::{HostKey, HostQuery, HostSort, SiteScope, StoredHostRow};

mod statement;

use statement::{Names, statement};

pub(super) fn list(sql: &Connection, memory: &Memory, query: &HostQuery) -> Step<Vec<StoredHostRow>> {
    let names = Names::of(sql, query)?;
    let streams = host_list::plan(query, names.sites.as_deref(), &counts(sql, query, &names)?);
    let several = streams.len() > 1;
    let mut found = Vec::new();
    for stream in &streams {
        read(sql, memory, query, &names, stream, &mut found)?;
    }
    if several {
        found.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
        found.truncate(query.rows);
    }
    let mut hosts = Vec::with_capacity(found.len());
    for (no, row) in found {
        hosts.push(StoredHostRow {
            verdicts: verdict::of_host(sql, memory, no)?,
            marks: mark::of_host(sql, no)?,
            ..row
        });
    }
    Ok(hosts)
}

/// Adds the first rows of a stream, at most as many as a page has, without their verdicts.
fn read(
    sql: &Connection,
    memory: &Memory,
    query: &HostQuery,
    names: &Names,
    stream: &HostStream<i64>,
    found: &mut Vec<(i64, StoredHostRow)>,
) -> Step<()> {
    let (text, values) = statement(query, names, stream);
    let mut statement = sql.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let most = found.len().saturating_add(query.rows);
    // The statement has no LIMIT: silence drops rows here, so a page may need more rows than it shows.
    while found.len() < most {
        let Some(read) = rows.next()? else { break };
        let (no, id, column) = (read.get(0)?, row::host_id(read, 1)?, row::instant(read, 6)?);
        let newest = last_seen::newest(memory, id, column);
        // A host without a verdict has no lane here, and counts as unknown.
        let awake =
            names.order.map(|_| row::maybe_lane(read, 7)).transpose()?.map(|lane| lane.unwrap_or(Lane::Unknown));
        if !silence::is_asked_for(query, &stream.lanes, awake, newest) {
            continue;
        }
        let hostname: String = read.get(3)?;
        let key = match (query.sort, stream.source) {
            (HostSort::Id, _) => HostKey::Id(id),
            (HostSort::Name, _) => HostKey::name(&hostname, no),
            (HostSort::Since, StreamSource::Verdicts) => HostKey::At(read.get(8)?, no),
            (HostSort::Since, StreamSource::Silent) => HostKey::At(column.plus(query.patience).millis(), no),
            (HostSort::LastSeen | HostSort::Since, _) => HostKey::At(column.millis(), no),
        };
        let row = StoredHostRow {
            host: id,
            site: row::site(read, 2)?,
            hostname,
            platform: row::member("a platform", Platform::from_code, read, 4)?,
            os_name: memory.dictionaries().phrases.words(read.get(5)?)?,
            last_seen: Some(newest),
            verdicts: Vec::new(),
            marks: Vec::new(),
            key,
        };
        found.push((no, row));
    }
    Ok(())
}

/// How many hosts match on all pages, by the check-ins that are written.
pub(super) fn count(sql: &Connection, query: &HostQuery) -> Step<u64> {
    let names = Names::of(sql, query)?;
    let (text, values) = statement::count(query, &names);
    sql.prepare_cached(&text)?.query_row(params_from_iter(values), |found| Ok(row::count(found, 0)))?
}

fn counts(sql: &Connection, query: &HostQuery, names: &Names) -> Step<ListCounts> {
    if query.sort == HostSort::Id {
        return Ok(ListCounts::default());
    }
    let mut counts = ListCounts {
        hosts: host::count(sql, &SiteScope::All)?,
        of_sites: host::count(sql, &query.sites)?,
        ..ListCounts::default()
    };
    let Some(order) = names.order.filter(|_| query.is_limited()) else { return Ok(counts) };
    let asked = |lane: &Lane| *lane != Lane::Silent && query.lanes.contains(lane);
    let mut judged = 0;
    let mut statement =
        sql.prepare_cached("SELECT lane, in_scope, site, sum(hosts) FROM tally WHERE order_no = ?1 GROUP BY 1, 2, 3")?;
    let mut rows = statement.query([order])?;
    while let Some(found) = rows.next()? {
        let (lane, hosts) = (row::member("a lane", Lane::from_code, found, 0)?, row::count(found, 3)?);
        judged += hosts;
        if found.get(1)? && asked(&lane) {
            counts.in_lanes += hosts;
            let site: i64 = found.get(2)?;
            counts.in_lanes_of_sites +=
                if names.sites.as_ref().is_none_or(|sites| sites.contains(&site)) { hosts } else { 0 };
        }
    }
    counts.unjudged = counts.hosts.saturating_sub(judged);
    if let Some(before) = query.silent_before.filter(|_| query.silent_only || query.lanes.contains(&Lane::Silent)) {
        counts.silent = silent_at_most(sql, before)?;
    }
    Ok(counts)
}

fn silent_at_most(sql: &Connection, before: Timestamp) -> Step<u64> {
    let find = "SELECT count(*) FROM (SELECT 1 FROM host_check_in WHERE last_seen < ?1 LIMIT ?2)";
    let values = (before.millis(), host_list::SILENT_COUNTED);
    sql.prepare_cached(find)?.query_row(values, |found| Ok(row::count(found, 0)))?
}

/// Values of a statement.
type Values = Vec<Box<dyn ToSql>>;
