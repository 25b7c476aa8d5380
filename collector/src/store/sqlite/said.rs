//! What people say of hosts: labels, owners and notes.

use muster_proto::model::{HostLabel, HostNote, HostOwner, Label};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::row;
use crate::store::StoredHostRow;
use crate::store::decide::labels;

/// Adds labels and owners to rows of these hosts.
pub(super) fn add(sql: &Connection, rows: &mut [(i64, StoredHostRow)]) -> Step<()> {
    let find = "SELECT (SELECT group_concat(label, ' ') FROM host_label WHERE host = ?1 AND until IS NULL),
                       (SELECT owner FROM host_owner WHERE host = ?1 AND until IS NULL)";
    let mut statement = sql.prepare_cached(find)?;
    for (no, row) in rows {
        let read =
            |found: &rusqlite::Row<'_>| Ok((found.get::<_, Option<String>>(0)?, found.get::<_, Option<String>>(1)?));
        let (text, owner) = statement.query_row([*no], read)?;
        row.labels = labels::read(&text.unwrap_or_default())?;
        row.owner = owner.unwrap_or_default();
    }
    Ok(())
}

pub(super) fn labels(sql: &Connection, host: i64) -> Step<Vec<HostLabel>> {
    let find = "SELECT label, since FROM host_label WHERE host = ?1 AND until IS NULL ORDER BY label";
    let mut statement = sql.prepare_cached(find)?;
    let mut rows = statement.query([host])?;
    let mut labels = Vec::new();
    while let Some(found) = rows.next()? {
        labels.push(HostLabel { label: row::name("a label", found, 0, Label::new)?, since: row::instant(found, 1)? });
    }
    Ok(labels)
}

pub(super) fn owner(sql: &Connection, host: i64) -> Step<Option<HostOwner>> {
    let find = "SELECT owner, since FROM host_owner WHERE host = ?1 AND until IS NULL";
    let read = |found: &rusqlite::Row<'_>| Ok((found.get(0)?, row::instant(found, 1)));
    let found: Option<(String, _)> = sql.prepare_cached(find)?.query_row([host], read).optional()?;
    found.map(|(owner, since)| Ok(HostOwner { owner, since: since? })).transpose()
}

pub(super) fn notes(sql: &Connection, host: i64) -> Step<Vec<HostNote>> {
    let mut statement = sql.prepare_cached(NOTES)?;
    let mut rows = statement.query([host])?;
    let mut notes = Vec::new();
    while let Some(found) = rows.next()? {
        notes.push(HostNote { at: row::instant(found, 0)?, by: found.get(1)?, text: found.get(2)? });
    }
    Ok(notes)
}

const NOTES: &str = "SELECT n.since, coalesce(a.name, n.account), coalesce(t.words, '') FROM host_note n
    LEFT JOIN account a ON a.id = n.account LEFT JOIN note t ON t.hash = n.note
    WHERE n.host = ?1 ORDER BY n.since DESC, n.note";
