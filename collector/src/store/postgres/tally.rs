//! The tally: hosts by order and lane, updated with every verdict, so that a board need not count them.

use std::collections::HashMap;

use muster_proto::model::{Lane, OrderId, Timestamp, is_silent};

use super::fault::Step;
use super::memory::Memory;
use super::session::Session;
use super::small_dictionaries::{SmallDictionaries, SmallDictionary};
use super::{host, row};
use crate::store::decide::settle::TallyChanges;
use crate::store::decide::tally::{self, SilentHosts, TallyRow};
use crate::store::{LaneTally, SiteScope};

pub(super) const APPLY: &str = "
    INSERT INTO tally (order_no, site, lane, in_scope, hosts)
    SELECT * FROM unnest($1::int4[], $2::int4[], $3::int2[], $4::bool[], $5::int8[])
    ON CONFLICT (order_no, site, lane, in_scope) DO UPDATE SET hosts = tally.hosts + excluded.hosts";

/// Adds these differences.
pub(super) async fn apply(session: &Session, changes: &TallyChanges<i32>) -> Step<()> {
    let (mut orders, mut sites, mut lanes, mut scopes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut differences = Vec::new();
    for ((order, site, lane, in_scope), n) in changes.iter().filter(|(_, n)| **n != 0) {
        orders.push(*order);
        sites.push(*site);
        lanes.push(row::code(lane.code()));
        scopes.push(*in_scope);
        differences.push(*n);
    }
    if !orders.is_empty() {
        session.execute(APPLY, &[&orders, &sites, &lanes, &scopes, &differences]).await?;
    }
    Ok(())
}

pub(super) async fn read(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    order: &OrderId,
    sites: &SiteScope,
    silent_before: Timestamp,
) -> Step<LaneTally> {
    let within = dictionaries.within(session, "site", sites).await?;
    let hosts = host::count(session, &within).await?;
    let order = dictionaries.find(session, SmallDictionary::Order, order.as_str()).await?;
    let Some(order) = order else { return Ok(tally::read(hosts, &[], &HashMap::new())?) };
    let find = format!(
        "SELECT lane, in_scope, sum(hosts)::int8 FROM tally WHERE order_no = $1 AND hosts > 0 AND {within}
         GROUP BY lane, in_scope"
    );
    let mut rows = Vec::new();
    for found in session.query_once(&find, &[&order]).await? {
        let lane = row::member("a lane", Lane::from_code, &found, 0)?;
        rows.push(TallyRow { lane, in_scope: found.try_get(1)?, hosts: row::count(&found, 2)? });
    }
    let silent = silent(session, memory, order, &within, silent_before).await?;
    Ok(tally::read(hosts, &rows, &silent)?)
}

/// Silent hosts in scope by awake lane. The index on the day finds candidates; hosts whose newer check-in is only in
/// memory are dropped.
async fn silent(
    session: &Session,
    memory: &Memory,
    order: i32,
    within: &str,
    silent_before: Timestamp,
) -> Step<SilentHosts> {
    let find = format!(
        "SELECT h.id, v.lane FROM host_current n JOIN host h ON h.no = n.host
         LEFT JOIN verdict v ON v.host = n.host AND v.order_no = $1
         WHERE n.day <= ($2::int8 / 86400000)::int4 AND n.last_seen < $2 AND v.in_scope IS NOT FALSE AND {within}"
    );
    let mut silent = HashMap::new();
    for found in session.query_once(&find, &[&order, &silent_before.millis()]).await? {
        let seen = memory.seen(row::host_id(&found, 0)?);
        if seen.is_none_or(|seen| is_silent(Some(seen.last_seen), silent_before)) {
            *silent.entry(row::maybe_lane(&found, 1)?).or_default() += 1;
        }
    }
    Ok(silent)
}
