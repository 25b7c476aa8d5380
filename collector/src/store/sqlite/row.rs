//! Reading columns: codes, ids, times.

use muster_proto::convert::stored;
use muster_proto::model::{HostId, HostState, Lane, RunId, SiteId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::fault::{Step, StoreFault};
use crate::store::SiteScope;
use crate::store::last_seen::{LastSeen, RunReturns};
pub(super) use crate::store::versioned_json::{from_json, to_json};

/// A member of a closed list, from its code. `what` names the record if there is no such code.
pub(super) fn member<T>(what: &str, from_code: impl Fn(u8) -> Option<T>, row: &Row<'_>, at: usize) -> Step<T> {
    let code: u8 = row.get(at)?;
    from_code(code).ok_or_else(|| StoreFault::damaged(what, format!("code {code} is unknown")))
}

/// An awake lane; `None` for a host without a verdict.
pub(super) fn maybe_lane(row: &Row<'_>, at: usize) -> Step<Option<Lane>> {
    let Some(code) = row.get::<_, Option<u8>>(at)? else { return Ok(None) };
    let lane = Lane::from_code(code).ok_or_else(|| StoreFault::damaged("a lane", format!("code {code} is unknown")))?;
    Ok(Some(lane))
}

pub(super) fn instant(row: &Row<'_>, at: usize) -> Step<Timestamp> {
    Ok(Timestamp::from_millis(row.get(at)?))
}

pub(super) fn maybe_instant(row: &Row<'_>, at: usize) -> Step<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_millis))
}

pub(super) fn host_id(row: &Row<'_>, at: usize) -> Step<HostId> {
    Ok(HostId::from_bytes(row.get(at)?))
}

pub(super) fn site(row: &Row<'_>, at: usize) -> Step<SiteId> {
    name("a site", row, at, SiteId::new)
}

/// An identifier that is stored as text.
pub(super) fn name<T, E: std::fmt::Display>(
    what: &str,
    row: &Row<'_>,
    at: usize,
    read: impl Fn(String) -> Result<T, E>,
) -> Step<T> {
    read(row.get(at)?).map_err(|error| StoreFault::damaged(what, error.to_string()))
}

pub(super) fn count(row: &Row<'_>, at: usize) -> Step<u64> {
    let n: i64 = row.get(at)?;
    u64::try_from(n).map_err(|_| StoreFault::damaged("a count", format!("it is {n}")))
}

/// A number of 64 bits without a sign, which the database stores in the same bits with one.
pub(super) fn unsigned(row: &Row<'_>, at: usize) -> Step<u64> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}

/// The five columns `last_seen, run, seq, previous_run, previous_seq`, from number `at` on; `None` before the first
/// check-in.
pub(super) fn seen(row: &Row<'_>, at: usize) -> Step<Option<LastSeen>> {
    let Some(run) = row.get::<_, Option<[u8; 16]>>(at + 1)? else { return Ok(None) };
    let previous = match row.get::<_, Option<[u8; 16]>>(at + 3)? {
        Some(run) => Some((RunId::from_bytes(run), row.get::<_, i64>(at + 4)?.cast_unsigned())),
        None => None,
    };
    Ok(Some(LastSeen {
        last_seen: instant(row, at)?,
        run: RunId::from_bytes(run),
        seq: row.get::<_, i64>(at + 2)?.cast_unsigned(),
        previous,
        returns: RunReturns::from_code(row.get(at + 5)?),
    }))
}

/// A host's state; empty before the first.
pub(super) fn state(row: &Row<'_>, at: usize) -> Step<HostState> {
    match row.get::<_, Option<Vec<u8>>>(at)? {
        Some(bytes) => {
            stored::read_state(&bytes).map_err(|error| StoreFault::damaged("the state of a host", error.to_string()))
        }
        None => Ok(HostState::default()),
    }
}

/// The number of a text in a small table (`orders`, `rules`), which is added if it is new.
pub(super) fn number(sql: &Connection, find: &str, make: &str, text: &str) -> Step<i64> {
    if let Some(no) = find_number(sql, find, text)? {
        return Ok(no);
    }
    sql.prepare_cached(make)?.execute([text])?;
    Ok(sql.last_insert_rowid())
}

pub(super) fn find_number(sql: &Connection, find: &str, text: &str) -> Step<Option<i64>> {
    Ok(sql.prepare_cached(find)?.query_row([text], |row| row.get(0)).optional()?)
}

pub(super) const FIND_SITE: &str = "SELECT no FROM site WHERE id = ?1";

/// The number of a site, which is added if the token that named it is lost.
pub(super) fn site_number(sql: &Connection, text: &str) -> Step<i64> {
    if let Some(number) = find_number(sql, FIND_SITE, text)? {
        return Ok(number);
    }
    let add = "INSERT INTO site (no, id) SELECT coalesce(max(no), 0) + 1, ?1 FROM site RETURNING no";
    Ok(sql.prepare_cached(add)?.query_row([text], |row| row.get(0))?)
}

/// A condition on a column that holds the numbers of sites. Sites that no host has ever had are left out.
pub(super) fn within(sql: &Connection, column: &str, scope: &SiteScope) -> Step<String> {
    let SiteScope::Only(sites) = scope else { return Ok("1 = 1".to_owned()) };
    let mut numbers = Vec::new();
    for site in sites {
        numbers.extend(find_number(sql, FIND_SITE, site.as_str())?.map(|number| number.to_string()));
    }
    // An empty list is valid in SQLite, and nothing is in it.
    Ok(format!("{column} IN ({})", numbers.join(", ")))
}

pub(super) const FIND_ORDER: &str = "SELECT no FROM orders WHERE id = ?1";
pub(super) fn order_number(sql: &Connection, text: &str) -> Step<i64> {
    number(sql, FIND_ORDER, "INSERT INTO orders (id) VALUES (?1)", text)
}

pub(super) const FIND_RULES: &str = "SELECT no FROM rules WHERE version = ?1";
pub(super) fn rules_number(sql: &Connection, text: &str) -> Step<i64> {
    number(sql, FIND_RULES, "INSERT INTO rules (version) VALUES (?1)", text)
}
