//! Changes of lanes: reads absences, the ledger from its newest entry back, and the lanes of hosts that were silent.

use std::collections::{BTreeSet, HashMap};

use muster_proto::model::{EntryKind, HostId, Lane, SiteId, Timestamp};

use super::fault::{PostgresFault, Step};
use super::memory::Memory;
use super::row;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use crate::ledger::entry::{Entry, LaneChange};
use crate::store::SiteScope;
use crate::store::changes::{ChangesQuery, StoredChanges};
use crate::store::decide::changes::{Absence, LaneSpan, Selection};
use crate::store::decision_sql;

/// Entries that are read at a time; one of them may name hundreds of hosts.
const PORTION: i64 = 500;

const LEDGER: &str = "SELECT no, at, entry FROM ledger WHERE kind = $3 AND no < $1 ORDER BY no DESC LIMIT $2";

const SPANS: &str = "
    SELECT host, order_no, lane, in_scope, since, until FROM verdict_history WHERE host = ANY ($1::int4[])
    UNION ALL SELECT host, order_no, lane, in_scope, since, NULL FROM verdict WHERE host = ANY ($1::int4[])";

const NUMBERS: &str = "SELECT no, id FROM host WHERE id = ANY ($1::bytea[])";

const NAMES: &str = "
    SELECT h.id, s.id, h.hostname FROM host h JOIN site s ON s.no = h.site WHERE h.id = ANY ($1::bytea[])";

/// Must run in a transaction that sees one moment.
pub(super) async fn list(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    query: &ChangesQuery,
) -> Step<StoredChanges> {
    let within = dictionaries.within(session, "h.site", &query.sites).await?;
    let mut selection = Selection::new(query, absences(session, memory, query, &within).await?);
    read_ledger(session, query, &within, &mut selection).await?;
    for hosts in selection.hosts_with_silence().chunks(1_000) {
        for (host, spans) in spans(session, dictionaries, hosts).await? {
            selection.add_silence(host, &spans);
        }
    }
    let selected = selection.finish();
    let hosts: BTreeSet<HostId> = selected.page.keys().map(|key| key.host).collect();
    let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes().as_slice()).collect();
    let mut names: HashMap<HostId, (String, SiteId)> = HashMap::new();
    for found in session.query(NAMES, &[&hosts]).await? {
        names.insert(row::host_id(&found, 0)?, (found.try_get(2)?, row::site(&found, 1)?));
    }
    Ok(selected.named(|host| names.get(&host).cloned()))
}

/// Gaps that ended within the time that is asked for, and those that have not ended.
async fn absences(
    session: &Session,
    memory: &Memory,
    query: &ChangesQuery,
    within: &str,
) -> Step<HashMap<HostId, Vec<Absence>>> {
    let mut absences: HashMap<HostId, Vec<Absence>> = HashMap::new();
    let Some(silent_before) = query.silent_before() else { return Ok(absences) };
    // OFFSET keeps the look-up of each host apart: as a join, a filter by site would read every host.
    let find = format!(
        "SELECT h.id, g.since, g.until FROM host_gap g
         CROSS JOIN LATERAL (SELECT h.id FROM host h WHERE h.no = g.host AND {within} OFFSET 0) h WHERE g.until >= $1"
    );
    for found in session.query_once(&find, &[&query.since.millis()]).await? {
        let absence = Absence { since: row::instant(&found, 1)?, until: Some(row::instant(&found, 2)?), left: None };
        absences.entry(row::host_id(&found, 0)?).or_default().push(absence);
    }
    let left = decision_sql::left_at("$2", "n.last_seen");
    let find = format!(
        "SELECT h.id, n.last_seen, {left} FROM host_current n
         CROSS JOIN LATERAL (SELECT h.id, h.no FROM host h WHERE h.no = n.host AND {within} OFFSET 0) h
         WHERE n.day <= ($1::int8 / 86400000)::int4 AND n.last_seen < $1"
    );
    for found in session.query_once(&find, &[&silent_before.millis(), &query.now.millis()]).await? {
        let id = row::host_id(&found, 0)?;
        // A newer check-in may be only in memory yet.
        let stored = row::instant(&found, 1)?;
        let since = memory.last_seen(id, stored);
        if since < silent_before {
            let left = row::maybe_instant(&found, 2)?.filter(|_| since == stored);
            absences.entry(id).or_default().push(Absence { since, until: None, left });
        }
    }
    Ok(absences)
}

async fn read_ledger(session: &Session, query: &ChangesQuery, within: &str, selection: &mut Selection<'_>) -> Step<()> {
    let kind = row::code(EntryKind::LanesChanged.code());
    let mut before = i64::MAX;
    loop {
        let rows = session.query(LEDGER, &[&before, &PORTION, &kind]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        before = last.try_get(0)?;
        let mut entries = Vec::new();
        let mut is_complete = false;
        for found in &rows {
            let at = row::instant(found, 1)?;
            is_complete = selection.is_complete(at);
            if is_complete {
                break;
            }
            if !selection.wants(at) {
                continue;
            }
            let entry = Entry::from_json(found.try_get(2)?).map_err(|error| {
                let number = found.try_get::<_, i64>(0).unwrap_or_default();
                PostgresFault::damaged(format!("ledger entry {number}"), error.to_string())
            })?;
            if let (Entry::LanesChanged { hosts, changes, .. }, _) = entry {
                entries.push((at, hosts, changes));
            }
        }
        let inside = match query.sites {
            SiteScope::All => None,
            SiteScope::Only(_) => Some(hosts_within(session, within, &entries).await?),
        };
        for (at, hosts, changes) in &mut entries {
            if let Some(inside) = &inside {
                hosts.retain(|host| inside.contains(host));
            }
            selection.add_entry(*at, hosts, changes);
        }
        if is_complete {
            return Ok(());
        }
    }
}

type EntryRead = (Timestamp, Vec<HostId>, Vec<LaneChange>);

/// Those hosts of entries that are in the sites.
async fn hosts_within(session: &Session, within: &str, entries: &[EntryRead]) -> Step<BTreeSet<HostId>> {
    let hosts: BTreeSet<HostId> = entries.iter().flat_map(|(_, hosts, _)| hosts.iter().copied()).collect();
    let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes().as_slice()).collect();
    let find = format!("SELECT h.id FROM host h WHERE h.id = ANY ($1::bytea[]) AND {within}");
    session.query_once(&find, &[&hosts]).await?.iter().map(|found| row::host_id(found, 0)).collect()
}

/// The awake lanes of hosts.
async fn spans(
    session: &Session,
    dictionaries: &SmallDictionaries,
    hosts: &[HostId],
) -> Step<HashMap<HostId, Vec<LaneSpan>>> {
    let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes().as_slice()).collect();
    let mut ids: HashMap<i32, HostId> = HashMap::new();
    for found in session.query(NUMBERS, &[&hosts]).await? {
        ids.insert(found.try_get(0)?, row::host_id(&found, 1)?);
    }
    let numbers: Vec<i32> = ids.keys().copied().collect();
    let mut spans: HashMap<HostId, Vec<LaneSpan>> = HashMap::new();
    for found in session.query(SPANS, &[&numbers]).await? {
        let Some(host) = ids.get(&found.try_get(0)?) else { continue };
        let span = LaneSpan {
            order: dictionaries.order(session, found.try_get(1)?).await?,
            lane: row::member("a lane", Lane::from_code, &found, 2)?,
            in_scope: found.try_get(3)?,
            since: row::instant(&found, 4)?,
            until: row::maybe_instant(&found, 5)?,
        };
        spans.entry(*host).or_default().push(span);
    }
    Ok(spans)
}
