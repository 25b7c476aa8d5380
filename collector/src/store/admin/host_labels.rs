//! Labels of hosts. A label that was taken away stays as the past, until retention removes it.

use muster_proto::limits;
use muster_proto::model::Timestamp;

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

/// Gives hosts a label. Returns those that had it not, and how many have as many labels as they may.
///
/// # Errors
/// The database fails.
pub(super) fn add(tx: &mut dyn AdminTx, hosts: &[i64], label: &str, now: Timestamp) -> Step<(Vec<i64>, u64)> {
    let (mut new, mut refused) = (Vec::new(), 0);
    for (host, labels) in hosts.iter().zip(of_hosts(tx, hosts)?) {
        if labels.iter().any(|has| has == label) {
            continue;
        }
        if labels.len() >= limits::LABELS_PER_HOST {
            refused += 1;
        } else {
            new.push(*host);
        }
    }
    let lists: Vec<Vec<Value<'_>>> = new.iter().map(|host| vec![(*host).into(), label.into(), now.into()]).collect();
    tx.note_progress_each(ADD, &lists)?;
    Ok((new, refused))
}

/// Takes a label away from hosts. Returns those that had it.
///
/// # Errors
/// The database fails.
pub(super) fn remove(tx: &mut dyn AdminTx, hosts: &[i64], label: &str, now: Timestamp) -> Step<Vec<i64>> {
    let labels = of_hosts(tx, hosts)?;
    let had = hosts.iter().zip(labels).filter(|(_, labels)| labels.iter().any(|has| has == label));
    let had: Vec<i64> = had.map(|(host, _)| *host).collect();
    let lists: Vec<Vec<Value<'_>>> = had.iter().map(|host| vec![(*host).into(), label.into(), now.into()]).collect();
    tx.note_progress_each(REMOVE, &lists)?;
    Ok(had)
}

/// The labels of each of these hosts.
fn of_hosts(tx: &mut dyn AdminTx, hosts: &[i64]) -> Step<Vec<Vec<String>>> {
    let lists: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![(*host).into()]).collect();
    let rows = tx.query_each(OF_HOST, &lists)?;
    rows.iter().map(|rows| rows.iter().map(|row| row.text(0).map(ToOwned::to_owned)).collect()).collect()
}

/// Removes the past of labels from before an instant, at most so many rows; returns how many.
///
/// # Errors
/// The database fails.
pub(crate) fn forget(tx: &mut dyn AdminTx, before: Timestamp, most: i64) -> Step<u64> {
    tx.note_progress(FORGET, &[before.into(), most.into()])
}
