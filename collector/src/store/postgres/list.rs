//! Lists of hosts: streams in the order of the sort key, filtered by the database, except for silence, which needs the
//! check-ins that are only in memory.

use std::collections::HashMap;

use muster_proto::model::{Lane, Platform};
use tokio_postgres::types::ToSql;

use super::fault::{PostgresFault, Step};
use super::memory::Memory;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use super::{decisions, mark, row, said, verdict};
use crate::judge::HostDecisions;
use crate::store::decide::host_list::{self, HostStream, ListCounts, StreamSource};
use crate::store::decide::silence::{self, RowDecision};
use crate::store::host_filter::FEW;
use crate::store::{HostFilter, HostKey, HostQuery, HostSort, SelectedHost, StoredHostRow};

mod statement;

use statement::{Names, statement};

/// Rows that are read at once. Silence is decided here and not in the statement, because the memory knows of check-ins
/// that no table has yet; so a page may need more rows than it shows.
const PORTION: usize = 1_000;
/// The same, where only numbers are read.
const SELECTED: usize = 20_000;

pub(super) async fn list(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    query: &HostQuery,
) -> Step<Vec<StoredHostRow>> {
    let names = with_few(session, query, Names::of(session, dictionaries, query).await?).await?;
    let counts = counts(session, query, &names).await?;
    let streams = host_list::plan(query, names.sites.as_deref(), &counts);
    let mut found = Vec::new();
    for stream in &streams {
        read(session, memory, query, &names, stream, &mut found).await?;
    }
    if streams.len() > 1 {
        found.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
        found.truncate(query.rows);
    }
    said::add(session, &mut found).await?;
    let numbers: Vec<i32> = found.iter().map(|(no, _)| *no).collect();
    let mut verdicts = verdict::of_hosts(session, &numbers).await?;
    let mut marks = mark::of_hosts(session, &numbers).await?;
    let mut decisions = decisions::of_hosts(session, &numbers).await?;
    let with_verdicts = |(no, row): (i32, StoredHostRow)| {
        let verdicts = verdicts.remove(&no).unwrap_or_default();
        let decisions = decisions.remove(&no).unwrap_or_default();
        StoredHostRow { verdicts, decisions, marks: marks.remove(&no).unwrap_or_default(), ..row }
    };
    Ok(found.into_iter().map(with_verdicts).collect())
}

/// The hosts of a query in the order of their ids.
pub(super) async fn select(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    query: &HostQuery,
) -> Step<Vec<SelectedHost>> {
    let query = HostQuery { sort: HostSort::Id, ..query.clone() };
    let names = with_few(session, &query, Names::of(session, dictionaries, &query).await?).await?;
    let counts = counts(session, &query, &names).await?;
    let mut selected = Vec::new();
    for stream in host_list::plan(&query, names.sites.as_deref(), &counts) {
        let mut after = query.after.clone();
        loop {
            let (text, values) = statement(&query, &names, &stream, &[], after.as_ref(), SELECTED);
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
            let rows = session.query_once(&text, &values).await?;
            for read in &rows {
                let (no, id) = (read.try_get::<_, i32>(0)?, row::host_id(read, 1)?);
                after = Some(HostKey::Id(id));
                let last_seen = memory.last_seen(id, row::instant(read, 6)?);
                let (awake, decided) = (awake(&names, read)?, decided(read)?);
                let is_asked = silence::is_asked_for(&query, &stream.lanes, awake, last_seen, decided);
                if is_asked && selected.len() < query.rows {
                    selected.push(SelectedHost { no: no.into(), id });
                }
            }
            if rows.len() < SELECTED || selected.len() >= query.rows {
                break;
            }
        }
    }
    Ok(selected)
}

/// The lane of a row while the host is not silent; `None` if no order is asked for. A host without a verdict counts as unknown.
fn awake(names: &Names, read: &tokio_postgres::Row) -> Step<Option<Lane>> {
    let lane = names.order.map(|_| row::maybe_lane(read, 7)).transpose()?;
    Ok(lane.map(|lane| lane.unwrap_or(Lane::Unknown)))
}

/// What is decided about the host of a row.
fn decided(read: &tokio_postgres::Row) -> Step<RowDecision> {
    Ok(RowDecision { retired_from: row::maybe_instant(read, 9)?, is_waived: read.try_get(10)? })
}

/// Adds the first rows of a stream, at most as many as a page has, without their verdicts.
async fn read(
    session: &Session,
    memory: &Memory,
    query: &HostQuery,
    names: &Names,
    stream: &HostStream<i32>,
    found: &mut Vec<(i32, StoredHostRow)>,
) -> Step<()> {
    let most = found.len().saturating_add(query.rows);
    let portion = query.rows.clamp(1, PORTION);
    let mut among: Vec<i32> = Vec::new();
    if matches!(stream.source, StreamSource::Among(_)) {
        for found in session.query_once(&statement::gather(query, names), &[]).await? {
            among.push(found.try_get(0)?);
        }
    }
    let mut after = query.after.clone();
    while found.len() < most {
        let (text, values) = statement(query, names, stream, &among, after.as_ref(), portion);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        let rows = session.query_once(&text, &values).await?;
        for read in &rows {
            let (no, id, column) = (read.try_get::<_, i32>(0)?, row::host_id(read, 1)?, row::instant(read, 6)?);
            let hostname: String = read.try_get(3)?;
            let wide = i64::from(no);
            let key = match (query.sort, stream.source) {
                (HostSort::Id, _) => HostKey::Id(id),
                (HostSort::Name, _) => HostKey::name(&hostname, wide),
                (HostSort::Since, StreamSource::Verdicts) => HostKey::At(read.try_get(8)?, wide),
                (HostSort::Since, StreamSource::Silent) => HostKey::At(column.plus(query.patience).millis(), wide),
                (HostSort::LastSeen | HostSort::Since, _) => HostKey::At(column.millis(), wide),
            };
            // Also after a row that is not shown, or the next portion would read it again.
            after = Some(key.clone());
            let last_seen = memory.last_seen(id, column);
            let (awake, decided) = (awake(names, read)?, decided(read)?);
            if found.len() == most || !silence::is_asked_for(query, &stream.lanes, awake, last_seen, decided) {
                continue;
            }
            let row = StoredHostRow {
                host: id,
                site: row::site(read, 2)?,
                hostname,
                platform: row::member("a platform", Platform::from_code, read, 4)?,
                os_name: read.try_get(5)?,
                last_seen: Some(last_seen),
                verdicts: Vec::new(),
                marks: Vec::new(),
                labels: Vec::new(),
                owner: String::new(),
                decisions: HostDecisions::default(),
                key,
            };
            found.push((no, row));
        }
        if rows.len() < portion {
            break;
        }
    }
    Ok(())
}

/// How many hosts match on all pages, by the check-ins that are written.
pub(super) async fn count(session: &Session, dictionaries: &SmallDictionaries, query: &HostQuery) -> Step<u64> {
    let names = with_few(session, query, Names::of(session, dictionaries, query).await?).await?;
    let (text, values) = statement::count(query, &names);
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
    one(session.query_once(&text, &values).await?.first())
}

/// Finds a term of the filter that allows only a few hosts.
async fn with_few(session: &Session, query: &HostQuery, mut names: Names) -> Step<Names> {
    for nth in 0..query.filter.as_ref().map_or(0, HostFilter::indexed) {
        let Some((text, values)) = statement::few(query, &names, nth) else { break };
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        if one(session.query_once(&text, &values).await?.first())? <= FEW.cast_unsigned() {
            names.few = Some(nth);
            break;
        }
    }
    Ok(names)
}

fn one(found: Option<&tokio_postgres::Row>) -> Step<u64> {
    row::count(found.ok_or_else(|| PostgresFault::damaged("a count", "it is not there"))?, 0)
}

async fn counts(session: &Session, query: &HostQuery, names: &Names) -> Step<ListCounts> {
    if query.sort == HostSort::Id {
        return Ok(ListCounts { are_few: names.few.is_some(), ..ListCounts::default() });
    }
    let mut by_site: HashMap<i32, u64> = HashMap::new();
    for found in session.query("SELECT site, hosts FROM site_hosts", &[]).await? {
        by_site.insert(found.try_get(0)?, row::count(&found, 1)?);
    }
    let is_asked = |site: &i32| names.sites.as_ref().is_none_or(|sites| sites.contains(site));
    let mut counts = ListCounts {
        hosts: by_site.values().sum(),
        of_sites: by_site.iter().filter(|(site, _)| is_asked(site)).map(|(_, hosts)| hosts).sum(),
        are_few: names.few.is_some(),
        ..ListCounts::default()
    };
    let Some(order) = names.order.filter(|_| query.is_limited()) else { return Ok(counts) };
    let asked = |lane: &Lane| host_list::is_awake(*lane) && query.lanes.contains(lane);
    if query.lanes.iter().copied().any(silence::is_decided) {
        counts.decided = names.decided.hosts();
    }
    let mut judged = 0;
    for found in session.query("SELECT lane, in_scope, site, hosts FROM tally WHERE order_no = $1", &[&order]).await? {
        let (lane, hosts) = (row::member("a lane", Lane::from_code, &found, 0)?, row::count(&found, 3)?);
        judged += hosts;
        if found.try_get(1)? && asked(&lane) {
            counts.in_lanes += hosts;
            counts.in_lanes_of_sites += if is_asked(&found.try_get(2)?) { hosts } else { 0 };
        }
    }
    counts.unjudged = counts.hosts.saturating_sub(judged);
    if let Some(before) = query.silent_before.filter(|_| query.silent_only || query.lanes.contains(&Lane::Silent)) {
        let find = "SELECT count(*) FROM (SELECT 1 FROM host_current
                    WHERE day <= ($1::int8 / 86400000)::int4 AND last_seen < $1 LIMIT $2) AS w";
        let rows = session.query(find, &[&before.millis(), &host_list::SILENT_COUNTED]).await?;
        counts.silent = one(rows.first())?;
    }
    Ok(counts)
}

/// Values of a statement.
type Values = Vec<Box<dyn ToSql + Sync + Send>>;
