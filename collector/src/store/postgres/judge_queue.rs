//! The judge queue. A host that waits has a row, written in the transaction that made it wait. Claims are in that row too,
//! so that any number of collectors can judge together without a leader. A claim ends when it is settled, when the host
//! gets a newer ticket, after a minute, or with the collector that holds it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use muster_proto::model::{HostMark, OrderId, Timestamp};
use tokio_postgres::Row;

use super::fault::Step;
use super::memory::Memory;
use super::row;
use super::row::facts_columns;
use super::session::{Session, Values};
use super::small_dictionaries::SmallDictionaries;
use crate::judge::Remediation;
use crate::store::decide::labels;
use crate::store::{QueueDepth, QueuedHost};

/// An older claim is given to another judge: its holder is stuck.
const CLAIM_LASTS: Duration = Duration::from_secs(60);

/// Rows that another collector is claiming at this moment are skipped, so nobody waits. A collector whose rules are not in
/// force gets nothing.
const CLAIM: &str = "
    WITH picked AS MATERIALIZED (
        SELECT host FROM judge_queue
        WHERE (claim_ticket IS DISTINCT FROM ticket OR claimed_at <= $2 OR claimed_by <> ALL ($3::int4[]))
          AND ($6 = 0 OR NOT EXISTS (SELECT 1 FROM rules WHERE adopted_at IS NOT NULL AND no <> $6))
        ORDER BY queued_at, host LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE judge_queue q SET claim_ticket = q.ticket, claimed_at = $4, claimed_by = $5 FROM picked p WHERE q.host = p.host
    RETURNING q.host, q.ticket, q.queued_at";

/// Claimed hosts, in the order of these arrays. A statement of its own: one that claims and reads sees hosts as they were when it
/// began, but may return a ticket that came later with other facts.
const CLAIMED: &str = concat!(
    "SELECT t.host, t.ticket, h.id, s.id, h.state, l.digest, n.snapshot_since, n.last_seen,
            EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = $3),
            (SELECT string_agg(x.label, ' ') FROM host_label x WHERE x.host = h.no AND x.until IS NULL), ",
    facts_columns!(),
    " FROM unnest($1::int4[], $2::int8[]) WITH ORDINALITY AS t (host, ticket, place) JOIN host h ON h.no = t.host
      JOIN site s ON s.no = h.site JOIN host_current n ON n.host = t.host LEFT JOIN snapshot l ON l.no = n.snapshot
      ORDER BY t.place"
);

/// Hosts in the order of their row numbers, whether they wait or not.
const PAGE: &str = concat!(
    "WITH taken AS MATERIALIZED (SELECT no AS host, 0::int8 AS ticket FROM host WHERE no > $1 ORDER BY no LIMIT $2)
     SELECT t.host, t.ticket, h.id, s.id, h.state, l.digest, n.snapshot_since, n.last_seen,
            EXISTS (SELECT 1 FROM host_mark m WHERE m.host = h.no AND m.mark = $3),
            (SELECT string_agg(x.label, ' ') FROM host_label x WHERE x.host = h.no AND x.until IS NULL), ",
    facts_columns!(),
    " FROM taken t JOIN host h ON h.no = t.host JOIN site s ON s.no = h.site JOIN host_current n ON n.host = t.host
      LEFT JOIN snapshot l ON l.no = n.snapshot ORDER BY t.host"
);

/// An order that has judged the host has a row even if there is nothing to remember.
const REMEDIATIONS: &str = "
    SELECT x.host, x.order_no, r.record
    FROM (SELECT host, order_no FROM verdict WHERE host = ANY ($1::int4[])
          UNION SELECT host, order_no FROM host_remediation WHERE host = ANY ($1::int4[])) x
    LEFT JOIN host_remediation r ON r.host = x.host AND r.order_no = x.order_no";

/// Claims hosts whose present ticket nobody has claimed, oldest first.
pub(super) async fn claim(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    me: i32,
    most: usize,
    now: Timestamp,
) -> Step<Vec<QueuedHost>> {
    let mut living = memory.collectors();
    // The last heartbeat may not have seen this collector's lock.
    living.push(me);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let old = now.minus(CLAIM_LASTS).millis();
    let mark = i64::from(HostMark::TwoHolders.code());
    let values: Values<'_> = &[&most, &old, &living, &now.millis(), &me, &memory.rules().mine()];
    let mut taken: Vec<(i64, i32, i64)> = Vec::new();
    for found in session.query(CLAIM, values).await? {
        taken.push((found.try_get(2)?, found.try_get(0)?, found.try_get(1)?));
    }
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    // Those that have waited longest first.
    taken.sort_unstable();
    let (hosts, tickets): (Vec<i32>, Vec<i64>) = taken.into_iter().map(|(_, host, ticket)| (host, ticket)).unzip();
    let rows = session.query(CLAIMED, &[&hosts, &tickets, &mark]).await?;
    queued(session, memory, dictionaries, &rows).await
}

/// Hosts with row numbers after this one, at most `most`, with all that judging them needs. They need not wait, and their
/// tickets are 0. Also returns the last of the numbers.
pub(super) async fn page(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    after: i64,
    most: usize,
) -> Step<(Vec<QueuedHost>, Option<i64>)> {
    let after = i32::try_from(after).unwrap_or(i32::MAX);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mark = i64::from(HostMark::TwoHolders.code());
    let rows = session.query(PAGE, &[&after, &most, &mark]).await?;
    let last: Option<i32> = rows.last().map(|row| row.try_get(0)).transpose()?;
    Ok((queued(session, memory, dictionaries, &rows).await?, last.map(i64::from)))
}

/// Hosts as the statements above return them.
async fn queued(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    rows: &[Row],
) -> Step<Vec<QueuedHost>> {
    let hosts: Vec<i32> = rows.iter().map(|found| found.try_get(0)).collect::<Result<_, _>>()?;
    let mut remediations =
        if hosts.is_empty() { HashMap::new() } else { remediations(session, dictionaries, &hosts).await? };
    let mut claimed = Vec::with_capacity(rows.len());
    for found in rows {
        let (no, ticket): (i32, i64) = (found.try_get(0)?, found.try_get(1)?);
        let id = row::host_id(found, 2)?;
        let snapshot = match row::maybe_digest(found, 5)? {
            Some(digest) => Some((digest, row::instant(found, 6)?)),
            None => None,
        };
        claimed.push(QueuedHost {
            host: id,
            site: row::site(found, 3)?,
            facts: row::facts(found, 10)?,
            state: row::state(found, 4)?,
            snapshot,
            last_seen: Some(memory.last_seen(id, row::instant(found, 7)?)),
            remediations: remediations.remove(&no).unwrap_or_default(),
            has_two_holders: found.try_get(8)?,
            labels: labels::read(found.try_get::<_, Option<&str>>(9)?.unwrap_or_default())?,
            ticket: ticket.cast_unsigned(),
        });
    }
    Ok(claimed)
}

async fn remediations(
    session: &Session,
    dictionaries: &SmallDictionaries,
    hosts: &[i32],
) -> Step<HashMap<i32, BTreeMap<OrderId, Remediation>>> {
    let mut remediations: HashMap<i32, BTreeMap<OrderId, Remediation>> = HashMap::new();
    for found in session.query(REMEDIATIONS, &[&hosts]).await? {
        let remediation = match found.try_get::<_, Option<&str>>(2)? {
            Some(text) => row::from_json("a remediation record", text)?,
            None => Remediation::default(),
        };
        let order = dictionaries.order(session, found.try_get(1)?).await?;
        remediations.entry(found.try_get(0)?).or_default().insert(order, remediation);
    }
    Ok(remediations)
}

/// Puts hosts on the judge queue, in the order in which rows are locked.
pub(super) async fn requeue(session: &Session, hosts: &[i64], now: Timestamp) -> Step<()> {
    if hosts.is_empty() {
        return Ok(());
    }
    let put = "INSERT INTO judge_queue (host, ticket, queued_at)
               SELECT no::int4, nextval('judge_queue_ticket'), $2 FROM (SELECT DISTINCT unnest($1::int8[]) AS no) h ORDER BY no
               ON CONFLICT (host) DO UPDATE SET ticket = excluded.ticket";
    session.execute(put, &[&hosts, &now.millis()]).await?;
    Ok(())
}

pub(super) async fn depth(session: &Session) -> Step<QueueDepth> {
    let find =
        "SELECT (SELECT count(*) FROM judge_queue), (SELECT queued_at FROM judge_queue ORDER BY queued_at LIMIT 1)";
    match session.query_first(find, &[]).await? {
        Some(found) => Ok(QueueDepth { waiting: row::count(&found, 0)?, oldest: row::maybe_instant(&found, 1)? }),
        None => Ok(QueueDepth::default()),
    }
}
