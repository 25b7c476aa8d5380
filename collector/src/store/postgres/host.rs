//! One host with all that is stored of it, and what is asked of hosts one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use muster_proto::model::{Digest, HostId, SiteId, Timestamp};

use super::fault::{PostgresFault, Step};
use super::memory::Memory;
use super::row::facts_columns;
use super::session::Session;
use super::small_dictionaries::SmallDictionaries;
use super::{decisions, mark, row, said, snapshot, verdict};
use crate::store::{StoredHost, StoredSnapshot, snapshot_codec};

pub(super) async fn get(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    host: HostId,
) -> Step<Option<StoredHost>> {
    const FIND: &str = concat!(
        "SELECT h.no, s.id, h.enrolled_at, h.state, n.snapshot_since, n.snapshot_observed_at, n.last_seen, l.digest, l.entries, ",
        facts_columns!(),
        " FROM host h JOIN site s ON s.no = h.site JOIN host_current n ON n.host = h.no
          LEFT JOIN snapshot l ON l.no = n.snapshot WHERE h.id = $1"
    );
    let Some(found) = session.query_first(FIND, &[&host.as_bytes().as_slice()]).await? else { return Ok(None) };
    let no: i32 = found.try_get(0)?;
    let newest = memory.last_seen(host, row::instant(&found, 6)?);
    let complete_scan = complete_scan(session, no, found.try_get(8)?, newest).await?;
    let snapshot = match row::maybe_digest(&found, 7)? {
        Some(digest) => {
            let bytes = found.try_get(8)?;
            let (digests, observations) = sections(session, &snapshot::section_numbers(bytes, &digest)?).await?;
            let snapshot = snapshot::complete(bytes, &digest, &digests)?;
            let (since, observed_at) = (row::instant(&found, 4)?, row::instant(&found, 5)?);
            Some(StoredSnapshot { digest, snapshot, observations, since, observed_at })
        }
        None => None,
    };
    let mut verdicts: HashMap<_, _> = verdict::of_hosts(session, &[no]).await?;
    Ok(Some(StoredHost {
        host,
        site: row::site(&found, 1)?,
        facts: row::facts(&found, 9)?,
        state: row::state(&found, 3)?,
        enrolled_at: row::instant(&found, 2)?,
        last_seen: Some(newest),
        snapshot,
        complete_scan,
        verdicts: verdicts.remove(&no).unwrap_or_default(),
        history: verdict::history(session, dictionaries, no).await?,
        marks: mark::reports(session, no).await?,
        labels: said::labels(session, no).await?,
        owner: said::owner(session, no).await?,
        notes: said::notes(session, no).await?,
        enrolled_with: mark::token(session, no).await?,
        decisions: decisions::of_hosts(session, &[no]).await?.remove(&no).unwrap_or_default(),
    }))
}

/// When the host last reported a complete scan. Each check-in confirms the current snapshot, whose stored form is
/// `entries`, so a complete one was reported just now.
async fn complete_scan(
    session: &Session,
    no: i32,
    entries: Option<&[u8]>,
    last_seen: Timestamp,
) -> Step<Option<Timestamp>> {
    let Some(entries) = entries else { return Ok(None) };
    if snapshot_codec::is_complete_scan(entries)? {
        return Ok(Some(last_seen));
    }
    let find = "SELECT p.until, l.entries FROM host_snapshot p JOIN snapshot l ON l.no = p.snapshot
                WHERE p.host = $1 ORDER BY p.since DESC LIMIT $2";
    for found in session.query(find, &[&no, &snapshot_codec::SEARCHED_SCANS]).await? {
        if snapshot_codec::is_complete_scan(found.try_get(1)?)? {
            return Ok(Some(row::instant(&found, 0)?));
        }
    }
    Ok(None)
}

/// The digests of these sections by their numbers, and how many observations each has.
async fn sections(session: &Session, numbers: &BTreeSet<i64>) -> Step<(BTreeMap<i64, Digest>, BTreeMap<Digest, u64>)> {
    let numbers: Vec<i64> = numbers.iter().copied().collect();
    let find = "SELECT no, digest, observations FROM section WHERE no = ANY ($1::int8[])";
    let (mut digests, mut sizes) = (BTreeMap::new(), BTreeMap::new());
    for found in session.query(find, &[&numbers]).await? {
        let digest = row::digest(&found, 1)?;
        digests.insert(found.try_get(0)?, digest);
        sizes.insert(digest, u64::from(found.try_get::<_, i32>(2)?.unsigned_abs()));
    }
    Ok((digests, sizes))
}

/// `within` is a condition on `site`.
pub(super) async fn find(session: &Session, name: &str, within: &str) -> Step<Vec<HostId>> {
    let find = format!(
        "SELECT id FROM host WHERE lower(hostname) = lower($1::text COLLATE \"C\") AND {within} ORDER BY id LIMIT 10"
    );
    session.query_once(&find, &[&name]).await?.iter().map(|found| row::host_id(found, 0)).collect()
}

/// Number of hosts by site. Sites without hosts are left out. `within` is a condition on `c.site`.
pub(super) async fn by_site(session: &Session, within: &str) -> Step<Vec<(SiteId, u64)>> {
    let find = format!(
        "SELECT s.id, c.hosts FROM site_hosts c JOIN site s ON s.no = c.site WHERE c.hosts > 0 AND {within}
         ORDER BY s.id"
    );
    let rows = session.query_once(&find, &[]).await?;
    rows.iter().map(|found| Ok((row::site(found, 0)?, row::count(found, 1)?))).collect()
}

/// `within` is a condition on `site`.
pub(super) async fn count(session: &Session, within: &str) -> Step<u64> {
    let find = format!("SELECT coalesce(sum(hosts), 0)::int8 FROM site_hosts WHERE {within}");
    let found = session.query_once(&find, &[]).await?;
    row::count(found.first().ok_or_else(|| PostgresFault::damaged("the number of hosts", "it is not there"))?, 0)
}
