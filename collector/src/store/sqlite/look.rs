//! Looks: kept once, and the pointer of a host to its current one. A look becomes current when all its sections are
//! here, in the transaction in which the last of them came, and once.

use muster_proto::canonical;
use muster_proto::model::{Digest, Look, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use super::memory::{self, Seen};
use super::section::Packed;
use super::writer::Desk;
use super::{docket, row, section};
use crate::store::{CheckIn, CheckInAnswer, Delivered, LookDelivery, look_codec};

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
}

/// A delivery, with its sections in interned form.
pub(super) struct Parcel {
    pub(super) deed: LookDelivery,
    pub(super) packed: Vec<Packed>,
}

pub(super) fn get(sql: &Connection, digest: &Digest) -> Step<Option<Look>> {
    let find = "SELECT entries, complete FROM look WHERE digest = ?1";
    let found: Option<(Vec<u8>, bool)> =
        sql.prepare_cached(find)?.query_row([digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(bytes, complete)| read(sql, digest, &bytes, complete)).transpose()
}

/// The look of stored bytes: canonical ones, or when it is complete those that name its sections by number.
pub(super) fn read(sql: &Connection, digest: &Digest, bytes: &[u8], complete: bool) -> Step<Look> {
    let damaged = |reason: String| Fault::damaged(format!("look {}", digest.short()), reason);
    if !complete {
        return canonical::read_look(bytes).map_err(|error| damaged(error.to_string()));
    }
    look_codec::decode(bytes, |number| section::digest(sql, number)).map_err(|fault| match fault {
        Fault::Damaged { what, reason } => damaged(format!("{what}: {reason}")),
        other @ (Fault::Full | Fault::Closed | Fault::Other(_)) => other,
    })
}

pub(super) fn check_in(desk: &mut Desk<'_>, deed: &CheckIn) -> Step<CheckInAnswer> {
    let Some(host) = host_row(desk, deed.host)? else { return Ok(CheckInAnswer::HostUnknown) };
    let known = known(desk.sql, &deed.look)?;
    let current = known.as_ref().is_some_and(|known| host.look == Some(known.no));
    if desk.seen(deed.host).is_some_and(|seen| seen.covers(deed.run, deed.seq)) {
        return Ok(CheckInAnswer::Replayed { current });
    }
    let mut changed = false;
    if let Some(facts) = &deed.facts {
        changed |= super::host::facts_put(desk, host.no, facts)?;
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
    desk.saw(deed.host, Seen::advanced(desk.seen(deed.host), deed.run, deed.seq, deed.now));
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

pub(super) fn deliver(desk: &mut Desk<'_>, parcel: &Parcel) -> Step<Delivered> {
    let Parcel { deed, packed } = parcel;
    let Some(host) = host_row(desk, deed.host)? else { return Ok(Delivered::HostUnknown) };
    let mut sections = Vec::with_capacity(packed.len());
    for one in packed {
        sections.push((one.digest, section::put(desk.sql, one)?));
    }
    let (fresh, look) = (deed.sections.clone(), deed.look.clone().map(|look| (deed.digest, look)));
    desk.after_commit(move |memory| memory.recent().keep(fresh, look));
    let known = match (known(desk.sql, &deed.digest)?, &deed.look) {
        (Some(known), _) => known,
        (None, Some(look)) => put(desk.sql, &deed.digest, look, &sections)?,
        (None, None) => return Ok(Delivered::LookWanted),
    };
    if !known.missing.is_empty() {
        return Ok(Delivered::SectionsWanted(known.missing));
    }
    // Late: the same process has told of something newer since. What came is kept, the pointer stays.
    let before = desk.seen(deed.host);
    let late = before.is_some_and(|seen| match seen.previous {
        _ if seen.run == deed.run => deed.seq < seen.seq,
        Some((run, _)) => run == deed.run,
        None => false,
    });
    if !late {
        make_current(desk, &host, known.no, deed.observed_at, deed.now)?;
        desk.saw(deed.host, Seen::advanced(before, deed.run, deed.seq, deed.now));
        let (id, run, seq, now, look) = (deed.host, deed.run, deed.seq, deed.now, deed.digest);
        desk.after_commit(move |memory| memory.note(id, run, seq, now, |live| live.look = Some(look)));
    }
    Ok(Delivered::Accepted)
}

fn host_row(desk: &Desk<'_>, host: muster_proto::model::HostId) -> Step<Option<HostRow>> {
    let Some(no) = desk.memory.host_no(host) else { return Ok(None) };
    let mut statement = desk.sql.prepare_cached("SELECT look, look_since, judged_at FROM host WHERE no = ?1")?;
    let mut rows = statement.query([no])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(HostRow {
        no,
        look: found.get(0)?,
        look_since: row::maybe_instant(found, 1)?,
        judged_at: row::maybe_instant(found, 2)?,
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
    let look = read(sql, digest, &found.get::<_, Vec<u8>>(2)?, false)?;
    let numbers = numbers(sql, &look, &[])?;
    if let Ok(numbers) = &numbers {
        // The last section has come, perhaps with a delivery for another host.
        sql.prepare_cached("UPDATE look SET complete = 1, entries = ?2 WHERE no = ?1")?
            .execute((no, look_codec::encode(&look, numbers)))?;
        is_of(sql, no, numbers)?;
    }
    Ok(Some(Known { no, missing: numbers.err().unwrap_or_default() }))
}

fn put(sql: &Connection, digest: &Digest, look: &Look, here: &[(Digest, i64)]) -> Step<Known> {
    let numbers = numbers(sql, look, here)?;
    let entries = match &numbers {
        Ok(numbers) => look_codec::encode(look, numbers),
        Err(_) => canonical::look_bytes(look),
    };
    sql.prepare_cached("INSERT INTO look (digest, entries, complete) VALUES (?1, ?2, ?3)")?.execute((
        digest.as_bytes(),
        entries,
        numbers.is_ok(),
    ))?;
    let no = sql.last_insert_rowid();
    if let Ok(numbers) = &numbers {
        is_of(sql, no, numbers)?;
    }
    Ok(Known { no, missing: numbers.err().unwrap_or_default() })
}

/// Notes the sections of a complete look. Two sources may have seen the same: one section.
fn is_of(sql: &Connection, look: i64, sections: &[i64]) -> Step<()> {
    let mut statement =
        sql.prepare_cached("INSERT INTO look_section (section, look) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for section in sections {
        statement.execute((section, look))?;
    }
    Ok(())
}

/// The number of each section of a look in turn; or those sections that are not here, each once.
fn numbers(sql: &Connection, look: &Look, here: &[(Digest, i64)]) -> Step<Result<Vec<i64>, Vec<Digest>>> {
    let (mut numbers, mut missing) = (Vec::new(), Vec::new());
    for digest in look.entries().iter().filter_map(|entry| entry.section) {
        let known = here.iter().find(|(one, _)| *one == digest).map(|(_, number)| *number);
        match known.map_or_else(|| section::number(sql, &digest), |known| Ok(Some(known)))? {
            Some(number) => numbers.push(number),
            None if !missing.contains(&digest) => missing.push(digest),
            None => {}
        }
    }
    Ok(if missing.is_empty() { Ok(numbers) } else { Err(missing) })
}

/// Points the host to a complete look, keeps the one before in its history, and puts the host on the docket.
fn make_current(desk: &mut Desk<'_>, host: &HostRow, look: i64, observed_at: Timestamp, now: Timestamp) -> Step<()> {
    if host.look == Some(look) {
        return Ok(());
    }
    if host.look.is_some() {
        desk.sql
            .prepare_cached(
                "INSERT INTO host_look (host, since, observed_at, look)
                 SELECT no, look_since, look_observed_at, look FROM host WHERE no = ?1",
            )?
            .execute([host.no])?;
    }
    // The history is ordered, also when the clock was set back or two looks come within a millisecond.
    let since = host.look_since.map_or(now, |last| now.max(Timestamp::from_millis(last.millis().saturating_add(1))));
    let ticket = desk.memory.next_ticket();
    desk.sql
        .prepare_cached(
            "UPDATE host SET look = ?2, look_since = ?3, look_observed_at = ?4, ticket = ?5,
                 waits_since = coalesce(waits_since, ?6) WHERE no = ?1",
        )?
        .execute((host.no, look, since.millis(), observed_at.millis(), ticket, now.millis()))?;
    docket::is_put(desk, host.no, ticket, now);
    Ok(())
}
