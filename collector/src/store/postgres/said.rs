//! What people say of hosts: labels, owners and notes.

use std::collections::HashMap;

use muster_proto::model::{HostLabel, HostNote, HostOwner, Label};

use super::fault::Step;
use super::row;
use super::session::Session;
use crate::store::StoredHostRow;
use crate::store::decide::labels;

const LABELS: &str = "SELECT host::int4, string_agg(label, ' ') FROM host_label
    WHERE host = ANY ($1::int4[]) AND until IS NULL GROUP BY host";
const OWNERS: &str = "SELECT host::int4, owner FROM host_owner WHERE host = ANY ($1::int4[]) AND until IS NULL";

/// Adds labels and owners to rows of these hosts.
pub(super) async fn add(session: &Session, rows: &mut [(i32, StoredHostRow)]) -> Step<()> {
    let hosts: Vec<i32> = rows.iter().map(|(no, _)| *no).collect();
    let (mut texts, mut owners): (HashMap<i32, String>, HashMap<i32, String>) = (HashMap::new(), HashMap::new());
    for found in session.query(LABELS, &[&hosts]).await? {
        texts.insert(found.try_get(0)?, found.try_get(1)?);
    }
    for found in session.query(OWNERS, &[&hosts]).await? {
        owners.insert(found.try_get(0)?, found.try_get(1)?);
    }
    for (no, row) in rows {
        row.labels = labels::read(texts.get(no).map_or("", String::as_str))?;
        row.owner = owners.remove(no).unwrap_or_default();
    }
    Ok(())
}

pub(super) async fn labels(session: &Session, host: i32) -> Step<Vec<HostLabel>> {
    let find = "SELECT label, since FROM host_label WHERE host = $1::int4 AND until IS NULL ORDER BY label";
    let label = |found: &tokio_postgres::Row| {
        Ok(HostLabel { label: row::name("a label", found, 0, Label::new)?, since: row::instant(found, 1)? })
    };
    session.query(find, &[&host]).await?.iter().map(label).collect()
}

pub(super) async fn owner(session: &Session, host: i32) -> Step<Option<HostOwner>> {
    let find = "SELECT owner, since FROM host_owner WHERE host = $1::int4 AND until IS NULL";
    let found = session.query_first(find, &[&host]).await?;
    found.map(|found| Ok(HostOwner { owner: found.try_get(0)?, since: row::instant(&found, 1)? })).transpose()
}

pub(super) async fn notes(session: &Session, host: i32) -> Step<Vec<HostNote>> {
    let note = |found: &tokio_postgres::Row| {
        Ok(HostNote { at: row::instant(found, 0)?, by: found.try_get(1)?, text: found.try_get(2)? })
    };
    session.query(NOTES, &[&host]).await?.iter().map(note).collect()
}

const NOTES: &str = "SELECT n.since, coalesce(a.name, n.account), coalesce(t.words, '') FROM host_note n
    LEFT JOIN account a ON a.id = n.account LEFT JOIN note t ON t.hash = n.note
    WHERE n.host = $1::int4 ORDER BY n.since DESC, n.note";
