//! Looks: kept once, and the pointer of a host to its current one. A snapshot becomes current when all its sections are
//! here, in the transaction in which the last of them came, and once.

use muster_proto::canonical;
use muster_proto::model::{Digest, Snapshot, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Step, StoreFault};
use super::memory::{self, LastSeen};
use super::section::Packed;
use super::writer::WriteContext;
use super::{judge_queue, row, section};
use crate::store::{CheckIn, CheckInAnswer, Delivered, Delivery, snapshot_codec};

/// What the database knows of a snapshot.
struct KnownSnapshot {
    no: i64,
    missing: Vec<Digest>,
}

/// The host's row, as far as a check-in or delivery needs it.
struct HostRow {
    no: i64,
    snapshot: Option<i64>,
    snapshot_since: Option<Timestamp>,
    judged_at: Option<Timestamp>,
}

/// A delivery, with its sections in interned form.
pub(super) struct ReceivedSnapshot {
    pub(super) operation: Delivery,
    pub(super) packed: Vec<Packed>,
}

pub(super) fn get(sql: &Connection, digest: &Digest) -> Step<Option<Snapshot>> {
    let find = "SELECT entries, complete FROM snapshot WHERE digest = ?1";
    let found: Option<(Vec<u8>, bool)> =
        sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(bytes, complete)| read(sql, digest, &bytes, complete)).transpose()
}

/// The snapshot of stored bytes: canonical ones, or when it is complete those that name its sections by number.
pub(super) fn read(sql: &Connection, digest: &Digest, bytes: &[u8], complete: bool) -> Step<Snapshot> {
    let damaged = |reason: String| StoreFault::damaged(format!("look {}", digest.short()), reason);
    if !complete {
        return canonical::read_snapshot(bytes).map_err(|error| damaged(error.to_string()));
    }
    snapshot_codec::decode(bytes, |number| section::digest(sql, number)).map_err(|fault| match fault {
        StoreFault::Damaged { what, reason } => damaged(format!("{what}: {reason}")),
        other @ (StoreFault::Full | StoreFault::Closed | StoreFault::Other(_)) => other,
    })
}

pub(super) fn check_in(context: &mut WriteContext<'_>, operation: &CheckIn) -> Step<CheckInAnswer> {
    let Some(host) = host_row(context, operation.host)? else { return Ok(CheckInAnswer::HostUnknown) };
    let known = known(context.sql, &operation.snapshot)?;
    let current = known.as_ref().is_some_and(|known| host.snapshot == Some(known.no));
    if context.seen(operation.host).is_some_and(|seen| seen.covers(operation.run, operation.seq)) {
        return Ok(CheckInAnswer::Replayed { current });
    }
    let mut changed = false;
    if let Some(facts) = &operation.facts {
        changed |= super::host::facts_put(context, host.no, facts)?;
    }
    if let Some(state) = &operation.state {
        changed |= super::host::state_put(context.sql, host.no, state)?;
    }
    let answer = match known {
        None => CheckInAnswer::SnapshotWanted,
        Some(known) if !known.missing.is_empty() => CheckInAnswer::SectionsWanted(known.missing),
        Some(known) => {
            make_current(context, &host, known.no, operation.observed_at, operation.now)?;
            CheckInAnswer::Current
        }
    };
    // One that waits already keeps its ticket: nothing that is judged has changed.
    let again = memory::is_old(host.judged_at, operation.now) && judge_queue::ticket(context.sql, host.no)?.is_none();
    if changed || again {
        judge_queue::put(context, host.no, operation.now)?;
    }
    context.saw(
        operation.host,
        LastSeen::advanced(context.seen(operation.host), operation.run, operation.seq, operation.now),
    );
    let (id, run, seq, now) = (operation.host, operation.run, operation.seq, operation.now);
    let snapshot = (answer == CheckInAnswer::Current).then_some(operation.snapshot);
    let facts = operation.facts.as_ref().map(memory::facts_key);
    let state = operation.state.as_ref().map(memory::state_key);
    context.after_commit(move |memory| {
        memory.note(id, run, seq, now, |live| {
            live.snapshot = snapshot.or(live.snapshot);
            live.facts = facts.or(live.facts);
            live.state = state.or(live.state);
        });
    });
    Ok(answer)
}

pub(super) fn deliver(context: &mut WriteContext<'_>, received: &ReceivedSnapshot) -> Step<Delivered> {
    let ReceivedSnapshot { operation, packed } = received;
    let Some(host) = host_row(context, operation.host)? else { return Ok(Delivered::HostUnknown) };
    let mut sections = Vec::with_capacity(packed.len());
    for one in packed {
        sections.push((one.digest, section::put(context.sql, one)?));
    }
    let (fresh, snapshot) =
        (operation.sections.clone(), operation.snapshot.clone().map(|snapshot| (operation.digest, snapshot)));
    context.after_commit(move |memory| memory.recent().keep(fresh, snapshot));
    let known = match (known(context.sql, &operation.digest)?, &operation.snapshot) {
        (Some(known), _) => known,
        (None, Some(snapshot)) => put(context.sql, &operation.digest, snapshot, &sections)?,
        (None, None) => return Ok(Delivered::SnapshotWanted),
    };
    if !known.missing.is_empty() {
        return Ok(Delivered::SectionsWanted(known.missing));
    }
    // Late: the same process has told of something newer since. What came is kept, the pointer stays.
    let before = context.seen(operation.host);
    let late = before.is_some_and(|seen| match seen.previous {
        _ if seen.run == operation.run => operation.seq < seen.seq,
        Some((run, _)) => run == operation.run,
        None => false,
    });
    if !late {
        make_current(context, &host, known.no, operation.observed_at, operation.now)?;
        context.saw(operation.host, LastSeen::advanced(before, operation.run, operation.seq, operation.now));
        let (id, run, seq, now, snapshot) =
            (operation.host, operation.run, operation.seq, operation.now, operation.digest);
        context.after_commit(move |memory| memory.note(id, run, seq, now, |live| live.snapshot = Some(snapshot)));
    }
    Ok(Delivered::Accepted)
}

fn host_row(context: &WriteContext<'_>, host: muster_proto::model::HostId) -> Step<Option<HostRow>> {
    let Some(no) = context.memory.host_no(host) else { return Ok(None) };
    let mut statement =
        context.sql.prepare_cached("SELECT snapshot, snapshot_since, judged_at FROM host WHERE no = ?1")?;
    let mut rows = statement.query([no])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(HostRow {
        no,
        snapshot: found.get(0)?,
        snapshot_since: row::maybe_instant(found, 1)?,
        judged_at: row::maybe_instant(found, 2)?,
    }))
}

fn known(sql: &Connection, digest: &Digest) -> Step<Option<KnownSnapshot>> {
    let mut statement = sql.prepare_cached("SELECT no, complete, entries FROM snapshot WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let no = found.get(0)?;
    if found.get(1)? {
        return Ok(Some(KnownSnapshot { no, missing: Vec::new() }));
    }
    let snapshot = read(sql, digest, &found.get::<_, Vec<u8>>(2)?, false)?;
    let numbers = numbers(sql, &snapshot, &[])?;
    if let Ok(numbers) = &numbers {
        // The last section has come, perhaps with a delivery for another host.
        sql.prepare_cached("UPDATE snapshot SET complete = 1, entries = ?2 WHERE no = ?1")?
            .execute((no, snapshot_codec::encode(&snapshot, numbers)))?;
        is_of(sql, no, numbers)?;
    }
    Ok(Some(KnownSnapshot { no, missing: numbers.err().unwrap_or_default() }))
}

fn put(sql: &Connection, digest: &Digest, snapshot: &Snapshot, here: &[(Digest, i64)]) -> Step<KnownSnapshot> {
    let numbers = numbers(sql, snapshot, here)?;
    let entries = match &numbers {
        Ok(numbers) => snapshot_codec::encode(snapshot, numbers),
        Err(_) => canonical::snapshot_bytes(snapshot),
    };
    sql.prepare_cached("INSERT INTO snapshot (digest, entries, complete) VALUES (?1, ?2, ?3)")?.execute((
        digest.as_bytes(),
        entries,
        numbers.is_ok(),
    ))?;
    let no = sql.last_insert_rowid();
    if let Ok(numbers) = &numbers {
        is_of(sql, no, numbers)?;
    }
    Ok(KnownSnapshot { no, missing: numbers.err().unwrap_or_default() })
}

/// Notes the sections of a complete snapshot. Two sources may have seen the same: one section.
fn is_of(sql: &Connection, snapshot: i64, sections: &[i64]) -> Step<()> {
    let mut statement =
        sql.prepare_cached("INSERT INTO snapshot_section (section, snapshot) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for section in sections {
        statement.execute((section, snapshot))?;
    }
    Ok(())
}

/// The number of each section of a snapshot in turn; or those sections that are not here, each once.
fn numbers(sql: &Connection, snapshot: &Snapshot, here: &[(Digest, i64)]) -> Step<Result<Vec<i64>, Vec<Digest>>> {
    let (mut numbers, mut missing) = (Vec::new(), Vec::new());
    for digest in snapshot.entries().iter().filter_map(|entry| entry.section) {
        let known = here.iter().find(|(one, _)| *one == digest).map(|(_, number)| *number);
        match known.map_or_else(|| section::number(sql, &digest), |known| Ok(Some(known)))? {
            Some(number) => numbers.push(number),
            None if !missing.contains(&digest) => missing.push(digest),
            None => {}
        }
    }
    Ok(if missing.is_empty() { Ok(numbers) } else { Err(missing) })
}

/// Points the host to a complete snapshot, keeps the one before in its history, and puts the host on the judge queue.
fn make_current(
    context: &mut WriteContext<'_>,
    host: &HostRow,
    snapshot: i64,
    observed_at: Timestamp,
    now: Timestamp,
) -> Step<()> {
    if host.snapshot == Some(snapshot) {
        return Ok(());
    }
    if host.snapshot.is_some() {
        context
            .sql
            .prepare_cached(
                "INSERT INTO host_snapshot (host, since, observed_at, snapshot)
                 SELECT no, snapshot_since, snapshot_observed_at, snapshot FROM host WHERE no = ?1",
            )?
            .execute([host.no])?;
    }
    // The history is ordered, also when the clock was set back or two looks come within a millisecond.
    let since =
        host.snapshot_since.map_or(now, |last| now.max(Timestamp::from_millis(last.millis().saturating_add(1))));
    let ticket = context.memory.next_ticket();
    context
        .sql
        .prepare_cached(
            "UPDATE host SET snapshot = ?2, snapshot_since = ?3, snapshot_observed_at = ?4, ticket = ?5,
                 queued_at = coalesce(queued_at, ?6) WHERE no = ?1",
        )?
        .execute((host.no, snapshot, since.millis(), observed_at.millis(), ticket, now.millis()))?;
    judge_queue::is_put(context, host.no, ticket, now);
    Ok(())
}
