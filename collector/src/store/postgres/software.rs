//! Search: from a text to editions, to sections, to snapshots, to the hosts that have one of them as their current one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use muster_proto::model::{HostId, SoftwareHost, SoftwareReport};

use super::fault::{PostgresFault, Step};
use super::index::{self, IndexKind};
use super::intern::Intern;
use super::memory::Memory;
use super::pool::Lease;
use super::row;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use crate::store::number_set::NumberSet;
use crate::store::software::{self, OfSections, Pairs, Trail};
use crate::store::{SearchBudget, SoftwareQuery};

/// How many rows that the index does not cover are read at once.
const NEWEST: i64 = 256;
/// How much later than this collector the server ends a search.
const GRACE: Duration = Duration::from_secs(1);

/// The blocks that can contain one of the numbers in `$1`, each once.
const BLOCKS: &str = "
    SELECT b.first, b.lists FROM (
        SELECT DISTINCT s.no, c.first FROM index_segment s CROSS JOIN unnest($1::int8[]) AS w (number)
        CROSS JOIN LATERAL (
            SELECT first FROM index_block WHERE segment = s.no AND first <= w.number ORDER BY first DESC LIMIT 1
        ) c WHERE s.kind = $2
    ) u JOIN index_block b ON b.segment = u.no AND b.first = u.first";

/// From how many numbers on, the beginnings of all blocks are read first: looking up each number in each segment would take
/// longer.
const MANY: usize = 256;

/// Where each block begins.
const BEGINNINGS: &str = "
    SELECT b.segment, b.first FROM index_segment s JOIN index_block b ON b.segment = s.no WHERE s.kind = $1
    ORDER BY b.segment, b.first";

/// The blocks that begin at these places.
const CHOSEN: &str = "
    SELECT b.first, b.lists FROM unnest($1::int4[], $2::int8[]) AS w (segment, first)
    JOIN index_block b ON b.segment = w.segment AND b.first = w.first";

const LATE: &str = "SELECT l.no, l.entries FROM snapshot_late t JOIN snapshot l ON l.no = t.snapshot";

const HOSTS: &str = "
    SELECT n.snapshot, n.host FROM host_current n JOIN host h ON h.no = n.host WHERE n.snapshot = ANY ($1::int8[])";

/// Hosts in the order of their names.
const NAMES: &str = "
    SELECT h.no, h.id, lower(h.hostname) FROM host h
    WHERE (lower(h.hostname), h.no) > ($1::text COLLATE \"C\", $2::int4) ORDER BY lower(h.hostname), h.no LIMIT $3";
/// The most names that are read at once. A small page reads less.
const PORTION: usize = 1_000;
/// How much more it costs to look up and sort a host than to walk past its name.
const LOOKED_UP: u64 = 4;

const PAGE: &str = "
    SELECT h.id, s.id, h.hostname, n.last_seen, l.entries FROM host h JOIN site s ON s.no = h.site
    JOIN host_current n ON n.host = h.no JOIN snapshot l ON l.no = n.snapshot
    WHERE h.no = ANY ($1::int4[]) AND (lower(h.hostname), h.id) > ($2::text COLLATE \"C\", $3::bytea)
    ORDER BY lower(h.hostname), h.id LIMIT $4";

/// Must run in a transaction that sees one moment.
pub(super) async fn find(
    lease: &Lease,
    memory: &Memory,
    intern: &Arc<Intern>,
    dictionaries: &SmallDictionaries,
    query: &SoftwareQuery,
) -> Step<SoftwareReport> {
    let remaining = query.budget.remaining();
    // In case this process does not come to cancel it.
    lease.batch(&format!("SET LOCAL statement_timeout = {}", (remaining + GRACE).as_millis())).await?;
    let cancel = lease.cancel_on_drop();
    match tokio::time::timeout(remaining, search(lease, memory, intern, dictionaries, query)).await {
        Ok(Ok(found)) => {
            cancel.disarm();
            Ok(found)
        }
        // Rows may still be on the way, so the statement is cancelled.
        Ok(Err(fault)) => Err(fault),
        Err(_) => Err(query.budget.late().into()),
    }
}

async fn search(
    session: &Session,
    memory: &Memory,
    intern: &Arc<Intern>,
    dictionaries: &SmallDictionaries,
    query: &SoftwareQuery,
) -> Step<SoftwareReport> {
    let budget = &query.budget;
    let editions = intern.search(session, query).await?;
    let sections = leads(session, IndexKind::Sections, &editions.numbers(), budget).await?;
    let named: Vec<u32> = sections.targets().into_iter().filter_map(|no| u32::try_from(no).ok()).collect();
    let snapshots = leads(session, IndexKind::Snapshots, &named, budget).await?;
    let mut hosts = Pairs::default();
    let find = format!("{HOSTS} AND {}", dictionaries.within(session, "h.site", &query.sites).await?);
    let mut rows = session.stream_once(&find, &[&snapshots.targets()]).await?;
    while let Some(found) = rows.try_next().await? {
        hosts.add(found.try_get(0)?, i64::from(found.try_get::<_, i32>(1)?), budget)?;
    }
    drop(rows);
    let hosts = hosts.settled();
    let trail = Trail { editions: &editions, sections: &sections, snapshots: &snapshots, hosts: &hosts };
    let counted = software::count(trail, query)?;
    let hosts = page(session, memory, query, trail, &counted.everyone, counted.hosts).await?;
    Ok(SoftwareReport { editions: counted.editions, more_editions: counted.more, hosts_total: counted.hosts, hosts })
}

/// What these numbers, which are ascending, are mapped to: by the index, and by the newest rows, which it does not cover yet.
pub(super) async fn leads(session: &Session, kind: IndexKind, from: &[u32], budget: &SearchBudget) -> Step<Pairs> {
    let mut leads = Pairs::default();
    if from.is_empty() {
        return Ok(leads);
    }
    let mut blocks = if from.len() < MANY {
        let numbers: Vec<i64> = from.iter().copied().map(i64::from).collect();
        session.stream(BLOCKS, &[&numbers, &kind.code()]).await?
    } else {
        let (segments, firsts) = chosen(session, kind, from, budget).await?;
        session.stream(CHOSEN, &[&segments, &firsts]).await?
    };
    while let Some(found) = blocks.try_next().await? {
        // Beginnings are numbers of the index, which have 32 bits.
        let first = found.try_get::<_, i64>(0)? as u32;
        let rest = &from[from.partition_point(|number| *number < first)..];
        leads.add_block(first, found.try_get(1)?, rest, budget)?;
    }
    drop(blocks);
    let wanted: NumberSet = from.iter().copied().map(i64::from).collect();
    let add = |leads: &mut Pairs, row: i64, of_row: Vec<u32>| -> Step<()> {
        budget.spend(1 + of_row.len(), 0)?;
        for number in of_row.into_iter().map(i64::from).filter(|number| wanted.contains(*number)) {
            leads.add(number, row, budget)?;
        }
        Ok(())
    };
    let mut after = index::covered(session, kind).await?;
    loop {
        let newest = index::after(session, kind, after, NEWEST).await?;
        let Some((last, _)) = newest.last() else { break };
        after = *last;
        newest.into_iter().try_for_each(|(row, of_row)| add(&mut leads, row, of_row))?;
    }
    // A snapshot that became complete after it was indexed has no sections in its segment.
    if kind == IndexKind::Snapshots {
        let mut late = session.stream(LATE, &[]).await?;
        while let Some(found) = late.try_next().await? {
            add(&mut leads, found.try_get(0)?, index::sections_of(found.try_get(1)?)?)?;
        }
    }
    Ok(leads.settled())
}

/// The segments and beginnings of the blocks that can contain one of these numbers.
async fn chosen(session: &Session, kind: IndexKind, from: &[u32], budget: &SearchBudget) -> Step<(Vec<i32>, Vec<i64>)> {
    let (mut segments, mut firsts) = (Vec::new(), Vec::new());
    let mut rows = session.stream(BEGINNINGS, &[&kind.code()]).await?;
    let mut last: Option<(i32, i64)> = None;
    loop {
        let next = rows.try_next().await?;
        let next = next.map(|found| Ok::<_, PostgresFault>((found.try_get(0)?, found.try_get(1)?))).transpose()?;
        if let Some((segment, first)) = last {
            budget.spend(1, 0)?;
            let end = next.filter(|(of, _)| *of == segment).map(|(_, first)| first);
            let at = from.partition_point(|number| i64::from(*number) < first);
            if from.get(at).is_some_and(|number| end.is_none_or(|end| i64::from(*number) < end)) {
                budget.spend(0, size_of::<(i32, i64)>())?;
                segments.push(segment);
                firsts.push(first);
            }
        }
        if next.is_none() {
            return Ok((segments, firsts));
        }
        last = next;
    }
}

/// The hosts among which the page is, at least. If there are many, names are walked until the page is full.
async fn candidates(session: &Session, query: &SoftwareQuery, everyone: &NumberSet, count: u64) -> Step<Vec<i32>> {
    let all = session.query_first("SELECT coalesce(sum(hosts), 0)::int8 FROM site_hosts", &[]).await?;
    let all = all.map_or(Ok(0), |found| row::count(&found, 0))?;
    if (query.hosts as u64).saturating_mul(all) / count.max(1) >= count.saturating_mul(LOOKED_UP) {
        return Ok(everyone.iter().filter_map(|host| i32::try_from(host).ok()).collect());
    }
    let mut found: Vec<((String, HostId), i32)> = Vec::new();
    // No row has a negative number.
    let (mut name, mut number) = (query.after.as_ref().map_or_else(String::new, |(name, _)| name.clone()), -1_i32);
    let portion = query.hosts.saturating_mul(2).clamp(16, PORTION);
    let most = i64::try_from(portion).unwrap_or(i64::MAX);
    loop {
        let rows = session.query(NAMES, &[&name, &number, &most]).await?;
        query.budget.spend(rows.len(), 0)?;
        for read in &rows {
            (number, name) = (read.try_get(0)?, read.try_get(2)?);
            // Hosts of one name are in the order of their ids, which the index does not have.
            if found.len() >= query.hosts && found.last().is_some_and(|((last, _), _)| *last < name) {
                return Ok(found.into_iter().map(|(_, number)| number).collect());
            }
            let place = (name.clone(), row::host_id(read, 1)?);
            if everyone.contains(i64::from(number)) && query.after.as_ref().is_none_or(|after| place > *after) {
                query.budget.spend(0, size_of_val(&place) + name.len())?;
                found.push((place, number));
            }
        }
        if rows.len() < portion {
            return Ok(found.into_iter().map(|(_, number)| number).collect());
        }
    }
}

/// One page of these hosts, in the order of their names, with those of the editions that they have.
async fn page(
    session: &Session,
    memory: &Memory,
    query: &SoftwareQuery,
    trail: Trail<'_>,
    everyone: &NumberSet,
    count: u64,
) -> Step<Vec<SoftwareHost>> {
    if query.hosts == 0 || count == 0 {
        return Ok(Vec::new());
    }
    let candidates = candidates(session, query, everyone, count).await?;
    // The empty place comes before every host, because every id has bytes.
    let (name, id) = query.after.as_ref().map_or(("", [].as_slice()), |(name, id)| (name, id.as_bytes().as_slice()));
    let most = i64::try_from(query.hosts).unwrap_or(i64::MAX);
    let (mut shown, mut named) = (Vec::new(), NumberSet::default());
    for found in session.query(PAGE, &[&candidates, &name, &id, &most]).await? {
        let id = row::host_id(&found, 0)?;
        let sections: Vec<i64> = index::sections_of(found.try_get(4)?)?.into_iter().map(i64::from).collect();
        query.budget.spend(1, sections.len() * size_of::<i64>())?;
        sections.iter().for_each(|section| named.insert(*section));
        let last_seen = Some(memory.last_seen(id, row::instant(&found, 3)?));
        let (site, hostname) = (row::site(&found, 1)?, found.try_get(2)?);
        shown.push((SoftwareHost { id, site, hostname, last_seen, editions: Vec::new() }, sections));
    }
    let of_sections = OfSections::new(trail, &named, &query.budget)?;
    Ok(software::filled(shown, &of_sections, &query.budget)?)
}
