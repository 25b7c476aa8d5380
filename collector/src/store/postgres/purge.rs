//! Purges a host: its past first, then its present, then what only it referred to.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fault::Step;
use super::index::IndexKind;
use super::session::{Session, Values};
use super::{index, removal, software, unreferenced};
use crate::store::purge::NO_RUN;
use crate::store::{Purged, SearchBudget, SearchLimits, snapshot_codec};

const SNAPSHOTS: &str = "
    DELETE FROM host_snapshot p USING (SELECT host, since FROM host_snapshot WHERE host = $1::int8::int4 ORDER BY since LIMIT $2) o
    WHERE p.host = o.host AND p.since = o.since RETURNING p.snapshot";
const STATES: &str = "
    DELETE FROM host_state p USING (SELECT host, since FROM host_state WHERE host = $1::int8::int4 ORDER BY since LIMIT $2) o
    WHERE p.host = o.host AND p.since = o.since RETURNING p.judged_state::int8";
const CURRENT: &str = "
    SELECT n.snapshot, n.judged_state::int8, h.state IS NOT NULL FROM host_current n JOIN host h ON h.no = n.host
    WHERE n.host = $1::int8::int4 FOR UPDATE OF n";
const FORGET: &str = "
    UPDATE host_current SET snapshot = NULL, snapshot_since = NULL, snapshot_observed_at = NULL, judged_state = NULL,
        state_since = NULL, judged_at = NULL, judged_rules = NULL, revision = revision + 1, seq = 0,
        previous_run = NULL, previous_seq = 0, returns = 0,
        run = CASE WHEN run IS NULL THEN NULL ELSE $2::bytea END
    WHERE host = $1::int8::int4";

/// Must run in a transaction that does not hold locks of hosts.
pub(super) async fn purge(session: &Session, host: i64, most: u64) -> Step<Purged> {
    removal::hold(session).await?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let current = session.query_first(CURRENT, &[&host]).await?;
    let (mut snapshots, mut states) = (BTreeSet::new(), BTreeSet::new());
    let mut own = past(session, SNAPSHOTS, &[&host, &most], &mut snapshots).await?;
    own += past(session, STATES, &[&host, &(most - own)], &mut states).await?;
    // The present is the end of the past, so it goes last.
    let is_done = own < most;
    if let Some(current) = current.filter(|_| is_done) {
        let (snapshot, state): (Option<i64>, Option<i64>) = (current.try_get(0)?, current.try_get(1)?);
        own += i64::from(snapshot.is_some()) + i64::from(current.try_get::<_, bool>(2)?);
        snapshots.extend(snapshot);
        states.extend(state);
        session.execute(FORGET, &[&host, &NO_RUN.as_bytes().as_slice()]).await?;
        session.execute("UPDATE host SET state = NULL WHERE no = $1::int8::int4", &[&host]).await?;
    }
    let (snapshots, sections) = referred(session, snapshots).await?;
    unreferenced::remove_states(session, &states.into_iter().collect::<Vec<_>>()).await?;
    Ok(Purged { own: own.cast_unsigned(), snapshots, sections, is_done })
}

/// Deletes the oldest rows of a history; notes to what they referred.
async fn past(session: &Session, delete: &'static str, values: Values<'_>, referred: &mut BTreeSet<i64>) -> Step<i64> {
    let rows = session.query(delete, values).await?;
    for found in &rows {
        referred.insert(found.try_get(0)?);
    }
    Ok(rows.len() as i64)
}

/// Removes those of the snapshots that no host has or had, and their sections that no other snapshot has.
async fn referred(session: &Session, snapshots: BTreeSet<i64>) -> Step<(u64, u64)> {
    let snapshots: Vec<i64> = snapshots.into_iter().collect();
    let find = "SELECT entries FROM snapshot WHERE no = ANY ($1::int8[]) AND complete";
    let mut sections = BTreeSet::new();
    for found in session.query(find, &[&snapshots]).await? {
        sections.extend(snapshot_codec::sections(found.try_get(0)?)?);
    }
    let removed = unreferenced::remove_snapshots(session, &snapshots).await?;
    // The index must not change between the statements that read it.
    index::hold(session).await?;
    let named: Vec<u32> = sections.iter().filter_map(|section| u32::try_from(*section).ok()).collect();
    let nobody_waits = SearchLimits { rows: u64::MAX, bytes: u64::MAX, time: Duration::from_secs(3600) };
    let leads = software::leads(session, IndexKind::Snapshots, &named, &SearchBudget::new(nobody_waits, None)).await?;
    let of_sections = leads.targets();
    // The index may still name snapshots that were removed.
    let there = session.query("SELECT no FROM snapshot WHERE no = ANY ($1::int8[])", &[&of_sections]).await?;
    let there = there.iter().map(|found| Ok(found.try_get::<_, i64>(0)?)).collect::<Step<BTreeSet<i64>>>()?;
    let is_free = |section: &i64| !leads.of(*section).any(|snapshot| there.contains(&snapshot));
    let free: Vec<i64> = sections.into_iter().filter(is_free).collect();
    let sections = if free.is_empty() { 0 } else { unreferenced::remove_sections(session, &free).await? };
    Ok((removed, sections))
}
