//! Labels of hosts. A label that was taken away stays as the past, until retention removes it.

use muster_proto::limits;
use muster_proto::model::Timestamp;

use super::changed::Changed;
use crate::store::sql::{AdminTx, Step, Value};

const OF_HOST: &str = "SELECT label FROM host_label WHERE host = $1 AND until IS NULL ORDER BY label";
/// The same label may have been taken away in the same millisecond.
const ADD: &str = "INSERT INTO host_label (host, label, since, until) VALUES ($1, $2, $3, NULL)
     ON CONFLICT (host, label, since) DO UPDATE SET until = NULL";
const REMOVE: &str = "UPDATE host_label SET until = $3 WHERE host = $1 AND label = $2 AND until IS NULL";
const FORGET: &str = "DELETE FROM host_label WHERE (host, label, since) IN
     (SELECT host, label, since FROM host_label WHERE until IS NOT NULL AND until < $1 ORDER BY until, host, label, since LIMIT $2)";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OF_HOST, ADD, REMOVE, FORGET];

/// Gives hosts a label.
///
/// # Errors
/// The database fails.
pub(super) fn add(tx: &mut dyn AdminTx, hosts: &[i64], label: &str, now: Timestamp) -> Step<Changed> {
    let lists: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![(*host).into()]).collect();
    let (mut new, mut refused): (Vec<Vec<Value<'_>>>, u64) = (Vec::new(), 0);
    for (host, rows) in hosts.iter().zip(tx.query_each(OF_HOST, &lists)?) {
        let mut has_it = false;
        for row in &rows {
            has_it |= row.text(0)? == label;
        }
        if has_it {
            continue;
        }
        if rows.len() >= limits::LABELS_PER_HOST {
            refused += 1;
        } else {
            new.push(vec![(*host).into(), label.into(), now.into()]);
        }
    }
    tx.note_progress_each(ADD, &new)?;
    Ok(Changed { changed: new.len() as u64, refused })
}

/// Takes a label away from hosts.
///
/// # Errors
/// The database fails.
pub(super) fn remove(tx: &mut dyn AdminTx, hosts: &[i64], label: &str, now: Timestamp) -> Step<Changed> {
    let lists: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![(*host).into(), label.into(), now.into()]).collect();
    Ok(Changed { changed: tx.note_progress_each(REMOVE, &lists)?, refused: 0 })
}

/// Removes the past of labels from before an instant, at most so many rows; returns how many.
///
/// # Errors
/// The database fails.
pub(crate) fn forget(tx: &mut dyn AdminTx, before: Timestamp, most: i64) -> Step<u64> {
    tx.note_progress(FORGET, &[before.into(), most.into()])
}
