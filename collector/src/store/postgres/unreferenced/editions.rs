//! Removes editions that no section has. Which those are is read from the bodies of all sections, without a lock; under the lock
//! of removals only the sections are read that have come since.
//!
//! A block without its editions stays as a block of gaps until the next pass, so that collectors see what was removed from it.
//! The last block stays for ever: it says which number is the next.

use std::sync::Arc;

use super::super::block;
use super::super::fault::Step;
use super::super::intern::{Dictionary, Intern};
use super::super::pool::{Lease, Pool, Transaction};
use super::super::removal;
use super::super::session::Session;
use super::{OPERATION, committed};
use crate::store::unreferenced::UsedEditions;
use crate::store::{StoreError, UnreferencedPass, body};

/// Sections that are read at a time.
const SECTIONS: i64 = 1_000;
/// Blocks that are read at a time.
const BLOCKS: i64 = 1_000;

const BODIES: &str = "SELECT no, body FROM section WHERE no > $1 AND no <= $2 ORDER BY no LIMIT $3";
const FIND: &str = "SELECT first, editions FROM dictionary WHERE first > $1 AND first <= $2 ORDER BY first LIMIT $3";
const READ: &str = "SELECT first, editions FROM dictionary WHERE first = ANY ($1::int4[])";
const WRITE: &str = "
    UPDATE dictionary d SET editions = u.editions, changed = $1
    FROM unnest($2::int4[], $3::bytea[]) AS u (first, editions) WHERE d.first = u.first";
const DROP: &str = "
    DELETE FROM dictionary WHERE first = ANY ($1::int4[]) AND changed <= $2 AND first < (SELECT max(first) FROM dictionary)";
/// What is dropped was changed by removals up to this one.
const DROPPED: &str = "UPDATE removal SET editions_from = greatest(editions_from, $1)";

/// Removes editions of blocks up to this one; returns how many.
pub(super) async fn pass(pool: &Pool, intern: &Intern, pass: &UnreferencedPass, up_to: i64) -> Result<u64, StoreError> {
    // Also if nothing is removed: another collector may have removed something.
    let sync = |lease: Arc<Lease>| async move { intern.sync(&lease).await };
    pool.run(OPERATION, Transaction::Statement, sync).await?;
    let up_to = i32::try_from(up_to).unwrap_or(i32::MAX);
    if up_to == 0 {
        return Ok(0);
    }
    let ask = |lease: Arc<Lease>| async move { removal::generations(&lease).await };
    let begun = pool.run(OPERATION, Transaction::Statement, ask).await?.editions;
    let mut used = used(pool, pass).await?;
    let (mut after, mut removed) = (0, 0);
    loop {
        let find = |lease: Arc<Lease>| async move { blocks(&lease, after, up_to).await };
        let found = pool.run(OPERATION, Transaction::Statement, find).await?;
        let Some((last, _)) = found.last() else {
            intern.forget_titles();
            return Ok(removed);
        };
        after = *last;
        let Sorted { portions, without } = sorted(&found, pass.rows, |edition| used.contains(edition))
            .map_err(|fault| fault.into_error(OPERATION, pool.place()))?;
        for portion in portions {
            let known = &used;
            let portion = &portion;
            let remove = |lease: Arc<Lease>| async move { remove(&lease, portion, known).await };
            let (of_portion, later) = pool.run(OPERATION, Transaction::Write, remove).await?;
            removed += of_portion;
            used.extend(later);
            pool.run(OPERATION, Transaction::Statement, sync).await?;
            tokio::time::sleep(pass.pause).await;
        }
        if !without.is_empty() {
            let without = &without;
            let drop_them = |lease: Arc<Lease>| async move { drop_blocks(&lease, without, begun).await };
            pool.run(OPERATION, Transaction::Write, drop_them).await?;
        }
        tokio::time::sleep(pass.pause).await;
    }
}

/// Reads which editions sections have, until few sections have come since.
async fn used(pool: &Pool, pass: &UnreferencedPass) -> Result<UsedEditions, StoreError> {
    let mut used = UsedEditions::default();
    loop {
        let (before, last) = (used.up_to(), committed(pool, "SELECT coalesce(max(no), 0) FROM section").await?);
        while used.up_to() < last {
            let after = used.up_to();
            let read = |lease: Arc<Lease>| async move { bodies(&lease, after, last).await };
            let read = pool.run(OPERATION, Transaction::Statement, read).await?;
            if read.up_to() == 0 {
                used.complete_up_to(last);
            }
            used.extend(read);
            tokio::time::sleep(pass.pause).await;
        }
        if last - before < SECTIONS {
            return Ok(used);
        }
    }
}

/// The editions of some sections with numbers in this range.
async fn bodies(session: &Session, after: i64, last: i64) -> Step<UsedEditions> {
    let mut used = UsedEditions::default();
    for found in session.query(BODIES, &[&after, &last, &SECTIONS]).await? {
        used.add(found.try_get(0)?, body::editions(found.try_get(1)?)?);
    }
    Ok(used)
}

async fn blocks(session: &Session, after: i32, up_to: i32) -> Step<Vec<(i32, Vec<u8>)>> {
    let found = session.query(FIND, &[&after, &up_to, &BLOCKS]).await?;
    found.iter().map(|found| Ok((found.try_get(0)?, found.try_get(1)?))).collect()
}

/// What is to be done with blocks.
#[derive(Debug, PartialEq, Eq)]
struct Sorted {
    /// Blocks with editions that are not kept. Those of a portion have about as many of them as one transaction removes.
    portions: Vec<Vec<i32>>,
    /// Blocks without an edition.
    without: Vec<i32>,
}

fn sorted(blocks: &[(i32, Vec<u8>)], rows: u32, is_kept: impl Fn(u32) -> bool) -> Step<Sorted> {
    let (mut sorted, mut portion, mut free) = (Sorted { portions: Vec::new(), without: Vec::new() }, Vec::new(), 0);
    for (first, block) in blocks {
        let numbers = block::numbers(*first, block)?;
        if numbers.is_empty() {
            sorted.without.push(*first);
        }
        let of_block = numbers.into_iter().filter(|edition| !is_kept(*edition)).count();
        if of_block == 0 {
            continue;
        }
        portion.push(*first);
        free += of_block;
        if free >= rows as usize {
            sorted.portions.push(std::mem::take(&mut portion));
            free = 0;
        }
    }
    if !portion.is_empty() {
        sorted.portions.push(portion);
    }
    Ok(sorted)
}

/// Removes from blocks the editions that no section has; returns how many, and the editions of sections that have come since.
async fn remove(session: &Session, firsts: &[i32], used: &UsedEditions) -> Step<(u64, UsedEditions)> {
    removal::hold(session).await?;
    let mut later = UsedEditions::default();
    later.complete_up_to(used.up_to());
    // Nobody writes sections while the lock is held.
    loop {
        let read = bodies(session, later.up_to(), i64::MAX).await?;
        if read.up_to() == 0 {
            break;
        }
        later.extend(read);
    }
    let is_kept = |edition: u32| used.contains(edition) || later.contains(edition);
    let (mut numbers, mut blocks, mut removed) = (Vec::new(), Vec::new(), 0);
    // Read again, because another collector may have removed some.
    for found in session.query(READ, &[&firsts]).await? {
        let first = found.try_get(0)?;
        let (block, of_block) = block::thinned(first, found.try_get(1)?, is_kept)?;
        if of_block > 0 {
            numbers.push(first);
            blocks.push(block);
            removed += of_block;
        }
    }
    if removed > 0 {
        let generation = removal::count_up_editions(session).await?;
        session.execute(WRITE, &[&generation, &numbers, &blocks]).await?;
    }
    Ok((removed, later))
}

/// Drops blocks without an edition that no removal after this one has changed.
async fn drop_blocks(session: &Session, firsts: &[i32], generation: i32) -> Step<()> {
    removal::hold(session).await?;
    if session.execute(DROP, &[&firsts, &generation]).await? > 0 {
        session.execute(DROPPED, &[&generation]).await?;
    }
    Ok(())
}

/// How many editions no section has. Must run in a transaction that sees one moment.
pub(super) async fn count(session: &Session, dictionary: &Dictionary) -> Step<u64> {
    let mut used = UsedEditions::default();
    loop {
        let found = session.query(BODIES, &[&used.up_to(), &i64::MAX, &SECTIONS]).await?;
        if found.is_empty() {
            break;
        }
        for found in &found {
            // The check reports a body that cannot be read.
            let editions = body::editions(found.try_get(1)?).unwrap_or_default();
            used.add(found.try_get(0)?, editions);
        }
    }
    Ok(dictionary.numbers().filter(|edition| !used.contains(*edition)).count() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn blocks_are_sorted_into_portions_and_those_without_an_edition() {
        let of = |count: usize| {
            let texts: BTreeSet<Vec<u8>> = (0..count).map(|n| format!("{n}").into_bytes()).collect();
            block::block(&texts)
        };
        let blocks = [(1, of(3)), (4, of(1)), (5, vec![0, 0, 5]), (10, of(2)), (12, of(4))];
        let sorted = |rows| sorted(&blocks, rows, |edition| edition == 4 || edition == 10).expect("sorts");
        assert_eq!(sorted(3), Sorted { portions: vec![vec![1], vec![10, 12]], without: vec![5] });
        assert_eq!(sorted(100), Sorted { portions: vec![vec![1, 10, 12]], without: vec![5] });
    }
}
