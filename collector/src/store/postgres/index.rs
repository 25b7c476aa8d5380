//! The index of search, built off the way of reports by whichever collector comes first: new rows in batches, segments of
//! one level merged into the next. It can be made anew from sections and looks at any time.

use std::time::Duration;

use super::fault::{PostgresFault, Step};
use super::session::Session;
use crate::store::postings::{self, Block, FAN, SECTIONS, TOP};
use crate::store::{IndexStep, body, snapshot_codec};

/// What a segment leads from, and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexKind {
    /// From an edition to sections.
    Sections = 1,
    /// From a section to looks.
    Snapshots = 2,
}

impl IndexKind {
    pub(super) const ALL: [Self; 2] = [Self::Sections, Self::Snapshots];

    pub(super) const fn code(self) -> i16 {
        self as i16
    }
}

/// Only one builds at a time, among all collectors: "INDX" in ASCII.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(x'494e4458'::int8)";
/// How often it is looked whether those who wrote when the newest row was read have come to their end.
const SNAPSHOTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Numbers with what a row of that number has.
type Rows = Vec<(i64, Vec<u32>)>;

/// Takes one step, within a transaction. Sections with so many observations, or snapshots with so many sections, make a
/// segment.
pub(super) async fn advance(session: &Session, at_least: usize) -> Step<IndexStep> {
    let locked = session.query_first(LOCK, &[]).await?.map_or(Ok(false), |found| found.try_get(0))?;
    if !locked {
        return Ok(IndexStep::Later);
    }
    for kind in IndexKind::ALL {
        let from = covered(session, kind).await?;
        let Some(newest) = &waiting(session, kind, from, at_least).await? else { continue };
        if !is_settled(session).await? {
            return Ok(IndexStep::Later);
        }
        // Now that nobody who could still fill a gap is left, the same range is read whole.
        let rows: Rows =
            after(session, kind, from, SECTIONS).await?.into_iter().filter(|(no, _)| no <= newest).collect();
        put(session, kind, 0, (from + 1, *newest), &postings::segment(&rows)).await?;
        return Ok(IndexStep::Taken);
    }
    Ok(if merge(session).await? { IndexStep::Taken } else { IndexStep::Nothing })
}

/// The newest row of the next segment, when enough wait for it: postings, or as many rows as a segment may have however
/// little they hold. A snapshot has a section for each source, some ten.
async fn waiting(session: &Session, kind: IndexKind, from: i64, at_least: usize) -> Step<Option<i64>> {
    let find = match kind {
        IndexKind::Sections => {
            "SELECT max(no), count(*), coalesce(sum(greatest(observations, 1)), 0)::int8 FROM
                 (SELECT no, observations FROM section WHERE no > $1 ORDER BY no LIMIT $2) AS w"
        }
        IndexKind::Snapshots => {
            "SELECT max(no), count(*), count(*) * 10 FROM
                 (SELECT no FROM snapshot WHERE no > $1 ORDER BY no LIMIT $2) AS w"
        }
    };
    let Some(found) = session.query_first(find, &[&from, &SECTIONS]).await? else { return Ok(None) };
    let (newest, rows, postings): (Option<i64>, i64, i64) = (found.try_get(0)?, found.try_get(1)?, found.try_get(2)?);
    let enough = rows >= SECTIONS || usize::try_from(postings).is_ok_and(|postings| postings >= at_least);
    Ok(newest.filter(|_| enough))
}

/// Whether every transaction that was writing at the first moment has ended since: numbers are given out before a
/// commit, and commits come in any order. The bound is this transaction's own number, which is above all that were given
/// before; a writer has its own before it takes the number of a row, because it locks rows of hosts first.
async fn is_settled(session: &Session) -> Step<bool> {
    let mine = "SELECT pg_current_xact_id()::text";
    let mine: Option<String> = session.query_first(mine, &[]).await?.map(|found| found.try_get(0)).transpose()?;
    let mine = mine.unwrap_or_default();
    for _ in 0..SNAPSHOTS {
        let find = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8";
        if session.query_first(find, &[&mine]).await?.map_or(Ok(false), |found| found.try_get(0))? {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// Up to which row there are segments.
pub(super) async fn covered(session: &Session, kind: IndexKind) -> Step<i64> {
    let find = "SELECT coalesce(max(last), 0) FROM index_segment WHERE kind = $1";
    Ok(session.query_first(find, &[&kind.code()]).await?.map_or(Ok(0), |found| found.try_get(0))?)
}

/// Rows after this one.
pub(super) async fn after(session: &Session, kind: IndexKind, number: i64, most: i64) -> Step<Rows> {
    match kind {
        IndexKind::Sections => {
            let find = "SELECT no, body FROM section WHERE no > $1 ORDER BY no LIMIT $2";
            let rows = session.query(find, &[&number, &most]).await?;
            rows.iter().map(|found| Ok((found.try_get(0)?, body::editions(found.try_get(1)?)?))).collect()
        }
        IndexKind::Snapshots => {
            let find =
                "SELECT no, CASE WHEN complete THEN entries END FROM snapshot WHERE no > $1 ORDER BY no LIMIT $2";
            let rows = session.query(find, &[&number, &most]).await?;
            rows.iter().map(|found| Ok((found.try_get(0)?, sections_of(found.try_get(1)?)?))).collect()
        }
    }
}

/// The sections of a complete snapshot, ascending, each once; one that is not complete has none yet.
pub(super) fn sections_of(entries: Option<&[u8]>) -> Step<Vec<u32>> {
    let numbers = entries.map(snapshot_codec::sections).transpose()?.unwrap_or_default();
    let numbers: Result<Vec<u32>, _> = numbers.into_iter().map(u32::try_from).collect();
    let mut numbers = numbers.map_err(|_| PostgresFault::other("a section has a number that the index cannot hold"))?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

async fn merge(session: &Session) -> Step<bool> {
    let find = "SELECT kind, level FROM index_segment WHERE level < $1::int8
                GROUP BY kind, level HAVING count(*) >= $2 ORDER BY kind, level LIMIT 1";
    let Some(found) = session.query_first(find, &[&TOP, &FAN]).await? else { return Ok(false) };
    let (code, level): (i16, i16) = (found.try_get(0)?, found.try_get(1)?);
    let kind = if code == IndexKind::Sections.code() { IndexKind::Sections } else { IndexKind::Snapshots };
    let find = "SELECT no, first, last FROM index_segment WHERE kind = $1 AND level = $2 ORDER BY first LIMIT $3";
    let found = session.query(find, &[&code, &level, &FAN]).await?;
    let (mut numbers, mut parts, mut range) = (Vec::new(), Vec::new(), (i64::MAX, 0));
    for row in &found {
        let number: i32 = row.try_get(0)?;
        parts.push(blocks(session, number).await?);
        numbers.push(number);
        range = (range.0.min(row.try_get(1)?), range.1.max(row.try_get(2)?));
    }
    let merged = postings::merge(&parts)?;
    session.execute("DELETE FROM index_segment WHERE no = ANY ($1::int4[])", &[&numbers]).await?;
    session.execute("DELETE FROM index_block WHERE segment = ANY ($1::int4[])", &[&numbers]).await?;
    put(session, kind, level + 1, range, &merged).await?;
    Ok(true)
}

/// All blocks of a segment.
pub(super) async fn blocks(session: &Session, segment: i32) -> Step<Vec<Block>> {
    let find = "SELECT first, lists FROM index_block WHERE segment = $1 ORDER BY first";
    let rows = session.query(find, &[&segment]).await?;
    rows.iter().map(|found| Ok(Block { first: found.try_get::<_, i64>(0)? as u32, bytes: found.try_get(1)? })).collect()
}

async fn put(session: &Session, kind: IndexKind, level: i16, (first, last): (i64, i64), blocks: &[Block]) -> Step<()> {
    let make = "INSERT INTO index_segment (kind, level, first, last) VALUES ($1, $2, $3, $4) RETURNING no";
    let made = session.query_first(make, &[&kind.code(), &level, &first, &last]).await?;
    let segment: i32 = made.map_or(Ok(0), |found| found.try_get(0))?;
    let firsts: Vec<i64> = blocks.iter().map(|block| i64::from(block.first)).collect();
    let lists: Vec<&[u8]> = blocks.iter().map(|block| block.bytes.as_slice()).collect();
    let put = "INSERT INTO index_block (segment, first, lists) SELECT $1, * FROM unnest($2::int8[], $3::bytea[])";
    session.execute(put, &[&segment, &firsts, &lists]).await?;
    Ok(())
}
