//! Removes editions that no section has, then titles and versions that no edition has.
//!
//! ```text
//!  readers: which editions do all sections have? ─► writer, a few editions at a time:
//!           [ which do sections have that came since?  DELETE  COMMIT ] ─► the memory forgets, in a new epoch
//! ```
//!
//! Nothing follows a removal in its transaction. A section that is stored later, with numbers that were found before, is encoded
//! again, because the epoch is another one.

use rusqlite::Connection;

use super::super::SqliteStore;
use super::super::fault::{Step, StoreFault};
use super::super::writer::WriteContext;
use super::OPERATION;
use crate::store::number_set::NumberSet;
use crate::store::unreferenced::UsedEditions;
use crate::store::{StoreError, UnreferencedPass, body};

/// Sections that are read at a time.
const SECTIONS: i64 = 1_000;
/// Editions and versions that are read at a time.
const ROWS: i64 = 10_000;

const BODIES: &str = "SELECT no, body FROM section WHERE no > ?1 ORDER BY no LIMIT ?2";
const EDITIONS: &str = "SELECT no FROM edition WHERE no > ?1 AND no <= ?2 ORDER BY no LIMIT ?3";
const VERSIONS_OF_EDITIONS: &str = "SELECT no, version FROM edition WHERE no > ?1 ORDER BY no LIMIT ?2";
const VERSIONS: &str = "SELECT no FROM version WHERE no > ?1 AND no <= ?2 ORDER BY no LIMIT ?3";
/// Titles and versions that no edition has.
pub(super) const COUNT_TEXTS: &str = "
    SELECT (SELECT count(*) FROM title WHERE no NOT IN (SELECT title FROM edition))
         + (SELECT count(*) FROM version WHERE no NOT IN (SELECT version FROM edition))";

/// Removes editions up to this number; returns how many, and how many titles and versions.
pub(super) async fn pass(store: &SqliteStore, pass: &UnreferencedPass, up_to: i64) -> Result<(u64, u64), StoreError> {
    let mut used = UsedEditions::default();
    loop {
        let after = used.up_to();
        let read = store.readers.read(OPERATION, move |sql, _| bodies(sql, after, SECTIONS)).await?;
        if read.up_to() == 0 {
            break;
        }
        used.extend(read);
        tokio::time::sleep(pass.pause).await;
    }
    let (mut after, mut removed) = (0, 0);
    loop {
        let found = store.readers.read(OPERATION, move |sql, _| numbers(sql, EDITIONS, (after, up_to, ROWS))).await?;
        let Some(last) = found.last() else { break };
        after = i64::from(*last);
        let free: Vec<u32> = found.into_iter().filter(|edition| !used.contains(*edition)).collect();
        for mut portion in portions(&free, pass) {
            // The removal before may have met sections that are new.
            portion.retain(|edition| !used.contains(*edition));
            let since = used.up_to();
            let work = move |context: &mut WriteContext<'_>| remove(context, &portion, since);
            let (of_portion, later) = store.writer.last_operation(OPERATION, work).await?;
            removed += of_portion;
            used.extend(later);
            tokio::time::sleep(pass.pause).await;
        }
    }
    Ok((removed, titles(store, pass).await? + versions(store, pass).await?))
}

fn portions(numbers: &[u32], pass: &UnreferencedPass) -> Vec<Vec<u32>> {
    numbers.chunks(usize::try_from(pass.rows).unwrap_or(usize::MAX).max(1)).map(<[u32]>::to_vec).collect()
}

/// The editions of sections after this one.
fn bodies(sql: &Connection, after: i64, most: i64) -> Step<UsedEditions> {
    let mut statement = sql.prepare_cached(BODIES)?;
    let (mut rows, mut used) = (statement.query((after, most))?, UsedEditions::default());
    while let Some(found) = rows.next()? {
        let body = found.get_ref(1)?.as_blob().map_err(|error| StoreFault::damaged("a section", error.to_string()))?;
        used.add(found.get(0)?, body::editions(body)?);
    }
    Ok(used)
}

fn numbers(sql: &Connection, find: &str, values: (i64, i64, i64)) -> Step<Vec<u32>> {
    let mut statement = sql.prepare_cached(find)?;
    let found = statement.query_map(values, |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Removes those of the editions that no section has which came since; also returns what these have.
fn remove(context: &mut WriteContext<'_>, editions: &[u32], since: i64) -> Step<(u64, UsedEditions)> {
    let later = bodies(context.sql, since, -1)?;
    let free: Vec<u32> = editions.iter().copied().filter(|edition| !later.contains(*edition)).collect();
    let removed = delete(context.sql, "DELETE FROM edition WHERE no = ?1", &free)?;
    context.after_commit(move |memory| memory.dictionaries().forget_editions(&free));
    Ok((removed, later))
}

fn delete(sql: &Connection, delete: &str, numbers: &[u32]) -> Step<u64> {
    let (mut statement, mut deleted) = (sql.prepare_cached(delete)?, 0);
    for number in numbers {
        deleted += statement.execute([number])? as u64;
    }
    Ok(deleted)
}

/// Titles are forgotten first and then removed, because editions that are not stored yet have titles too, and only the memory
/// knows those. If their removal fails, the next pass tries again, also after a start: of two rows with one title the earlier one
/// was forgotten.
async fn titles(store: &SqliteStore, pass: &UnreferencedPass) -> Result<u64, StoreError> {
    let (unused, mut removed) = (store.memory.dictionaries().forget_titles(), 0);
    for portion in portions(&unused, pass) {
        let work = move |context: &mut WriteContext<'_>| {
            let deleted = delete(context.sql, "DELETE FROM title WHERE no = ?1", &portion)?;
            let removed = portion.clone();
            context.after_commit(move |memory| memory.dictionaries().titles_removed(&removed));
            Ok(deleted)
        };
        removed += store.writer.operation(OPERATION, work).await?;
        tokio::time::sleep(pass.pause).await;
    }
    Ok(removed)
}

/// The versions of editions, as far as these were read.
#[derive(Default)]
struct UsedVersions {
    versions: NumberSet,
    up_to: i64,
}

impl UsedVersions {
    fn extend(&mut self, later: Self) {
        self.versions.extend(&later.versions);
        self.up_to = self.up_to.max(later.up_to);
    }
}

/// Only the writer finds versions, and only in the file, so a row can be removed if no edition has it.
async fn versions(store: &SqliteStore, pass: &UnreferencedPass) -> Result<u64, StoreError> {
    let mut used = UsedVersions::default();
    loop {
        let after = used.up_to;
        let read = store.readers.read(OPERATION, move |sql, _| versions_after(sql, after, ROWS)).await?;
        if read.up_to == 0 {
            break;
        }
        used.extend(read);
        tokio::time::sleep(pass.pause).await;
    }
    let (mut after, mut removed) = (0, 0);
    loop {
        let find = move |sql: &Connection, _: &_| numbers(sql, VERSIONS, (after, i64::MAX, ROWS));
        let found = store.readers.read(OPERATION, find).await?;
        let Some(last) = found.last() else { return Ok(removed) };
        after = i64::from(*last);
        let free: Vec<u32> = found.into_iter().filter(|version| !used.versions.contains(i64::from(*version))).collect();
        for mut portion in portions(&free, pass) {
            portion.retain(|version| !used.versions.contains(i64::from(*version)));
            let since = used.up_to;
            let work = move |context: &mut WriteContext<'_>| {
                let later = versions_after(context.sql, since, -1)?;
                let is_free = |version: &u32| !later.versions.contains(i64::from(*version));
                let free: Vec<u32> = portion.iter().copied().filter(is_free).collect();
                Ok((delete(context.sql, "DELETE FROM version WHERE no = ?1", &free)?, later))
            };
            let (of_portion, later) = store.writer.operation(OPERATION, work).await?;
            removed += of_portion;
            used.extend(later);
            tokio::time::sleep(pass.pause).await;
        }
    }
}

/// The versions of editions after this one.
fn versions_after(sql: &Connection, after: i64, most: i64) -> Step<UsedVersions> {
    let mut statement = sql.prepare_cached(VERSIONS_OF_EDITIONS)?;
    let (mut rows, mut used) = (statement.query((after, most))?, UsedVersions::default());
    while let Some(found) = rows.next()? {
        used.up_to = found.get(0)?;
        used.versions.insert(found.get(1)?);
    }
    Ok(used)
}

/// How many editions no section has.
pub(super) fn count(sql: &Connection) -> Step<u64> {
    let mut used = UsedEditions::default();
    let mut statement = sql.prepare("SELECT no, body FROM section")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        // The check reports a body that cannot be read.
        let body: Vec<u8> = found.get(1)?;
        used.add(found.get(0)?, body::editions(&body).unwrap_or_default());
    }
    let all = numbers(sql, EDITIONS, (0, i64::MAX, -1))?;
    Ok(all.into_iter().filter(|edition| !used.contains(*edition)).count() as u64)
}
