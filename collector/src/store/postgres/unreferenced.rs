//! Removes what nothing refers to, a few rows in a transaction. Rows are found without a lock; what refers to them is looked
//! for again while nobody can write references, see `removal`.

mod editions;

use std::sync::Arc;

use super::fault::Step;
use super::index::{self, IndexKind};
use super::intern::{Dictionary, Intern};
use super::pool::{Lease, Pool, Transaction};
use super::removal;
use super::session::Session;
use crate::store::number_set::NumberSet;
use crate::store::unreferenced::OldNumbers;
use crate::store::{StoreError, Unreferenced, UnreferencedPass, UnreferencedRemoved, snapshot_codec};

const OPERATION: &str = "unreferenced_remove";
/// Snapshots that are read at a time.
const PORTION: i64 = 1_000;

/// No host has the snapshot, and none had it.
macro_rules! no_host_has {
    () => {
        "NOT EXISTS (SELECT 1 FROM host_current h WHERE h.snapshot = r.no)
         AND NOT EXISTS (SELECT 1 FROM host_snapshot p WHERE p.snapshot = r.no)"
    };
}

/// The judged state is of no host, and was of none.
macro_rules! no_host_is_in {
    () => {
        "NOT EXISTS (SELECT 1 FROM host_current h WHERE h.judged_state = r.no)
         AND NOT EXISTS (SELECT 1 FROM host_state p WHERE p.judged_state = r.no)"
    };
}

const FIND_SNAPSHOTS: &str = concat!(
    "SELECT r.no FROM snapshot r WHERE r.no > $1 AND r.no <= $2 AND ",
    no_host_has!(),
    " ORDER BY r.no LIMIT $3"
);
const REMOVE_SNAPSHOTS: &str =
    concat!("DELETE FROM snapshot r WHERE r.no = ANY ($1::int8[]) AND ", no_host_has!(), " RETURNING r.no");
const FIND_STATES: &str = concat!(
    "SELECT r.no::int8 FROM judged_state r WHERE r.no::int8 > $1 AND r.no::int8 <= $2 AND ",
    no_host_is_in!(),
    " ORDER BY r.no LIMIT $3"
);
const REMOVE_STATES: &str =
    concat!("DELETE FROM judged_state r WHERE r.no = ANY ($1::int8[]::int4[]) AND ", no_host_is_in!());

const FIND_SECTIONS: &str = "SELECT no FROM section WHERE no > $1 AND no <= $2 ORDER BY no LIMIT $3";
const COMPLETE: &str =
    "SELECT no, CASE WHEN complete THEN entries END FROM snapshot WHERE no > $1 ORDER BY no LIMIT $2";
const LATE: &str = "SELECT no, CASE WHEN complete THEN entries END FROM snapshot WHERE no = ANY ($1::int8[])";

/// What the segments of the index still name.
const NAMED: &str = "
    UPDATE index_segment s SET removed = s.removed + u.rows FROM (
        SELECT i.no, count(*) AS rows FROM index_segment i JOIN unnest($1::int8[]) AS d (no) ON d.no BETWEEN i.first AND i.last
        WHERE i.kind = $2 GROUP BY i.no
    ) u WHERE s.no = u.no";

pub(super) async fn pass(
    pool: &Pool,
    intern: &Intern,
    pass: &UnreferencedPass,
) -> Result<UnreferencedRemoved, StoreError> {
    let note = |lease: Arc<Lease>| async move { old_numbers(&lease, pass).await };
    let old = pool.run(OPERATION, Transaction::Write, note).await?;
    let snapshots = rows(pool, pass, Table::Snapshots, old.snapshot).await?;
    let sections = sections(pool, pass, old.section).await?;
    // A judged state is made together with what refers to it, so its age does not matter.
    let states = rows(pool, pass, Table::States, i64::MAX).await?;
    let rewrite = |lease: Arc<Lease>| async move { index::rewrite(&lease).await };
    while pool.run(OPERATION, Transaction::Write, rewrite).await? {
        tokio::time::sleep(pass.pause).await;
    }
    let editions = if pass.editions { editions::pass(pool, intern, pass, old.edition).await? } else { 0 };
    Ok(UnreferencedRemoved { snapshots, sections, states, editions, texts: 0 })
}

/// Notes how far numbers have come, and says how far they had come before the instant of the pass.
async fn old_numbers(session: &Session, pass: &UnreferencedPass) -> Step<OldNumbers> {
    let note = "INSERT INTO number_mark (at, snapshot, section, edition)
                SELECT $1, (SELECT coalesce(max(no), 0) FROM snapshot), (SELECT coalesce(max(no), 0) FROM section),
                    (SELECT coalesce(max(first), 0) FROM dictionary)
                ON CONFLICT (at) DO UPDATE SET snapshot = excluded.snapshot, section = excluded.section,
                    edition = excluded.edition";
    session.execute(note, &[&pass.now.millis()]).await?;
    let find = "SELECT snapshot, section, edition, at FROM number_mark WHERE at <= $1 ORDER BY at DESC LIMIT 1";
    let Some(found) = session.query_first(find, &[&pass.before.millis()]).await? else {
        return Ok(OldNumbers::default());
    };
    session.execute("DELETE FROM number_mark WHERE at < $1", &[&found.try_get::<_, i64>(3)?]).await?;
    Ok(OldNumbers { snapshot: found.try_get(0)?, section: found.try_get(1)?, edition: found.try_get(2)? })
}

/// A table whose rows say themselves that nothing refers to them.
#[derive(Clone, Copy)]
enum Table {
    Snapshots,
    States,
}

/// Removes the rows of a table up to this number.
async fn rows(pool: &Pool, pass: &UnreferencedPass, table: Table, up_to: i64) -> Result<u64, StoreError> {
    let find = match table {
        Table::Snapshots => FIND_SNAPSHOTS,
        Table::States => FIND_STATES,
    };
    let (most, mut after, mut removed) = (i64::from(pass.rows), 0, 0);
    loop {
        let find = |lease: Arc<Lease>| async move { numbers(&lease, find, &[&after, &up_to, &most]).await };
        let found = pool.run(OPERATION, Transaction::Statement, find).await?;
        let Some(last) = found.last().copied() else { return Ok(removed) };
        after = last;
        let found = &found;
        let remove = |lease: Arc<Lease>| async move {
            removal::hold(&lease).await?;
            match table {
                Table::Snapshots => remove_snapshots(&lease, found).await,
                Table::States => remove_states(&lease, found).await,
            }
        };
        removed += pool.run(OPERATION, Transaction::Write, remove).await?;
        tokio::time::sleep(pass.pause).await;
    }
}

/// Removes those of the snapshots to which nothing refers. The lock of removals must be held.
pub(super) async fn remove_snapshots(session: &Session, snapshots: &[i64]) -> Step<u64> {
    let removed = numbers(session, REMOVE_SNAPSHOTS, &[&snapshots]).await?;
    if !removed.is_empty() {
        session.execute("DELETE FROM snapshot_late WHERE snapshot = ANY ($1::int8[])", &[&removed]).await?;
        session.execute(NAMED, &[&removed, &IndexKind::Snapshots.code()]).await?;
        removal::count_up(session).await?;
    }
    Ok(removed.len() as u64)
}

/// Removes these sections. Nothing may refer to them, and the lock of removals must be held.
pub(super) async fn remove_sections(session: &Session, sections: &[i64]) -> Step<u64> {
    session.execute("DELETE FROM section_hit WHERE section = ANY ($1::int8[])", &[&sections]).await?;
    session.execute(NAMED, &[&sections, &IndexKind::Sections.code()]).await?;
    let removed = session.execute("DELETE FROM section WHERE no = ANY ($1::int8[])", &[&sections]).await?;
    removal::count_up(session).await?;
    Ok(removed)
}

/// Removes those of the judged states to which nothing refers. The lock of removals must be held.
pub(super) async fn remove_states(session: &Session, states: &[i64]) -> Step<u64> {
    session.execute(REMOVE_STATES, &[&states]).await
}

/// The sections that complete snapshots name, as far as these were read.
#[derive(Default)]
struct Referred {
    sections: NumberSet,
    /// Snapshots up to this number were read.
    up_to: i64,
    /// Those of them that were not complete.
    incomplete: Vec<i64>,
}

/// What was read of snapshots.
#[derive(Default)]
struct Read {
    sections: Vec<i64>,
    incomplete: Vec<i64>,
    last: Option<i64>,
}

impl Read {
    fn add(&mut self, rows: &[tokio_postgres::Row]) -> Step<()> {
        for found in rows {
            let number = found.try_get(0)?;
            match found.try_get::<_, Option<&[u8]>>(1)? {
                Some(entries) => self.sections.extend(snapshot_codec::sections(entries)?),
                None => self.incomplete.push(number),
            }
            self.last = Some(number);
        }
        Ok(())
    }
}

impl Referred {
    fn take(&mut self, read: Read) {
        read.sections.into_iter().for_each(|section| self.sections.insert(section));
        self.incomplete.extend(read.incomplete);
        self.up_to = self.up_to.max(read.last.unwrap_or_default());
    }

    /// Takes what was read while the lock was held: the late ones that are complete by now need not be read again.
    fn advance(&mut self, rest: Read) {
        self.incomplete.clear();
        self.take(rest);
    }

    /// Those of the sections that no snapshot names: neither what was read before nor the rest.
    fn free(&self, sections: &[i64], rest: &Read) -> Vec<i64> {
        let named: NumberSet = rest.sections.iter().copied().collect();
        let is_free = |section: &i64| !self.sections.contains(*section) && !named.contains(*section);
        sections.iter().copied().filter(is_free).collect()
    }

    /// Reads the snapshots up to this number, all of which are committed.
    async fn read(pool: &Pool, pass: &UnreferencedPass, up_to: i64) -> Result<Self, StoreError> {
        let mut referred = Self::default();
        while referred.up_to < up_to {
            let after = referred.up_to;
            let read = |lease: Arc<Lease>| async move { portion(&lease, after).await };
            let read = pool.run(OPERATION, Transaction::Statement, read).await?;
            if read.last.is_none() {
                break;
            }
            referred.take(read);
            tokio::time::sleep(pass.pause).await;
        }
        // What was read beyond it may have gaps that transactions still fill.
        referred.up_to = up_to;
        Ok(referred)
    }

    /// Reads what has come since. The lock of removals must be held, so that all of it is committed.
    async fn rest(&self, session: &Session) -> Step<Read> {
        let mut read = Read::default();
        let late = session.query(LATE, &[&self.incomplete]).await?;
        read.add(&late)?;
        let mut after = self.up_to;
        read.last = Some(after);
        loop {
            let rows = session.query(COMPLETE, &[&after, &PORTION]).await?;
            read.add(&rows)?;
            match rows.last() {
                Some(last) => after = last.try_get(0)?,
                None => break,
            }
        }
        read.last = Some(after);
        Ok(read)
    }
}

async fn portion(session: &Session, after: i64) -> Step<Read> {
    let mut read = Read::default();
    read.add(&session.query(COMPLETE, &[&after, &PORTION]).await?)?;
    Ok(read)
}

async fn sections(pool: &Pool, pass: &UnreferencedPass, up_to: i64) -> Result<u64, StoreError> {
    if up_to == 0 {
        return Ok(0);
    }
    let last = committed(pool, "SELECT coalesce(max(no), 0) FROM snapshot").await?;
    let mut referred = Referred::read(pool, pass, last).await?;
    let (mut after, mut removed) = (0, 0);
    loop {
        // Most sections are referred to, so many are read for a few that are removed.
        let find = |lease: Arc<Lease>| async move { numbers(&lease, FIND_SECTIONS, &[&after, &up_to, &PORTION]).await };
        let found = pool.run(OPERATION, Transaction::Statement, find).await?;
        let Some(last) = found.last().copied() else { return Ok(removed) };
        after = last;
        let free = referred.free(&found, &Read::default());
        for free in free.chunks(usize::try_from(pass.rows).unwrap_or(usize::MAX).max(1)) {
            let known = &referred;
            let remove = |lease: Arc<Lease>| async move {
                removal::hold(&lease).await?;
                let rest = known.rest(&lease).await?;
                let free = known.free(free, &rest);
                let removed = if free.is_empty() { 0 } else { remove_sections(&lease, &free).await? };
                Ok((removed, rest))
            };
            let (of_portion, rest) = pool.run(OPERATION, Transaction::Write, remove).await?;
            removed += of_portion;
            referred.advance(rest);
            tokio::time::sleep(pass.pause).await;
        }
    }
}

/// The answer to this statement about the last number of a table, up to which all rows are committed: while the lock is held,
/// nobody has a number for a row that is not.
async fn committed(pool: &Pool, last: &'static str) -> Result<i64, StoreError> {
    let ask = |lease: Arc<Lease>| async move {
        removal::hold(&lease).await?;
        Ok(numbers(&lease, last, &[]).await?.first().copied().unwrap_or_default())
    };
    pool.run(OPERATION, Transaction::Write, ask).await
}

async fn numbers(session: &Session, statement: &'static str, values: super::session::Values<'_>) -> Step<Vec<i64>> {
    session.query(statement, values).await?.iter().map(|found| Ok(found.try_get(0)?)).collect()
}

/// How many rows nothing refers to. Must run in a transaction that sees one moment.
pub(super) async fn count(session: &Session, dictionary: &Dictionary) -> Step<Unreferenced> {
    const SNAPSHOTS: &str = concat!("SELECT count(*) FROM snapshot r WHERE ", no_host_has!());
    const STATES: &str = concat!("SELECT count(*) FROM judged_state r WHERE ", no_host_is_in!());
    let count = async |statement: &'static str| -> Step<u64> {
        Ok(numbers(session, statement, &[]).await?.first().copied().unwrap_or_default().cast_unsigned())
    };
    let (mut referred, mut after) = (NumberSet::default(), 0_i64);
    loop {
        let rows = session.query(COMPLETE, &[&after, &PORTION]).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get(0)?;
        for found in &rows {
            // The check reports a snapshot that cannot be read.
            let entries = found.try_get::<_, Option<&[u8]>>(1)?.map(snapshot_codec::sections);
            entries.into_iter().flatten().flatten().for_each(|section| referred.insert(section));
        }
    }
    let (mut sections, mut after) = (0, 0_i64);
    loop {
        let found = numbers(session, FIND_SECTIONS, &[&after, &i64::MAX, &PORTION]).await?;
        let Some(last) = found.last() else { break };
        after = *last;
        sections += found.iter().filter(|section| !referred.contains(**section)).count() as u64;
    }
    let editions = editions::count(session, dictionary).await?;
    Ok(Unreferenced { snapshots: count(SNAPSHOTS).await?, sections, states: count(STATES).await?, editions, texts: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_is_named_while_others_are_removed_stays() {
        let mut referred = Referred::default();
        referred.take(Read { sections: vec![1], incomplete: vec![7], last: Some(8) });
        let free = referred.free(&[1, 2, 3, 4], &Read::default());
        assert_eq!(free, [2, 3, 4]);
        // With the first of them, a new snapshot is read that names the last.
        let rest = Read { sections: vec![4], incomplete: Vec::new(), last: Some(9) };
        assert_eq!(referred.free(&free[..1], &rest), [2]);
        referred.advance(rest);
        assert!(referred.incomplete.is_empty());
        assert_eq!(referred.free(&free[1..], &Read::default()), [3]);
    }
}
