//! Lists of hosts: filtered by the database, except for silence, which needs the check-ins that are only in memory.

use muster_proto::model::{HostId, Lane, Platform};
use tokio_postgres::types::ToSql;

use super::fault::Step;
use super::memory::Memory;
use super::session::Session;
use super::small_dictionaries::{SmallDictionaries, SmallDictionary};
use super::{host, row, verdict};
use crate::store::decide::silence;
use crate::store::{HostQuery, StoredHostRow};

/// Rows that are read at once. Silence is decided here and not in the statement, because the memory knows of check-ins
/// that no table has yet; so a page may need more rows than it shows.
const PORTION: usize = 1_000;

pub(super) async fn list(
    session: &Session,
    memory: &Memory,
    dictionaries: &SmallDictionaries,
    query: &HostQuery,
) -> Step<Vec<StoredHostRow>> {
    let (mut hosts, mut numbers) = (Vec::new(), Vec::new());
    let mut after = query.after;
    while hosts.len() < query.rows {
        let Some((text, values)) = statement(session, dictionaries, query, after).await? else { break };
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        let rows = session.query_once(&text, &values).await?;
        for found in &rows {
            let id = row::host_id(found, 1)?;
            // Also after a row that is not shown, or the next portion would read it again.
            after = Some(id);
            let last_seen = host::last_seen(memory, id, row::instant(found, 6)?);
            let lane = found.try_get::<_, Option<i16>>(7)?.and_then(|code| Lane::from_code(u8::try_from(code).ok()?));
            if hosts.len() == query.rows || !silence::is_asked_for(query, lane, last_seen) {
                continue;
            }
            numbers.push(found.try_get::<_, i32>(0)?);
            hosts.push(StoredHostRow {
                host: id,
                site: row::site(found, 2)?,
                hostname: found.try_get(3)?,
                platform: row::member("a platform", Platform::from_code, found, 4)?,
                os_name: found.try_get(5)?,
                last_seen: Some(last_seen),
                verdicts: Vec::new(),
            });
        }
        if rows.len() < portion(query) {
            break;
        }
    }
    let mut verdicts = verdict::of_hosts(session, &numbers).await?;
    for (host, no) in hosts.iter_mut().zip(numbers) {
        host.verdicts = verdicts.remove(&no).unwrap_or_default();
    }
    Ok(hosts)
}

fn portion(query: &HostQuery) -> usize {
    query.rows.clamp(1, PORTION)
}

type Values = Vec<Box<dyn ToSql + Sync + Send>>;

/// The statement and its values. `None` if nothing can match, because the database does not know the order.
async fn statement(
    session: &Session,
    dictionaries: &SmallDictionaries,
    query: &HostQuery,
    after: Option<HostId>,
) -> Step<Option<(String, Values)>> {
    let mut values: Values = Vec::new();
    let mut conditions = Vec::new();
    let mut join = String::new();
    let mut lane = "NULL::int2";
    if let Some(order) = &query.order {
        let Some(number) = dictionaries.find(session, SmallDictionary::Order, order.as_str()).await? else {
            return Ok(None);
        };
        values.push(Box::new(number));
        join = format!("JOIN verdict v ON v.host = h.no AND v.order_no = ${}", values.len());
        lane = "v.lane";
        if query.in_scope_only {
            conditions.push("v.in_scope".to_owned());
        }
        if !query.lanes.is_empty() {
            let codes: Vec<String> = silence::awake_lanes(&query.lanes).map(|lane| lane.code().to_string()).collect();
            conditions.push(format!("v.lane IN ({})", codes.join(", ")));
        }
    }
    conditions.push(dictionaries.within(session, "h.site", &query.sites).await?);
    if !query.name.is_empty() {
        // PostgreSQL stores no NUL, so no name has it; U+FFFD is what ingest puts in its place.
        values.push(Box::new(query.name.replace('\0', "\u{fffd}")));
        conditions.push(format!("strpos(lower(h.hostname), lower(${}::text COLLATE \"C\")) > 0", values.len()));
    }
    if let Some(after) = after {
        values.push(Box::new(after.as_bytes().to_vec()));
        conditions.push(format!("h.id > ${}", values.len()));
    }
    let text = format!(
        "SELECT h.no, h.id, s.id, h.hostname, h.platform, (SELECT text FROM phrase WHERE no = h.os_name),
                n.last_seen, {lane}
         FROM host h JOIN site s ON s.no = h.site JOIN host_current n ON n.host = h.no {join}
         WHERE {} ORDER BY h.id LIMIT {}",
        conditions.join(" AND "),
        portion(query)
    );
    Ok(Some((text, values)))
}
