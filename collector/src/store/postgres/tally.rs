//! The tally: hosts by order and lane, updated with every verdict, so that a board need not count them.

use std::collections::{BTreeMap, HashMap};

use muster_proto::model::{EntryState, Lane, OrderId, Platform, Timestamp, is_silent};

use super::fault::{PostgresFault, Step};
use super::memory::Memory;
use super::session::Session;
use super::small_dictionaries::{SmallDictionaries, SmallDictionary};
use super::{decisions, host, removal, row};
use crate::store::decide::decided::DecidedHosts;
use crate::store::decide::settle::{TallyChanges, TallyKey};
use crate::store::decide::tally::{self, Instants, SilentHosts, TallyRow};
use crate::store::{EntryCount, FleetTally, SiteScope};

pub(super) const APPLY: &str = "
    INSERT INTO tally (order_no, site, lane, in_scope, listed, hosts)
    SELECT * FROM unnest($1::int4[], $2::int4[], $3::int2[], $4::bool[], $5::bool[], $6::int8[])
    ON CONFLICT (order_no, site, lane, in_scope, listed) DO UPDATE SET hosts = tally.hosts + excluded.hosts";

/// Adds these differences.
pub(super) async fn apply(session: &Session, changes: &TallyChanges<i32>) -> Step<()> {
    let (mut orders, mut sites, mut lanes, mut scopes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut listed, mut differences) = (Vec::new(), Vec::new());
    for (key, n) in changes.iter().filter(|(_, n)| **n != 0) {
        orders.push(key.order);
        sites.push(key.site);
        lanes.push(row::code(key.lane.code()));
        scopes.push(key.in_scope);
        listed.push(key.is_listed);
        differences.push(*n);
    }
    if !orders.is_empty() {
        session.execute(APPLY, &[&orders, &sites, &lanes, &scopes, &listed, &differences]).await?;
    }
    Ok(())
}

/// Locks hosts in the order of their numbers, and notes whether they are machines of the roster. What they take along in the tally is
/// applied later: see the order of locks at the head of `writer`.
pub(super) async fn list(session: &Session, hosts: &BTreeMap<i64, bool>, changes: &mut TallyChanges<i32>) -> Step<()> {
    if hosts.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i32> = hosts.keys().filter_map(|no| i32::try_from(*no).ok()).collect();
    let listed: Vec<bool> = hosts.values().copied().collect();
    session.query(LOCK, &[&numbers]).await?;
    let moved: Vec<i32> = {
        let rows = session.query(LIST, &[&numbers, &listed]).await?;
        rows.iter().map(|found| Ok(found.try_get(0)?)).collect::<Step<_>>()?
    };
    for found in session.query(VERDICTS, &[&moved]).await? {
        let is_listed = hosts.get(&i64::from(found.try_get::<_, i32>(4)?)).copied().unwrap_or_default();
        let lane = row::member("a lane", Lane::from_code, &found, 2)?;
        let key = TallyKey {
            order: found.try_get(0)?,
            site: found.try_get(1)?,
            lane,
            in_scope: found.try_get(3)?,
            is_listed,
        };
        *changes.entry(key).or_default() += 1;
        *changes.entry(TallyKey { is_listed: !is_listed, ..key }).or_default() -= 1;
    }
    Ok(())
}

/// Moves hosts to other sites, which their verdicts in the tally follow. Returns the differences of the numbers of hosts of the
/// sites, for [`count_sites`]: see the order of locks at the head of `writer`.
pub(super) async fn relocate(
    session: &Session,
    hosts: &BTreeMap<i64, i64>,
) -> Step<(TallyChanges<i32>, BTreeMap<i32, i64>)> {
    let (mut changes, mut counts) = (TallyChanges::new(), BTreeMap::new());
    if hosts.is_empty() {
        return Ok((changes, counts));
    }
    // A settlement that waits for a host has read its site already. It shares this lock before it reads.
    removal::hold(session).await?;
    let narrow = |no: &i64| i32::try_from(*no).unwrap_or_default();
    let (numbers, sites): (Vec<i32>, Vec<i32>) = hosts.iter().map(|(host, site)| (narrow(host), narrow(site))).unzip();
    session.query(LOCK, &[&numbers]).await?;
    let mut moved: HashMap<i32, (i32, i32)> = HashMap::new();
    for found in session.query(RELOCATE, &[&numbers, &sites]).await? {
        let (host, before, site) = (found.try_get(0)?, found.try_get(1)?, found.try_get(2)?);
        *counts.entry(before).or_default() -= 1;
        *counts.entry(site).or_default() += 1;
        moved.insert(host, (before, site));
    }
    let numbers: Vec<i32> = moved.keys().copied().collect();
    for found in session.query(VERDICTS, &[&numbers]).await? {
        let Some((before, site)) = moved.get(&found.try_get(4)?) else { continue };
        let lane = row::member("a lane", Lane::from_code, &found, 2)?;
        let key = TallyKey {
            order: found.try_get(0)?,
            site: *site,
            lane,
            in_scope: found.try_get(3)?,
            is_listed: found.try_get(5)?,
        };
        *changes.entry(key).or_default() += 1;
        *changes.entry(TallyKey { site: *before, ..key }).or_default() -= 1;
    }
    Ok((changes, counts))
}

/// Adds differences to the numbers of hosts of sites.
pub(super) async fn count_sites(session: &Session, sites: &BTreeMap<i32, i64>) -> Step<()> {
    if !sites.is_empty() {
        let (numbers, hosts): (Vec<i32>, Vec<i64>) = sites.iter().unzip();
        session.execute(COUNT_SITES, &[&numbers, &hosts]).await?;
    }
    Ok(())
}

const RELOCATE: &str = "
    UPDATE host h SET site = u.site FROM unnest($1::int4[], $2::int4[]) AS u (host, site), host b
    WHERE h.no = u.host AND b.no = u.host AND b.site <> u.site RETURNING h.no, b.site, h.site";

const COUNT_SITES: &str = "
    INSERT INTO site_hosts (site, hosts) SELECT u.site, greatest(u.hosts, 0) FROM unnest($1::int4[], $2::int8[]) AS u (site, hosts)
    ON CONFLICT (site) DO UPDATE SET hosts = site_hosts.hosts
        + (SELECT u.hosts FROM unnest($1::int4[], $2::int8[]) AS u (site, hosts) WHERE u.site = site_hosts.site)";

const LOCK: &str = "SELECT host FROM host_current WHERE host = ANY ($1::int4[]) ORDER BY host FOR NO KEY UPDATE";

const LIST: &str = "
    UPDATE host_current n SET listed = u.listed FROM unnest($1::int4[], $2::bool[]) AS u (host, listed)
    WHERE n.host = u.host AND n.listed <> u.listed RETURNING n.host";

const VERDICTS: &str = "
    SELECT v.order_no, h.site, v.lane, v.in_scope, v.host, n.listed
    FROM verdict v JOIN host h ON h.no = v.host JOIN host_current n ON n.host = v.host WHERE v.host = ANY ($1::int4[])";

pub(super) async fn read(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    order: &OrderId,
    sites: &SiteScope,
    instants: Instants,
) -> Step<FleetTally> {
    let within = dictionaries.within(session, "site", sites).await?;
    let hosts = host::count(session, &within).await?;
    let number = dictionaries.find(session, SmallDictionary::Order, order.as_str()).await?;
    // No verdict has the number 0: hosts can be retired before the first of them is judged under the order.
    let number = number.unwrap_or(0);
    let entries = entries(session, sites).await?;
    let decided = decisions::of_tally(session, memory, (order, number), &within, instants).await?;
    let order = number;
    let find = format!(
        "SELECT lane, in_scope, listed, sum(hosts)::int8 FROM tally WHERE order_no = $1 AND hosts > 0 AND {within}
         GROUP BY lane, in_scope, listed"
    );
    let mut rows = Vec::new();
    for found in session.query_once(&find, &[&order]).await? {
        let lane = row::member("a lane", Lane::from_code, &found, 0)?;
        let hosts = row::count(&found, 3)?;
        rows.push(TallyRow { lane, in_scope: found.try_get(1)?, is_listed: found.try_get(2)?, hosts });
    }
    let silent = silent(session, memory, order, &within, instants.silent_before, &decided).await?;
    Ok(tally::fleet(hosts, &rows, &silent, &decided.counts(), entries)?)
}

/// The entries of the roster at these sites. Those whose site nobody knows are for readers of all sites.
async fn entries(session: &Session, scope: &SiteScope) -> Step<Vec<EntryCount>> {
    let mut counts = Vec::new();
    for found in session.query(tally::ENTRIES, &[]).await? {
        let (state, site, platform): (i64, String, i64) = (found.try_get(0)?, found.try_get(1)?, found.try_get(2)?);
        let of_code = |code: i64| u8::try_from(code).ok();
        let unknown = || PostgresFault::damaged("an entry of the roster", format!("state {state} is unknown"));
        let count = EntryCount {
            state: of_code(state).and_then(EntryState::from_code).ok_or_else(unknown)?,
            site: if site.is_empty() { None } else { Some(row::site(&found, 1)?) },
            platform: of_code(platform).and_then(Platform::from_code),
            entries: row::count(&found, 3)?,
        };
        counts.extend(Some(count).filter(|count| count.is_of(scope)));
    }
    Ok(counts)
}

/// Silent hosts in scope by awake lane, without those about which something is decided. The index on the day finds candidates; hosts whose newer check-in is only in
/// memory are dropped.
async fn silent(
    session: &Session,
    memory: &Memory,
    order: i32,
    within: &str,
    silent_before: Timestamp,
    decided: &DecidedHosts<i32>,
) -> Step<SilentHosts> {
    let find = format!(
        "SELECT h.id, v.lane, n.listed, n.host FROM host_current n JOIN host h ON h.no = n.host
         LEFT JOIN verdict v ON v.host = n.host AND v.order_no = $1
         WHERE n.day <= ($2::int8 / 86400000)::int4 AND n.last_seen < $2 AND v.in_scope IS NOT FALSE AND {within}"
    );
    let mut silent = HashMap::new();
    for found in session.query_once(&find, &[&order, &silent_before.millis()]).await? {
        if decided.contains(&found.try_get(3)?) {
            continue;
        }
        let seen = memory.seen(row::host_id(&found, 0)?);
        if seen.is_none_or(|seen| is_silent(Some(seen.last_seen), silent_before)) {
            *silent.entry((row::maybe_lane(&found, 1)?, found.try_get(2)?)).or_default() += 1;
        }
    }
    Ok(silent)
}
