//! Search: from a text to editions, to sections, to snapshots, to the hosts that have one of them as their current one.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use muster_proto::model::{SoftwareCount, SoftwareHost, SoftwareReport};

use super::fault::Step;
use super::index::{self, IndexKind};
use super::intern::Intern;
use super::memory::Memory;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use super::{host, row};
use crate::store::SoftwareQuery;
use crate::store::postings::{self, Block};
use crate::store::software::{self, Editions};

/// The blocks that can contain one of the numbers in `$1`, each once.
const BLOCKS: &str = "
    SELECT b.first, b.lists FROM (
        SELECT DISTINCT s.no, c.first FROM index_segment s CROSS JOIN unnest($1::int8[]) AS w (number)
        CROSS JOIN LATERAL (
            SELECT first FROM index_block WHERE segment = s.no AND first <= w.number ORDER BY first DESC LIMIT 1
        ) c WHERE s.kind = $2
    ) u JOIN index_block b ON b.segment = u.no AND b.first = u.first";

const LATE: &str = "SELECT l.no, l.entries FROM snapshot_late t JOIN snapshot l ON l.no = t.snapshot";

const HOSTS: &str = "
    SELECT n.host, n.snapshot FROM host_current n JOIN host h ON h.no = n.host WHERE n.snapshot = ANY ($1::int8[])";

const PAGE: &str = "
    SELECT h.id, s.id, h.hostname, n.last_seen, l.entries FROM host h JOIN site s ON s.no = h.site
    JOIN host_current n ON n.host = h.no JOIN snapshot l ON l.no = n.snapshot
    WHERE h.no = ANY ($1::int4[]) AND (lower(h.hostname), h.id) > ($2::text COLLATE \"C\", $3::bytea)
    ORDER BY lower(h.hostname), h.id LIMIT $4";

/// The numbers to which each number is mapped.
type Leads = BTreeMap<u32, Vec<i64>>;

/// Must run in a transaction that sees one moment.
pub(super) async fn find(
    session: &Session,
    memory: &Memory,
    intern: &Intern,
    dictionaries: &SmallDictionaries,
    query: &SoftwareQuery,
) -> Step<SoftwareReport> {
    let editions = intern.search(session, query).await?;
    let sections = leads(session, IndexKind::Sections, &editions.keys().copied().collect()).await?;
    let named: BTreeSet<u32> = sections.values().flatten().filter_map(|no| u32::try_from(*no).ok()).collect();
    let snapshots = leads(session, IndexKind::Snapshots, &named).await?;
    let wanted: Vec<i64> = snapshots.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut hosts: HashMap<i64, Vec<i32>> = HashMap::new();
    let find = format!("{HOSTS} AND {}", dictionaries.within(session, "h.site", &query.sites).await?);
    for found in session.query_once(&find, &[&wanted]).await? {
        hosts.entry(found.try_get(1)?).or_default().push(found.try_get(0)?);
    }
    let (mut counted, mut everyone) = (Vec::new(), BTreeSet::new());
    for (edition, numbers) in software::by_text(&editions) {
        let of_edition = numbers.iter().filter_map(|number| sections.get(number)).flatten();
        let of_edition = of_edition.filter_map(|no| u32::try_from(*no).ok());
        let snapshots = of_edition.filter_map(|section| snapshots.get(&section)).flatten();
        let of_edition: BTreeSet<i32> =
            snapshots.filter_map(|snapshot| hosts.get(snapshot)).flatten().copied().collect();
        if !of_edition.is_empty() {
            counted.push(SoftwareCount { edition: edition.clone(), hosts: of_edition.len() as u64 });
            everyone.extend(of_edition);
        }
    }
    let more_editions = software::foremost(&mut counted, query.editions);
    let hosts_total = everyone.len() as u64;
    let hosts = page(session, memory, query, &editions, &sections, everyone.into_iter().collect()).await?;
    Ok(SoftwareReport { editions: counted, more_editions, hosts_total, hosts })
}

/// What these numbers are mapped to: by the index, and by the newest rows, which it does not cover yet.
async fn leads(session: &Session, kind: IndexKind, from: &BTreeSet<u32>) -> Step<Leads> {
    let mut leads = Leads::new();
    if from.is_empty() {
        return Ok(leads);
    }
    let numbers: Vec<i64> = from.iter().copied().map(i64::from).collect();
    for found in session.query(BLOCKS, &[&numbers, &kind.code()]).await? {
        let block = Block { first: found.try_get::<_, i64>(0)? as u32, bytes: found.try_get(1)? };
        for (number, named) in postings::lists(&block)? {
            if from.contains(&number) {
                leads.entry(number).or_default().extend(named);
            }
        }
    }
    let mut newest = index::after(session, kind, index::covered(session, kind).await?, i64::MAX).await?;
    // A snapshot that became complete after it was indexed has no sections in its segment.
    if kind == IndexKind::Snapshots {
        for found in session.query(LATE, &[]).await? {
            newest.push((found.try_get(0)?, index::sections_of(found.try_get(1)?)?));
        }
    }
    for (row, of_row) in newest {
        for number in of_row.into_iter().filter(|number| from.contains(number)) {
            leads.entry(number).or_default().push(row);
        }
    }
    Ok(leads)
}

/// One page of these hosts, in the order of their names, with those of the editions that they have.
async fn page(
    session: &Session,
    memory: &Memory,
    query: &SoftwareQuery,
    editions: &Editions,
    sections: &Leads,
    everyone: Vec<i32>,
) -> Step<Vec<SoftwareHost>> {
    if query.hosts == 0 || everyone.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_section: HashMap<i64, Vec<u32>> = HashMap::new();
    for (edition, named) in sections {
        named.iter().for_each(|section| by_section.entry(*section).or_default().push(*edition));
    }
    // The empty place comes before every host, because every id has bytes.
    let (name, id) = query.after.as_ref().map_or(("", [].as_slice()), |(name, id)| (name, id.as_bytes().as_slice()));
    let most = i64::try_from(query.hosts).unwrap_or(i64::MAX);
    let (mut hosts, mut shown) = (Vec::new(), 0);
    for found in session.query(PAGE, &[&everyone, &name, &id, &most]).await? {
        if shown > software::PAGE {
            break;
        }
        let id = row::host_id(&found, 0)?;
        let mut of_host = BTreeSet::new();
        for section in index::sections_of(found.try_get(4)?)? {
            let known = by_section.get(&i64::from(section)).into_iter().flatten();
            of_host.extend(known.filter_map(|edition| editions.get(edition).cloned()));
        }
        shown += of_host.len();
        hosts.push(SoftwareHost {
            id,
            site: row::site(&found, 1)?,
            hostname: found.try_get(2)?,
            last_seen: Some(host::last_seen(memory, id, row::instant(&found, 3)?)),
            editions: of_host.into_iter().collect(),
        });
    }
    Ok(hosts)
}
