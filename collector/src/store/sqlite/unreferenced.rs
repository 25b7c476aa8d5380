//! Removes what nothing refers to. Readers find the rows; the writer looks again at each of them, a few at a time, so that
//! reports do not wait and nothing that was named meanwhile is removed.

mod editions;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::{SqliteStore, index, number_mark};
use crate::store::unreferenced::OldNumbers;
use crate::store::{StoreError, Unreferenced, UnreferencedPass, UnreferencedRemoved, snapshot_codec};

const OPERATION: &str = "unreferenced_remove";

/// Rows of a table to which nothing refers.
#[derive(Clone, Copy)]
struct Rows {
    /// Numbers after `?1` up to `?2`, at most `?3`.
    find: &'static str,
    count: &'static str,
    /// Removes this row if nothing refers to it, and says whether it did.
    remove: fn(&Connection, i64) -> Step<bool>,
}

/// The statements that find and count the rows of `$table`, whose alias is `r`, to which nothing refers.
macro_rules! unreferenced {
    ($table:literal, $condition:expr, $remove:ident) => {
        Rows {
            find: concat!(
                "SELECT r.no FROM ",
                $table,
                " r WHERE r.no > ?1 AND r.no <= ?2 AND ",
                $condition,
                " ORDER BY r.no LIMIT ?3"
            ),
            count: concat!("SELECT count(*) FROM ", $table, " r WHERE ", $condition),
            remove: $remove,
        }
    };
}

/// No host has the snapshot, and none had it.
macro_rules! no_host_has {
    () => {
        "NOT EXISTS (SELECT 1 FROM host h WHERE h.snapshot = r.no)
         AND NOT EXISTS (SELECT 1 FROM host_snapshot p WHERE p.snapshot = r.no)"
    };
}

/// No complete snapshot has the section. An incomplete one names sections by their digests, and its host is asked again.
macro_rules! no_snapshot_has {
    () => {
        "NOT EXISTS (SELECT 1 FROM snapshot_section p WHERE p.section = r.no)"
    };
}

/// The judged state is of no host, and was of none.
macro_rules! no_host_is_in {
    () => {
        "NOT EXISTS (SELECT 1 FROM host h WHERE h.judged_state = r.no)
         AND NOT EXISTS (SELECT 1 FROM host_state p WHERE p.judged_state = r.no)"
    };
}

const SNAPSHOTS: Rows = unreferenced!("snapshot", no_host_has!(), remove_snapshot);
const SECTIONS: Rows = unreferenced!("section", no_snapshot_has!(), remove_section);
const STATES: Rows = unreferenced!("judged_state", no_host_is_in!(), remove_state);

pub(super) async fn pass(store: &SqliteStore, pass: UnreferencedPass) -> Result<UnreferencedRemoved, StoreError> {
    let old = store.writer.operation(OPERATION, move |context| old_numbers(context.sql, &pass)).await?;
    let snapshots = remove(store, &pass, SNAPSHOTS, old.snapshot).await?;
    let sections = remove(store, &pass, SECTIONS, old.section).await?;
    // A judged state is made together with what refers to it, so its age does not matter.
    let states = remove(store, &pass, STATES, i64::MAX).await?;
    while let Some(grown) = store.readers.read(OPERATION, |sql, _| index::rewritten(sql)).await? {
        index::put(&store.writer, grown).await?;
        tokio::time::sleep(pass.pause).await;
    }
    let (editions, texts) = if pass.editions { editions::pass(store, &pass, old.edition).await? } else { (0, 0) };
    Ok(UnreferencedRemoved { snapshots, sections, states, editions, texts })
}

/// Removes the rows up to this number.
async fn remove(store: &SqliteStore, pass: &UnreferencedPass, rows: Rows, up_to: i64) -> Result<u64, StoreError> {
    let (most, mut after, mut removed) = (i64::from(pass.rows), 0, 0);
    loop {
        let find = move |sql: &Connection, _: &_| -> Step<Vec<i64>> {
            let mut statement = sql.prepare_cached(rows.find)?;
            let found = statement.query_map((after, up_to, most), |row| row.get(0))?;
            Ok(found.collect::<Result<_, _>>()?)
        };
        let found = store.readers.read(OPERATION, find).await?;
        let Some(last) = found.last().copied() else { return Ok(removed) };
        after = last;
        removed += store
            .writer
            .operation(OPERATION, move |context| {
                let mut removed = 0;
                for number in &found {
                    removed += u64::from((rows.remove)(context.sql, *number)?);
                }
                Ok(removed)
            })
            .await?;
        tokio::time::sleep(pass.pause).await;
    }
}

/// Notes how far numbers have come, and says how far they had come before the instant of the pass.
fn old_numbers(sql: &Connection, pass: &UnreferencedPass) -> Step<OldNumbers> {
    number_mark::put(sql, pass.now)?;
    let find = "SELECT snapshot, section, edition, at FROM number_mark WHERE at <= ?1 ORDER BY at DESC LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok((OldNumbers { snapshot: row.get(0)?, section: row.get(1)?, edition: row.get(2)? }, row.get::<_, i64>(3)?))
    };
    let found = sql.prepare_cached(find)?.query_row([pass.before.millis()], read).optional()?;
    let Some((old, at)) = found else { return Ok(OldNumbers::default()) };
    sql.prepare_cached("DELETE FROM number_mark WHERE at < ?1")?.execute([at])?;
    Ok(old)
}

pub(super) fn remove_snapshot(sql: &Connection, number: i64) -> Step<bool> {
    let find = concat!("SELECT r.entries, r.complete FROM snapshot r WHERE r.no = ?1 AND ", no_host_has!());
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?));
    let found: Option<(Vec<u8>, bool)> = sql.prepare_cached(find)?.query_row([number], read).optional()?;
    let Some((entries, is_complete)) = found else { return Ok(false) };
    if is_complete {
        let mut statement = sql.prepare_cached("DELETE FROM snapshot_section WHERE section = ?1 AND snapshot = ?2")?;
        for section in snapshot_codec::sections(&entries)? {
            statement.execute((section, number))?;
        }
    }
    Ok(sql.prepare_cached("DELETE FROM snapshot WHERE no = ?1")?.execute([number])? > 0)
}

pub(super) fn remove_section(sql: &Connection, number: i64) -> Step<bool> {
    let find = concat!("SELECT 1 FROM section r WHERE r.no = ?1 AND ", no_snapshot_has!());
    if !sql.prepare_cached(find)?.exists([number])? {
        return Ok(false);
    }
    sql.prepare_cached("DELETE FROM section_hit WHERE section = ?1")?.execute([number])?;
    sql.prepare_cached(
        "UPDATE index_segment SET removed = removed + 1 WHERE first_section <= ?1 AND last_section >= ?1",
    )?
    .execute([number])?;
    Ok(sql.prepare_cached("DELETE FROM section WHERE no = ?1")?.execute([number])? > 0)
}

pub(super) fn remove_state(sql: &Connection, number: i64) -> Step<bool> {
    let remove = concat!("DELETE FROM judged_state AS r WHERE r.no = ?1 AND ", no_host_is_in!());
    Ok(sql.prepare_cached(remove)?.execute([number])? > 0)
}

/// How many rows nothing refers to.
pub(super) fn count(sql: &Connection) -> Step<Unreferenced> {
    let count =
        |rows: Rows| -> Step<u64> { Ok(sql.query_row(rows.count, [], |row| row.get::<_, i64>(0))?.cast_unsigned()) };
    Ok(Unreferenced {
        snapshots: count(SNAPSHOTS)?,
        sections: count(SECTIONS)?,
        states: count(STATES)?,
        editions: editions::count(sql)?,
        texts: sql.query_row(editions::COUNT_TEXTS, [], |row| row.get::<_, i64>(0))?.cast_unsigned(),
    })
}
