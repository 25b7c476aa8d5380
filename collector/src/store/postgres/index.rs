//! The search index. Whichever collector comes first builds it in the background: new rows become segments, and the
//! segments of one level are merged into one of the next. It can be rebuilt from sections and snapshots at any time.

use std::time::Duration;

use super::fault::{PostgresFault, Step};
use super::session::Session;
use crate::store::number_set::NumberSet;
use crate::store::postings::{self, Block, FAN, SECTIONS, TOP};
use crate::store::unreferenced::REWRITTEN_FROM;
use crate::store::{IndexStep, body, snapshot_codec};

/// What a segment maps, and to what. The codes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexKind {
    /// An edition to its sections.
    Sections = 1,
    /// A section to its snapshots.
    Snapshots = 2,
}

impl IndexKind {
    pub(super) const ALL: [Self; 2] = [Self::Sections, Self::Snapshots];

    pub(super) const fn code(self) -> i16 {
        self as i16
    }
}

/// The advisory lock under which one collector at a time builds the index: "INDX" in ASCII.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(x'494e4458'::int8)";
const HOLD: &str = "SELECT pg_advisory_xact_lock(x'494e4458'::int8)";
/// How often to check whether the transactions that wrote when the newest row was read have ended.
const CHECKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// The numbers of rows, each with the numbers that it contains.
type Rows = Vec<(i64, Vec<u32>)>;

/// Takes one step, in a transaction: builds a segment if the new sections have at least `at_least` observations (or the
/// new snapshots as many sections), or merges segments.
pub(super) async fn advance(session: &Session, at_least: usize) -> Step<IndexStep> {
    // `try`, because another collector that holds the lock does the same work.
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
        // No transaction is left that could fill a gap in this range, so it is complete now.
        let rows: Rows =
            after(session, kind, from, SECTIONS).await?.into_iter().filter(|(no, _)| no <= newest).collect();
        let members = rows.len() as i64;
        let segment = Segment { kind, level: 0, first: from + 1, last: *newest, members, removed: 0 };
        put(session, &segment, &postings::segment(&rows)).await?;
        return Ok(IndexStep::Taken);
    }
    Ok(if merge(session).await? { IndexStep::Taken } else { IndexStep::Nothing })
}

/// The last row of the next segment, if enough rows wait: enough postings, or as many rows as a segment may have. A
/// snapshot counts as ten postings: it has about one section for each source.
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

/// Whether every transaction that was writing when this was called first has ended. Row numbers are assigned before the
/// commit, and commits come in any order, so a lower number can still appear. The bound is this transaction's own id,
/// which is higher than all that were assigned before. A writer has its id before it takes a row number, because it
/// locks rows of hosts first.
async fn is_settled(session: &Session) -> Step<bool> {
    let mine = "SELECT pg_current_xact_id()::text";
    let mine: Option<String> = session.query_first(mine, &[]).await?.map(|found| found.try_get(0)).transpose()?;
    let mine = mine.unwrap_or_default();
    for _ in 0..CHECKS {
        let find = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8";
        if session.query_first(find, &[&mine]).await?.map_or(Ok(false), |found| found.try_get(0))? {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// The last row that is in a segment.
pub(super) async fn covered(session: &Session, kind: IndexKind) -> Step<i64> {
    let find = "SELECT coalesce(max(last), 0) FROM index_segment WHERE kind = $1";
    Ok(session.query_first(find, &[&kind.code()]).await?.map_or(Ok(0), |found| found.try_get(0))?)
}

/// At most `most` rows after this number.
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

/// The sections of a complete snapshot, ascending, without duplicates; an incomplete snapshot has none yet.
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
    let find = "SELECT no, first, last, members, removed FROM index_segment WHERE kind = $1 AND level = $2
                ORDER BY first LIMIT $3";
    let found = session.query(find, &[&code, &level, &FAN]).await?;
    let (mut numbers, mut parts) = (Vec::new(), Vec::new());
    let mut merged = Segment { kind, level: level + 1, first: i64::MAX, last: 0, members: 0, removed: 0 };
    for row in &found {
        let number: i32 = row.try_get(0)?;
        parts.push(blocks(session, number).await?);
        numbers.push(number);
        merged.first = merged.first.min(row.try_get(1)?);
        merged.last = merged.last.max(row.try_get(2)?);
        merged.members += row.try_get::<_, i64>(3)?;
        merged.removed += row.try_get::<_, i64>(4)?;
    }
    remove(session, &numbers).await?;
    put(session, &merged, &postings::merge(&parts)?).await?;
    Ok(true)
}

async fn remove(session: &Session, segments: &[i32]) -> Step<()> {
    session.execute("DELETE FROM index_segment WHERE no = ANY ($1::int4[])", &[&segments]).await?;
    session.execute("DELETE FROM index_block WHERE segment = ANY ($1::int4[])", &[&segments]).await?;
    Ok(())
}

/// Keeps the index as it is until the transaction ends.
pub(super) async fn hold(session: &Session) -> Step<()> {
    session.execute(HOLD, &[]).await.map(drop)
}

/// Writes one segment again of which much was removed, in a transaction; says whether there may be more of them.
pub(super) async fn rewrite(session: &Session) -> Step<bool> {
    let locked = session.query_first(LOCK, &[]).await?.map_or(Ok(false), |found| found.try_get(0))?;
    let find = "SELECT no, kind, level, first, last FROM index_segment WHERE removed > 0 AND removed * $1 >= members
                ORDER BY no LIMIT 1";
    // Another collector that holds the lock builds the index; the next pass comes here again.
    let found = if locked { session.query_first(find, &[&REWRITTEN_FROM]).await? } else { None };
    let Some(found) = found else { return Ok(false) };
    let (number, code, first, last): (i32, i16, i64, i64) =
        (found.try_get(0)?, found.try_get(1)?, found.try_get(3)?, found.try_get(4)?);
    let (kind, there) = if code == IndexKind::Sections.code() {
        (IndexKind::Sections, "SELECT no FROM section WHERE no BETWEEN $1 AND $2")
    } else {
        (IndexKind::Snapshots, "SELECT no FROM snapshot WHERE no BETWEEN $1 AND $2")
    };
    let there = session.query(there, &[&first, &last]).await?;
    let members = there.len() as i64;
    let there = there.iter().map(|found| Ok(found.try_get(0)?)).collect::<Step<NumberSet>>()?;
    let kept = postings::only(&blocks(session, number).await?, |row| there.contains(row))?;
    remove(session, &[number]).await?;
    put(session, &Segment { kind, level: found.try_get(2)?, first, last, members, removed: 0 }, &kept).await?;
    Ok(true)
}

/// The blocks of a segment, in order.
pub(super) async fn blocks(session: &Session, segment: i32) -> Step<Vec<Block>> {
    let find = "SELECT first, lists FROM index_block WHERE segment = $1 ORDER BY first";
    let rows = session.query(find, &[&segment]).await?;
    rows.iter().map(|found| Ok(Block { first: found.try_get::<_, i64>(0)? as u32, bytes: found.try_get(1)? })).collect()
}

/// The row of a segment.
struct Segment {
    kind: IndexKind,
    level: i16,
    first: i64,
    last: i64,
    /// How many rows it names, and about how many of them were removed.
    members: i64,
    removed: i64,
}

async fn put(session: &Session, segment: &Segment, blocks: &[Block]) -> Step<()> {
    let Segment { kind, level, first, last, members, removed } = segment;
    let make = "INSERT INTO index_segment (kind, level, first, last, members, removed) VALUES ($1, $2, $3, $4, $5, $6)
                RETURNING no";
    let made = session.query_first(make, &[&kind.code(), level, first, last, members, removed]).await?;
    let number: i32 = made.map_or(Ok(0), |found| found.try_get(0))?;
    let firsts: Vec<i64> = blocks.iter().map(|block| i64::from(block.first)).collect();
    let lists: Vec<&[u8]> = blocks.iter().map(|block| block.bytes.as_slice()).collect();
    let put = "INSERT INTO index_block (segment, first, lists) SELECT $1, * FROM unnest($2::int8[], $3::bytea[])";
    session.execute(put, &[&number, &firsts, &lists]).await?;
    Ok(())
}
