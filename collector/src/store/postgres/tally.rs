//! Hosts by lane: kept with every verdict, so that a board costs nothing. Silence is added when it is read.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{Lane, Timestamp};

use super::fault::{PostgresFault, Step};
use super::memory::Memory;
use super::session::Session;
use super::{host, row};
use crate::store::LaneTally;

/// Differences, by order, lane and scope; sorted, as rows are locked in this order.
pub(super) type Changes = BTreeMap<(i32, i16, bool), i64>;

pub(super) const APPLY: &str = "
    INSERT INTO tally (order_no, lane, in_scope, hosts) SELECT * FROM unnest($1::int4[], $2::int2[], $3::bool[], $4::int8[])
    ON CONFLICT (order_no, lane, in_scope) DO UPDATE SET hosts = tally.hosts + excluded.hosts";

/// Adds these differences.
pub(super) async fn apply(session: &Session, changes: &Changes) -> Step<()> {
    let (mut orders, mut lanes, mut scopes, mut differences) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((order, lane, in_scope), n) in changes.iter().filter(|(_, n)| **n != 0) {
        orders.push(*order);
        lanes.push(*lane);
        scopes.push(*in_scope);
        differences.push(*n);
    }
    if !orders.is_empty() {
        session.execute(APPLY, &[&orders, &lanes, &scopes, &differences]).await?;
    }
    Ok(())
}

pub(super) async fn read(
    session: &Session,
    memory: &Memory,
    order: Option<i32>,
    silent_before: Timestamp,
) -> Step<LaneTally> {
    let hosts = host::count(session).await?;
    let mut tally = LaneTally { unjudged: hosts, ..LaneTally::default() };
    let Some(order) = order else { return Ok(tally) };
    let find = "SELECT lane, in_scope, hosts FROM tally WHERE order_no = $1 AND hosts > 0";
    let mut judged = 0;
    let mut awake: BTreeMap<Lane, u64> = BTreeMap::new();
    for found in session.query(find, &[&order]).await? {
        let n = row::count(&found, 2)?;
        judged += n;
        if found.try_get(1)? {
            awake.insert(row::member("a lane", Lane::from_code, &found, 0)?, n);
        } else {
            tally.out_of_scope += n;
        }
    }
    tally.unjudged = hosts.saturating_sub(judged);
    let silent = silent(session, memory, order, silent_before).await?;
    for (lane, n) in awake {
        let asleep = silent.get(&lane).copied().unwrap_or(0);
        let awake = n.checked_sub(asleep).ok_or_else(|| {
            PostgresFault::damaged("the tally", format!("lane {lane} has {n} hosts, and {asleep} of them are silent"))
        })?;
        for (is_silent, n) in [(false, awake), (true, asleep)] {
            if n > 0 {
                tally.in_scope.insert((lane, is_silent), n);
            }
        }
    }
    Ok(tally)
}

/// Silent hosts in scope by lane: by an index on the day, then without those whom only the memory has seen.
async fn silent(session: &Session, memory: &Memory, order: i32, silent_before: Timestamp) -> Step<HashMap<Lane, u64>> {
    let find = "SELECT h.id, v.lane FROM host_current n JOIN verdict v ON v.host = n.host AND v.order_no = $1
                JOIN host h ON h.no = n.host
                WHERE n.day <= ($2::int8 / 86400000)::int4 AND n.last_seen < $2 AND v.in_scope";
    let mut silent = HashMap::new();
    for found in session.query(find, &[&order, &silent_before.millis()]).await? {
        let seen = memory.seen(row::host_id(&found, 0)?);
        if seen.is_none_or(|seen| seen.last_seen < silent_before) {
            *silent.entry(row::member("a lane", Lane::from_code, &found, 1)?).or_default() += 1;
        }
    }
    Ok(silent)
}
