//! Who answers for hosts. An owner that was replaced stays as the past, until retention removes it.

use muster_proto::model::{HostOwner, Timestamp};

use super::changed::Changed;
use crate::filter::fold_case;
use crate::store::sql::{AdminTx, Step, Value};

const OF_HOST: &str = "SELECT owner, since FROM host_owner WHERE host = $1 AND until IS NULL ORDER BY since";
const END: &str = "UPDATE host_owner SET until = $2 WHERE host = $1 AND until IS NULL";
/// The owner may have been changed twice in one millisecond.
const PUT: &str = "INSERT INTO host_owner (host, owner, folded, since, until) VALUES ($1, $2, $3, $4, NULL)
     ON CONFLICT (host, since) DO UPDATE SET owner = excluded.owner, folded = excluded.folded, until = NULL";
const FORGET: &str = "DELETE FROM host_owner WHERE (host, since) IN
     (SELECT host, since FROM host_owner WHERE until IS NOT NULL AND until < $1 ORDER BY until, host, since LIMIT $2)";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OF_HOST, END, PUT, FORGET];

/// Says who answers for hosts; nobody if the name is empty.
///
/// # Errors
/// The database fails.
pub(super) fn put(tx: &mut dyn AdminTx, hosts: &[i64], owner: &str, now: Timestamp) -> Step<Changed> {
    let folded = fold_case(owner);
    let (mut ended, mut new): (Vec<Vec<Value<'_>>>, Vec<Vec<Value<'_>>>) = (Vec::new(), Vec::new());
    for (host, before) in hosts.iter().zip(of_hosts(tx, hosts)?) {
        if before.as_ref().map_or("", |before| before.owner.as_str()) == owner {
            continue;
        }
        ended.push(vec![(*host).into(), now.into()]);
        if !owner.is_empty() {
            new.push(vec![(*host).into(), owner.into(), folded.as_str().into(), now.into()]);
        }
    }
    tx.note_progress_each(END, &ended)?;
    tx.note_progress_each(PUT, &new)?;
    Ok(Changed { changed: ended.len() as u64, refused: 0 })
}

/// Who answers for each of these hosts, in their order.
///
/// # Errors
/// The database fails.
pub(crate) fn of_hosts(tx: &mut dyn AdminTx, hosts: &[i64]) -> Step<Vec<Option<HostOwner>>> {
    let lists: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![(*host).into()]).collect();
    let mut owners = Vec::with_capacity(hosts.len());
    for rows in tx.query_each(OF_HOST, &lists)? {
        let owner = match rows.last() {
            Some(row) => Some(HostOwner { owner: row.text(0)?.to_owned(), since: row.time(1)? }),
            None => None,
        };
        owners.push(owner);
    }
    Ok(owners)
}

/// Removes the past of owners from before an instant, at most so many rows; returns how many.
///
/// # Errors
/// The database fails.
pub(crate) fn forget(tx: &mut dyn AdminTx, before: Timestamp, most: i64) -> Step<u64> {
    tx.note_progress(FORGET, &[before.into(), most.into()])
}
