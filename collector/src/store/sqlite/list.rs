//! Lists of hosts: streams in the order of the sort key, filtered by the database, except for silence, which needs the
//! check-ins that are only in memory.

use muster_proto::model::{Lane, Platform, Timestamp};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::fault::Step;
use super::memory::Memory;
use super::{decisions, host, last_seen, mark, row, said, verdict};
use crate::judge::HostDecisions;
use crate::store::decide::host_list::{self, HostStream, ListCounts, StreamSource, Walk};
use crate::store::decide::silence::{self, RowDecision};
use crate::store::host_filter::FEW;
use crate::store::number_set::NumberSet;
use crate::store::{HostFilter, HostKey, HostQuery, HostSort, SelectedHost, SiteScope, StoredHostRow};

mod statement;

use statement::{Names, statement};

pub(super) fn list(sql: &Connection, memory: &Memory, query: &HostQuery) -> Step<Vec<StoredHostRow>> {
    let names = with_few(sql, query, Names::of(sql, query)?)?;
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
    said::add(sql, &mut found)?;
    let mut numbers: Vec<i64> = found.iter().map(|(no, _)| *no).collect();
    numbers.sort_unstable();
    let mut verdicts = verdict::of_hosts(sql, memory, &numbers)?;
    let mut marks = mark::of_hosts(sql, &numbers)?;
    let mut decisions = decisions::of_hosts(sql, &numbers)?;
    let with_verdicts = |(no, row): (i64, StoredHostRow)| {
        let verdicts = verdicts.remove(&no).unwrap_or_default();
        let decisions = decisions.remove(&no).unwrap_or_default();
        StoredHostRow { verdicts, decisions, marks: marks.remove(&no).unwrap_or_default(), ..row }
    };
    Ok(found.into_iter().map(with_verdicts).collect())
}

/// The hosts of a query in the order of their ids.
pub(super) fn select(sql: &Connection, memory: &Memory, query: HostQuery) -> Step<Vec<SelectedHost>> {
    let query = HostQuery { sort: HostSort::Id, ..query };
    let names = with_few(sql, &query, Names::of(sql, &query)?)?;
    let mut selected = Vec::new();
    for stream in host_list::plan(&query, names.sites.as_deref(), &counts(sql, &query, &names)?) {
        let (text, values) = statement(&query, &names, &stream);
        let mut statement = sql.prepare_cached(&text)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(read) = rows.next()?.filter(|_| selected.len() < query.rows) {
            let id = row::host_id(read, 1)?;
            let newest = last_seen::newest(memory, id, row::instant(read, 6)?);
            if silence::is_asked_for(&query, &stream.lanes, awake(&names, read)?, newest, decided(read)?) {
                selected.push(SelectedHost { no: read.get(0)?, id });
            }
        }
    }
    Ok(selected)
}

/// The lane of a row while the host is not silent; `None` if no order is asked for. A host without a verdict counts as unknown.
fn awake(names: &Names, read: &rusqlite::Row<'_>) -> Step<Option<Lane>> {
    let lane = names.order.map(|_| row::maybe_lane(read, 7)).transpose()?;
    Ok(lane.map(|lane| lane.unwrap_or(Lane::Unknown)))
}

/// What is decided about the host of a row.
fn decided(read: &rusqlite::Row<'_>) -> Step<RowDecision> {
    let retired_from = read.get::<_, Option<i64>>(9)?.map(Timestamp::from_millis);
    Ok(RowDecision { retired_from, is_waived: read.get(10)? })
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
    let most = found.len().saturating_add(query.rows);
    if let StreamSource::Among(walk) = stream.source {
        return among(sql, memory, query, names, (stream, walk), (most, found));
    }
    let (text, values) = statement(query, names, stream);
    let mut statement = sql.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(values))?;
    // The statement has no LIMIT: silence drops rows here, so a page may need more rows than it shows.
    while found.len() < most {
        let Some(read) = rows.next()? else { break };
        found.extend(listed(memory, query, names, stream, read)?);
    }
    Ok(())
}

/// The same, for hosts whose numbers are gathered first: the index of the sort key is walked past all others without reading
/// them.
fn among(
    sql: &Connection,
    memory: &Memory,
    query: &HostQuery,
    names: &Names,
    (stream, walk): (&HostStream<i64>, Walk<i64>),
    (most, found): (usize, &mut Vec<(i64, StoredHostRow)>),
) -> Step<()> {
    let mut wanted = NumberSet::default();
    for (text, values) in statement::gather(query, names) {
        let mut statement = sql.prepare_cached(&text)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(read) = rows.next()? {
            wanted.insert(read.get(0)?);
        }
    }
    let (text, values) = statement(query, names, stream);
    let mut one = sql.prepare_cached(&text)?;
    for (at, value) in (1..).zip(&values) {
        one.raw_bind_parameter(at, value)?;
    }
    let (text, place) = statement::walk(query, walk);
    let mut walk = sql.prepare_cached(&text)?;
    let mut rows = walk.query(params_from_iter(place))?;
    while found.len() < most {
        let Some(passed) = rows.next()? else { break };
        let number: i64 = passed.get(0)?;
        if wanted.contains(number) {
            one.raw_bind_parameter(values.len() + 1, number)?;
            if let Some(read) = one.raw_query().next()? {
                found.extend(listed(memory, query, names, stream, read)?);
            }
        }
    }
    Ok(())
}

/// A row of a stream without its verdicts; `None` if silence or a decision takes it out of the list.
fn listed(
    memory: &Memory,
    query: &HostQuery,
    names: &Names,
    stream: &HostStream<i64>,
    read: &rusqlite::Row<'_>,
) -> Step<Option<(i64, StoredHostRow)>> {
    let (no, id, column) = (read.get(0)?, row::host_id(read, 1)?, row::instant(read, 6)?);
    let newest = last_seen::newest(memory, id, column);
    if !silence::is_asked_for(query, &stream.lanes, awake(names, read)?, newest, decided(read)?) {
        return Ok(None);
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
        labels: Vec::new(),
        owner: String::new(),
        decisions: HostDecisions::default(),
        key,
    };
    Ok(Some((no, row)))
}

/// How many hosts match on all pages, by the check-ins that are written.
pub(super) fn count(sql: &Connection, query: &HostQuery) -> Step<u64> {
    let names = with_few(sql, query, Names::of(sql, query)?)?;
    let (text, values) = statement::count(query, &names);
    sql.prepare_cached(&text)?.query_row(params_from_iter(values), |found| Ok(row::count(found, 0)))?
}

fn counts(sql: &Connection, query: &HostQuery, names: &Names) -> Step<ListCounts> {
    if query.sort == HostSort::Id {
        return Ok(ListCounts { are_few: names.few.is_some(), ..ListCounts::default() });
    }
    let mut counts = ListCounts {
        hosts: host::count(sql, &SiteScope::All)?,
        of_sites: host::count(sql, &query.sites)?,
        are_few: names.few.is_some(),
        ..ListCounts::default()
    };
    let Some(order) = names.order.filter(|_| query.is_limited()) else { return Ok(counts) };
    let asked = |lane: &Lane| host_list::is_awake(*lane) && query.lanes.contains(lane);
    if query.lanes.iter().copied().any(silence::is_decided) {
        counts.decided = names.decided.hosts();
    }
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

/// Finds a term of the filter that allows only a few hosts.
fn with_few(sql: &Connection, query: &HostQuery, mut names: Names) -> Step<Names> {
    for nth in 0..query.filter.as_ref().map_or(0, HostFilter::indexed) {
        let Some((text, values)) = statement::few(query, &names, nth) else { break };
        let allowed: i64 = sql.prepare_cached(&text)?.query_row(params_from_iter(values), |found| found.get(0))?;
        if allowed <= FEW {
            names.few = Some(nth);
            break;
        }
    }
    Ok(names)
}

fn silent_at_most(sql: &Connection, before: Timestamp) -> Step<u64> {
    let find = "SELECT count(*) FROM (SELECT 1 FROM host_check_in WHERE last_seen < ?1 LIMIT ?2)";
    let values = (before.millis(), host_list::SILENT_COUNTED);
    sql.prepare_cached(find)?.query_row(values, |found| Ok(row::count(found, 0)))?
}

/// Values of a statement.
type Values = Vec<Box<dyn ToSql>>;
