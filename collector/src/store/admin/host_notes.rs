//! What people noted about hosts. Notes are only added.

use muster_proto::limits;
use muster_proto::model::{Digest, HostNote, Timestamp};

use super::bulk::Changed;
use crate::store::sql::{AdminTx, Step, Value};

const COUNT: &str = "SELECT count(*) FROM host_note WHERE host = $1";
const ADD: &str = "INSERT INTO host_note (host, since, account, note) VALUES ($1, $2, $3, $4)
     ON CONFLICT (host, since, note) DO NOTHING";
const OF_HOST: &str = "SELECT n.since, n.account, coalesce(a.name, ''), coalesce(t.words, '') FROM host_note n
     LEFT JOIN account a ON a.id = n.account LEFT JOIN note t ON t.hash = n.note
     WHERE n.host = $1 ORDER BY n.since DESC, n.note";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[COUNT, ADD, OF_HOST];

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

/// The notes about a host, the newest first.
///
/// # Errors
/// The database fails.
pub(crate) fn of_host(tx: &mut dyn AdminTx, host: i64) -> Step<Vec<HostNote>> {
    let read = |row: &crate::store::sql::Row| {
        let (account, name) = (row.text(1)?, row.text(2)?);
        let by = if name.is_empty() { account } else { name };
        Ok(HostNote { at: row.time(0)?, by: by.to_owned(), text: row.text(3)?.to_owned() })
    };
    tx.query(OF_HOST, &[host.into()])?.iter().map(read).collect()
}
