//! Search: from a text to editions, to sections, to snapshots, to the hosts that have one of them as their current one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use hashbrown::HashMap;
use muster_proto::model::{SoftwareHost, SoftwareReport};

use super::fault::Step;
use super::index::{self, IndexKind};
use super::intern::Intern;
use super::memory::Memory;
use super::pool::Lease;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use super::{host, row};
use crate::store::postings::{self, Block};
use crate::store::software::{self, Editions, Sections, pay_for};
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

const LATE: &str = "SELECT l.no, l.entries FROM snapshot_late t JOIN snapshot l ON l.no = t.snapshot";

const HOSTS: &str = "
    SELECT n.host, n.snapshot FROM host_current n JOIN host h ON h.no = n.host WHERE n.snapshot = ANY ($1::int8[])";

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
    let numbers = editions.keys().copied().collect();
    let sections = leads(session, IndexKind::Sections, &numbers, budget).await?;
    let named: BTreeSet<u32> = sections.values().flatten().filter_map(|no| u32::try_from(*no).ok()).collect();
    let snapshots = leads(session, IndexKind::Snapshots, &named, budget).await?;
    let wanted: Vec<i64> = snapshots.values().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut hosts: HashMap<i64, Vec<i32>> = HashMap::new();
    let find = format!("{HOSTS} AND {}", dictionaries.within(session, "h.site", &query.sites).await?);
    let mut rows = session.stream_once(&find, &[&wanted]).await?;
    while let Some(found) = rows.try_next().await? {
        pay_for(budget, 1)?;
        hosts.entry(found.try_get(1)?).or_default().push(found.try_get(0)?);
    }
    let counted = software::count(&editions, &sections, query, |named| {
        let named = named.iter().filter_map(|no| u32::try_from(*no).ok());
        let mut found = BTreeSet::new();
        for snapshot in named.filter_map(|section| snapshots.get(&section)).flatten() {
            let of_snapshot = hosts.get(snapshot).map(Vec::as_slice).unwrap_or_default();
            budget.spend(1 + of_snapshot.len(), 0)?;
            found.extend(of_snapshot);
        }
        Ok(found)
    })?;
    let hosts_total = counted.everyone.len() as u64;
    let everyone = counted.everyone.into_iter().collect();
    let hosts = page(session, memory, query, &editions, &sections, everyone).await?;
    Ok(SoftwareReport { editions: counted.editions, more_editions: counted.more, hosts_total, hosts })
}

/// What these numbers are mapped to: by the index, and by the newest rows, which it does not cover yet.
pub(super) async fn leads(
    session: &Session,
    kind: IndexKind,
    from: &BTreeSet<u32>,
    budget: &SearchBudget,
) -> Step<Sections> {
    let mut leads = Sections::new();
    if from.is_empty() {
        return Ok(leads);
    }
    let numbers: Vec<i64> = from.iter().copied().map(i64::from).collect();
    let mut blocks = session.stream(BLOCKS, &[&numbers, &kind.code()]).await?;
    while let Some(found) = blocks.try_next().await? {
        let block = Block { first: found.try_get::<_, i64>(0)? as u32, bytes: found.try_get(1)? };
        budget.spend(1, 0)?;
        for (number, named) in postings::lists(&block)?.into_iter().filter(|(number, _)| from.contains(number)) {
            software::add_sections(&mut leads, number, named, budget)?;
        }
    }
    let add = |leads: &mut Sections, row: i64, of_row: Vec<u32>| -> Step<()> {
        budget.spend(1 + of_row.len(), 0)?;
        for number in of_row.into_iter().filter(|number| from.contains(number)) {
            software::add_sections(leads, number, vec![row], budget)?;
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
    Ok(leads)
}

/// One page of these hosts, in the order of their names, with those of the editions that they have.
async fn page(
    session: &Session,
    memory: &Memory,
    query: &SoftwareQuery,
    editions: &Editions,
    sections: &Sections,
    everyone: Vec<i32>,
) -> Step<Vec<SoftwareHost>> {
    if query.hosts == 0 || everyone.is_empty() {
        return Ok(Vec::new());
    }
    let by_section = software::by_section(sections);
    // The empty place comes before every host, because every id has bytes.
    let (name, id) = query.after.as_ref().map_or(("", [].as_slice()), |(name, id)| (name, id.as_bytes().as_slice()));
    let most = i64::try_from(query.hosts).unwrap_or(i64::MAX);
    let (mut hosts, mut shown) = (Vec::new(), 0);
    for found in session.query(PAGE, &[&everyone, &name, &id, &most]).await? {
        if shown > software::PAGE {
            break;
        }
        let id = row::host_id(&found, 0)?;
        let of_host = index::sections_of(found.try_get(4)?)?.into_iter().map(i64::from);
        let of_host = software::of_host(of_host, &by_section, editions, &query.budget)?;
        shown += of_host.len();
        hosts.push(SoftwareHost {
            id,
            site: row::site(&found, 1)?,
            hostname: found.try_get(2)?,
            last_seen: Some(host::last_seen(memory, id, row::instant(&found, 3)?)),
            editions: of_host,
        });
    }
    Ok(hosts)
}
