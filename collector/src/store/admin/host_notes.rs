//! What people noted about hosts. Notes are only added.

use muster_proto::limits;
use muster_proto::model::{Digest, Timestamp};

use super::changed::Changed;
use crate::store::sql::{AdminTx, Step, Value};

const COUNT: &str = "SELECT count(*) FROM host_note WHERE host = $1";
const ADD: &str = "INSERT INTO host_note (host, since, account, note) VALUES ($1, $2, $3, $4)
     ON CONFLICT (host, since, note) DO NOTHING";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[COUNT, ADD];

/// Adds a note of an account to hosts. Its text is stored already.
///
/// # Errors
/// The database fails.
pub(super) fn add(
    tx: &mut dyn AdminTx,
    hosts: &[i64],
    (account, note): (&str, &Digest),
    now: Timestamp,
) -> Step<Changed> {
    let lists: Vec<Vec<Value<'_>>> = hosts.iter().map(|host| vec![(*host).into()]).collect();
    let (mut new, mut refused): (Vec<Vec<Value<'_>>>, u64) = (Vec::new(), 0);
    for (host, rows) in hosts.iter().zip(tx.query_each(COUNT, &lists)?) {
        if rows.first().map_or(Ok(0), |row| row.count(0))? >= limits::NOTES_PER_HOST as u64 {
            refused += 1;
        } else {
            new.push(vec![(*host).into(), now.into(), account.into(), note.as_bytes().as_slice().into()]);
        }
    }
    Ok(Changed { changed: tx.note_progress_each(ADD, &new)?, refused })
}
