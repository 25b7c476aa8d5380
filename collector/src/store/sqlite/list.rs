//! Lists of hosts: filtered by the database, except for silence, which needs the check-ins that are only in memory.

use muster_proto::model::{Lane, Platform};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::fault::Step;
use super::memory::Memory;
use super::{last_seen, row, verdict};
use crate::store::decide::silence;
use crate::store::{HostQuery, StoredHostRow};

pub(super) fn list(sql: &Connection, memory: &Memory, query: &HostQuery) -> Step<Vec<StoredHostRow>> {
    let Some((text, values)) = statement(sql, query)? else { return Ok(Vec::new()) };
    let mut statement = sql.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut hosts = Vec::new();
    // The statement has no LIMIT: silence drops rows here, so a page may need more rows than it shows.
    while hosts.len() < query.rows {
        let Some(found) = rows.next()? else { break };
        let id = row::host_id(found, 1)?;
        let last_seen = last_seen::newest(memory, id, row::instant(found, 6)?);
        let lane = found.get::<_, Option<u8>>(7)?.and_then(Lane::from_code);
        if !silence::is_asked_for(query, lane, last_seen) {
            continue;
        }
        hosts.push(StoredHostRow {
            host: id,
            site: row::site(found, 2)?,
            hostname: found.get(3)?,
            platform: row::member("a platform", Platform::from_code, found, 4)?,
            os_name: memory.dictionaries().phrases.words(found.get(5)?)?,
            last_seen: Some(last_seen),
            verdicts: verdict::of_host(sql, memory, found.get(0)?)?,
        });
    }
    Ok(hosts)
}

type Values = Vec<Box<dyn ToSql>>;

/// The statement and its values. `None` if nothing can match, because the database does not know the order.
fn statement(sql: &Connection, query: &HostQuery) -> Step<Option<(String, Values)>> {
    let mut values: Values = Vec::new();
    let mut conditions = Vec::new();
    let mut join = String::new();
    let mut lane = "NULL";
    if let Some(order) = &query.order {
        let Some(number) = row::find_number(sql, row::FIND_ORDER, order.as_str())? else { return Ok(None) };
        values.push(Box::new(number));
        join = format!("JOIN verdict v ON v.host = h.no AND v.order_no = ?{}", values.len());
        lane = "v.lane";
        if query.in_scope_only {
            conditions.push("v.in_scope = 1".to_owned());
        }
        if !query.lanes.is_empty() {
            let codes: Vec<String> = silence::awake_lanes(&query.lanes).map(|lane| lane.code().to_string()).collect();
            conditions.push(format!("v.lane IN ({})", codes.join(", ")));
        }
    }
    conditions.push(row::within(sql, "h.site", &query.sites)?);
    if !query.name.is_empty() {
        values.push(Box::new(query.name.clone()));
        conditions.push(format!("instr(lower(h.hostname), lower(?{})) > 0", values.len()));
    }
    if let Some(after) = query.after {
        values.push(Box::new(*after.as_bytes()));
        conditions.push(format!("h.id > ?{}", values.len()));
    }
    let text = format!(
        "SELECT h.no, h.id, s.id, h.hostname, h.platform, h.os_name, e.last_seen, {lane}
         FROM host h JOIN site s ON s.no = h.site JOIN host_check_in e ON e.host = h.no {join}
         WHERE {} ORDER BY h.id",
        conditions.join(" AND ")
    );
    Ok(Some((text, values)))
}
