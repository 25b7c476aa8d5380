//! The search index, built in the background: new sections become segments, and the segments of one level are merged
//! into one of the next. It can be rebuilt from the sections at any time.

use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::writer::Writer;
use crate::store::number_set::NumberSet;
use crate::store::postings::{self, Block, FAN, SECTIONS, TOP};
use crate::store::unreferenced::REWRITTEN_FROM;
use crate::store::{StoreError, body};

/// The key of a block: its segment, and its first edition.
const fn key(segment: i64, edition: u32) -> i64 {
    segment << 32 | edition as i64
}

/// A new segment, and the segments that it replaces.
pub(super) struct Grown {
    level: i64,
    first: i64,
    last: i64,
    /// How many sections it names, and how many of them were removed.
    members: i64,
    removed: i64,
    replaces: Vec<i64>,
    blocks: Vec<Block>,
}

/// The last section that is in a segment.
pub(super) fn covered(sql: &Connection) -> Step<i64> {
    Ok(sql.query_row("SELECT coalesce(max(last_section), 0) FROM index_segment", [], |row| row.get(0))?)
}

/// The next step, if there is one: a segment of the new sections, if they have at least `at_least` postings, or a
/// merge.
pub(super) fn next(sql: &Connection, at_least: usize) -> Step<Option<Grown>> {
    let covered = covered(sql)?;
    let find = "SELECT coalesce(sum(observations), 0), count(*) FROM
                (SELECT observations FROM section WHERE no > ?1 ORDER BY no LIMIT ?2)";
    let (waiting, rows): (i64, i64) =
        sql.prepare_cached(find)?.query_row((covered, SECTIONS), |row| Ok((row.get(0)?, row.get(1)?)))?;
    // A segment is also full when it has the largest number of sections, however small they are.
    if rows >= SECTIONS || (rows > 0 && usize::try_from(waiting).unwrap_or(0) >= at_least) {
        let sections = after(sql, covered, SECTIONS)?;
        if let Some((last, _)) = sections.last() {
            // The range begins right after the last segment, so ranges have no gaps even where numbers are missing.
            return Ok(Some(Grown {
                level: 0,
                first: covered + 1,
                last: *last,
                members: sections.len() as i64,
                removed: 0,
                replaces: Vec::new(),
                blocks: postings::segment(&sections),
            }));
        }
    }
    merge(sql)
}

/// The sections after this one, with their editions.
pub(super) fn after(sql: &Connection, number: i64, most: i64) -> Step<Vec<(i64, Vec<u32>)>> {
    let mut statement = sql.prepare_cached("SELECT no, body FROM section WHERE no > ?1 ORDER BY no LIMIT ?2")?;
    let mut rows = statement.query((number, most))?;
    let mut sections = Vec::new();
    while let Some(found) = rows.next()? {
        let body = found.get_ref(1)?.as_blob().map_err(|error| StoreFault::damaged("a section", error.to_string()))?;
        sections.push((found.get(0)?, body::editions(body)?));
    }
    Ok(sections)
}

fn merge(sql: &Connection) -> Step<Option<Grown>> {
    let find = "SELECT level FROM index_segment WHERE level < ?1 GROUP BY level HAVING count(*) >= ?2 ORDER BY level";
    let level: Option<i64> = sql.prepare_cached(find)?.query_row((TOP, FAN), |row| row.get(0)).optional()?;
    let Some(level) = level else { return Ok(None) };
    let mut statement = sql.prepare_cached(
        "SELECT no, first_section, last_section, members, removed FROM index_segment WHERE level = ?1
         ORDER BY first_section LIMIT ?2",
    )?;
    let mut rows = statement.query((level, FAN))?;
    let mut grown = Grown {
        level: level + 1,
        first: i64::MAX,
        last: 0,
        members: 0,
        removed: 0,
        replaces: Vec::new(),
        blocks: Vec::new(),
    };
    while let Some(found) = rows.next()? {
        grown.replaces.push(found.get(0)?);
        grown.first = grown.first.min(found.get(1)?);
        grown.last = grown.last.max(found.get(2)?);
        grown.members += found.get::<_, i64>(3)?;
        grown.removed += found.get::<_, i64>(4)?;
    }
    let parts = grown.replaces.iter().map(|segment| blocks(sql, *segment)).collect::<Step<Vec<_>>>()?;
    grown.blocks = postings::merge(&parts)?;
    Ok(Some(grown))
}

/// A segment of which so much was removed that it is written again.
pub(super) fn rewritten(sql: &Connection) -> Step<Option<Grown>> {
    let find = "SELECT no, level, first_section, last_section FROM index_segment
                WHERE removed > 0 AND removed * ?1 >= members ORDER BY no LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let found: Option<(i64, i64, i64, i64)> = sql.prepare_cached(find)?.query_row([REWRITTEN_FROM], read).optional()?;
    let Some((segment, level, first, last)) = found else { return Ok(None) };
    let mut statement = sql.prepare_cached("SELECT no FROM section WHERE no BETWEEN ?1 AND ?2")?;
    let there: Vec<i64> = statement.query_map((first, last), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let members = there.len() as i64;
    let there: NumberSet = there.into_iter().collect();
    let blocks = postings::only(&blocks(sql, segment)?, |section| there.contains(section))?;
    Ok(Some(Grown { level, first, last, members, removed: 0, replaces: vec![segment], blocks }))
}

/// The blocks of a segment, in order.
pub(super) fn blocks(sql: &Connection, segment: i64) -> Step<Vec<Block>> {
    let mut statement =
        sql.prepare_cached("SELECT key, lists FROM index_block WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?;
    let mut rows = statement.query((key(segment, 0), key(segment, u32::MAX)))?;
    let mut blocks = Vec::new();
    while let Some(found) = rows.next()? {
        blocks.push(Block { first: first_edition(found.get(0)?), bytes: found.get(1)? });
    }
    Ok(blocks)
}

/// The blocks of a segment from the one that can contain an edition on; its values are from [`from_edition`].
pub(super) const BLOCKS_FROM: &str = "
    SELECT key, lists FROM index_block
    WHERE key >= coalesce((SELECT max(key) FROM index_block WHERE key BETWEEN ?1 AND ?2), ?2) AND key <= ?3 ORDER BY key";

/// The values of [`BLOCKS_FROM`].
pub(super) const fn from_edition(segment: i64, edition: u32) -> (i64, i64, i64) {
    (key(segment, 0), key(segment, edition), key(segment, u32::MAX))
}

/// The first edition of a block with this key.
pub(super) const fn first_edition(key: i64) -> u32 {
    // The cast drops the segment, which is in the upper half.
    key as u32
}

/// Stores a segment and deletes those that it replaces.
pub(super) async fn put(writer: &Writer, grown: Grown) -> Result<(), StoreError> {
    writer
        .operation("index_advance", move |context| {
            let sql = context.sql;
            // Another process may have taken the same step; its segment is as good.
            if grown.replaces.is_empty() && covered(sql)? >= grown.first {
                return Ok(());
            }
            let mut statement = sql.prepare_cached("SELECT 1 FROM index_segment WHERE no = ?1")?;
            for segment in &grown.replaces {
                // Merged or written again meanwhile.
                if !statement.exists([segment])? {
                    return Ok(());
                }
            }
            for segment in &grown.replaces {
                sql.prepare_cached("DELETE FROM index_segment WHERE no = ?1")?.execute([segment])?;
                sql.prepare_cached("DELETE FROM index_block WHERE key BETWEEN ?1 AND ?2")?
                    .execute((key(*segment, 0), key(*segment, u32::MAX)))?;
            }
            sql.prepare_cached(
                "INSERT INTO index_segment (level, first_section, last_section, members, removed)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((grown.level, grown.first, grown.last, grown.members, grown.removed))?;
            let segment = sql.last_insert_rowid();
            let mut statement = sql.prepare_cached("INSERT INTO index_block (key, lists) VALUES (?1, ?2)")?;
            for block in &grown.blocks {
                statement.execute((key(segment, block.first), &block.bytes))?;
            }
            Ok(())
        })
        .await
}
