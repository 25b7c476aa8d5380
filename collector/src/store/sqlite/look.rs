//! Looks: kept once, and the pointer of a host to its current one. A look becomes current when all its sections are
//! here, in the transaction in which the last of them came, and once.

use muster_proto::canonical;
use muster_proto::model::{Digest, HostId, Look, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use super::memory::{self, Seen};
use super::writer::Desk;
use super::{docket, row, section, seen};
use crate::store::{CheckIn, CheckInAnswer, Delivered, LookDelivery};

/// What the database knows of a look.
struct Known {
    no: i64,
    missing: Vec<Digest>,
}

/// The host's row, as far as a check-in or delivery needs it.
struct HostRow {
    no: i64,
    look: Option<i64>,
    look_since: Option<Timestamp>,
    judged_at: Option<Timestamp>,
    seen: Option<Seen>,
}

pub(super) fn get(sql: &Connection, digest: &Digest) -> Step<Option<Look>> {
    let find = "SELECT entries FROM look WHERE digest = ?1";
    let bytes: Option<Vec<u8>> =
        sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| row.get(0)).optional()?;
    bytes.map(|bytes| read(&bytes, digest)).transpose()
}

/// The look of stored bytes.
pub(super) fn read(bytes: &[u8], digest: &Digest) -> Step<Look> {
    canonical::read_look(bytes).map_err(|error| Fault::damaged(format!("look {}", digest.short()), error.to_string()))
}

pub(super) fn check_in(desk: &mut Desk<'_>, deed: &CheckIn) -> Step<CheckInAnswer> {
    let Some(host) = host_row(desk.sql, deed.host)? else { return Ok(CheckInAnswer::HostUnknown) };
    let known = known(desk.sql, &deed.look)?;
    let current = known.as_ref().is_some_and(|known| host.look == Some(known.no));
    if was_seen(desk, &host, deed) {
        return Ok(CheckInAnswer::Replayed { current });
    }
    let mut changed = false;
    if let Some(facts) = &deed.facts {
        changed |= super::host::facts_put(desk.sql, host.no, facts)?;
    }
    if let Some(state) = &deed.state {
        changed |= super::host::state_put(desk.sql, host.no, state)?;
    }
    let answer = match known {
        None => CheckInAnswer::LookWanted,
        Some(known) if !known.missing.is_empty() => CheckInAnswer::SectionsWanted(known.missing),
        Some(known) => {
            make_current(desk, &host, known.no, deed.observed_at, deed.now)?;
            CheckInAnswer::Current
        }
    };
    // One that waits already keeps its ticket: nothing that is judged has changed.
    let again = memory::is_old(host.judged_at, deed.now) && docket::ticket(desk.sql, host.no)?.is_none();
    if changed || again {
        docket::put(desk, host.no, deed.now)?;
    }
    seen::put(desk.sql, host.no, &Seen::advanced(newest(desk, deed.host, host.seen), deed.run, deed.seq, deed.now))?;
    let (id, run, seq, now) = (deed.host, deed.run, deed.seq, deed.now);
    let look = (answer == CheckInAnswer::Current).then_some(deed.look);
    let facts = deed.facts.as_ref().map(memory::facts_key);
    let state = deed.state.as_ref().map(memory::state_key);
    desk.after_commit(move |memory| {
        memory.note(id, run, seq, now, |live| {
            live.look = look.or(live.look);
            live.facts = facts.or(live.facts);
            live.state = state.or(live.state);
        });
    });
    Ok(answer)
}

pub(super) fn deliver(desk: &mut Desk<'_>, deed: &LookDelivery) -> Step<Delivered> {
    let Some(host) = host_row(desk.sql, deed.host)? else { return Ok(Delivered::HostUnknown) };
    for (digest, section, _) in &deed.sections {
        section::put(desk, digest, section)?;
    }
    let known = match (known(desk.sql, &deed.digest)?, &deed.look) {
        (Some(known), _) => known,
        (None, Some(look)) => put(desk.sql, &deed.digest, look)?,
        (None, None) => return Ok(Delivered::LookWanted),
    };
    if !known.missing.is_empty() {
        return Ok(Delivered::SectionsWanted(known.missing));
    }
    // Late: the same process has told of something newer since. What came is kept, the pointer stays.
    let is_late = |seen: Option<Seen>| {
        seen.is_some_and(|seen| match seen.previous {
            _ if seen.run == deed.run => deed.seq < seen.seq,
            Some((run, _)) => run == deed.run,
            None => false,
        })
    };
    if !is_late(host.seen) && !is_late(desk.memory.seen(deed.host)) {
        make_current(desk, &host, known.no, deed.observed_at, deed.now)?;
        seen::put(
            desk.sql,
            host.no,
            &Seen::advanced(newest(desk, deed.host, host.seen), deed.run, deed.seq, deed.now),
        )?;
        let (id, run, seq, now, look) = (deed.host, deed.run, deed.seq, deed.now, deed.digest);
        desk.after_commit(move |memory| memory.note(id, run, seq, now, |live| live.look = Some(look)));
    }
    Ok(Delivered::Accepted)
}

fn was_seen(desk: &Desk<'_>, host: &HostRow, deed: &CheckIn) -> bool {
    let covers = |seen: Option<Seen>| seen.is_some_and(|seen| seen.covers(deed.run, deed.seq));
    covers(host.seen) || covers(desk.memory.seen(deed.host))
}

/// Of the row and the memory, that which knows more: the memory, unless this transaction has written the row.
fn newest(desk: &Desk<'_>, host: HostId, row: Option<Seen>) -> Option<Seen> {
    match (row, desk.memory.seen(host)) {
        (Some(row), Some(live)) => Some(if live.covers(row.run, row.seq) { live } else { row }),
        (row, live) => row.or(live),
    }
}

fn host_row(sql: &Connection, host: HostId) -> Step<Option<HostRow>> {
    let mut statement = sql.prepare_cached(
        "SELECT h.no, h.look, h.look_since, h.judged_at, s.last_seen, s.run, s.seq, s.previous_run, s.previous_seq
         FROM host h JOIN host_seen s ON s.host = h.no WHERE h.id = ?1",
    )?;
    let mut rows = statement.query([host.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(HostRow {
        no: found.get(0)?,
        look: found.get(1)?,
        look_since: row::maybe_instant(found, 2)?,
        judged_at: row::maybe_instant(found, 3)?,
        seen: row::seen(found, 4)?,
    }))
}

fn known(sql: &Connection, digest: &Digest) -> Step<Option<Known>> {
    let mut statement = sql.prepare_cached("SELECT no, complete, entries FROM look WHERE digest = ?1")?;
    let mut rows = statement.query([digest.as_bytes()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let no = found.get(0)?;
    if found.get(1)? {
        return Ok(Some(Known { no, missing: Vec::new() }));
    }
    let look = read(&found.get::<_, Vec<u8>>(2)?, digest)?;
    let missing = missing(sql, &look)?;
    if missing.is_empty() {
        // The last section came with a delivery for another host.
        sql.prepare_cached("UPDATE look SET complete = 1 WHERE no = ?1")?.execute([no])?;
    }
    Ok(Some(Known { no, missing }))
}

fn put(sql: &Connection, digest: &Digest, look: &Look) -> Step<Known> {
    let missing = missing(sql, look)?;
    sql.prepare_cached("INSERT INTO look (digest, entries, complete) VALUES (?1, ?2, ?3)")?.execute((
        digest.as_bytes(),
        canonical::look_bytes(look),
        missing.is_empty(),
    ))?;
    Ok(Known { no: sql.last_insert_rowid(), missing })
}

/// The sections of a look that are not here, each once.
pub(super) fn missing(sql: &Connection, look: &Look) -> Step<Vec<Digest>> {
    let mut missing = Vec::new();
    for digest in look.entries().iter().filter_map(|entry| entry.section) {
        if !missing.contains(&digest) && section::number(sql, &digest)?.is_none() {
            missing.push(digest);
        }
    }
    Ok(missing)
}

/// Points the host to a complete look, writes the history, and puts the host on the docket.
fn make_current(desk: &mut Desk<'_>, host: &HostRow, look: i64, observed_at: Timestamp, now: Timestamp) -> Step<()> {
    if host.look == Some(look) {
        return Ok(());
    }
    let sql = desk.sql;
    // The history is ordered, also when the clock was set back or two looks come within a millisecond.
    let since = host.look_since.map_or(now, |last| now.max(Timestamp::from_millis(last.millis().saturating_add(1))));
    sql.prepare_cached("UPDATE host_look SET until = ?2 WHERE host = ?1 AND until IS NULL")?
        .execute((host.no, since.millis()))?;
    sql.prepare_cached("INSERT INTO host_look (host, since, observed_at, look) VALUES (?1, ?2, ?3, ?4)")?.execute((
        host.no,
        since.millis(),
        observed_at.millis(),
        look,
    ))?;
    sql.prepare_cached("UPDATE host SET look = ?2, look_since = ?3, look_observed_at = ?4 WHERE no = ?1")?
        .execute((host.no, look, since.millis(), observed_at.millis()))?;
    docket::put(desk, host.no, now)
}
