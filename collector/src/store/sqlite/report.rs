//! Check-ins and deliveries: loads the host and the snapshot that a report names, has it decided, and writes.

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostFacts, HostId, Platform, RunId, Timestamp};

use super::fault::Step;
use super::section::Packed;
use super::snapshot;
use super::writer::WriteContext;
use super::{facts, gap, judge_queue, mark, memory, row, section};
use crate::store::contradiction::SectionRow;
use crate::store::decide::marks;
use crate::store::decide::report::{
    self, Arrival, CurrentSnapshot, Differs, HostBefore, HostChange, SnapshotChange, differs, fingerprint_after,
    is_other_machine,
};
use crate::store::{CheckIn, CheckInAnswer, Delivered, Delivery, HeldBack};

/// A delivery, with its sections in interned form.
pub(super) struct ReceivedSnapshot {
    pub(super) operation: Delivery,
    pub(super) packed: Vec<Packed>,
    /// Why sections of it are left out.
    pub(super) held_back: Option<HeldBack>,
}

/// The row of a host, as far as a report needs it. Facts and state are loaded only to be compared.
struct LoadedHost {
    no: i64,
    before: HostBefore<i64>,
    facts: Option<HostFacts>,
    fingerprint: Vec<u8>,
    state: Option<Vec<u8>>,
}

pub(super) fn check_in(context: &mut WriteContext<'_>, operation: &CheckIn) -> Step<CheckInAnswer> {
    let is_compared = operation.facts.is_some() || operation.state.is_some();
    let Some(mut host) = load(context, operation.host, is_compared)? else { return Ok(CheckInAnswer::HostUnknown) };
    if let Some(facts) = &operation.facts {
        host.before.platform = facts.platform;
    }
    let named = snapshot::known(context.sql, &operation.snapshot)?;
    let state = operation.state.as_ref().map(stored::state_bytes);
    let fingerprint = fingerprint_after(&host.fingerprint, &operation.fingerprint);
    let has_facts = operation.facts.is_some();
    let is_other = Differs {
        facts: differs(host.facts.as_ref(), operation.facts.as_ref()) || (has_facts && fingerprint != host.fingerprint),
        machine: has_facts && is_other_machine(&host.fingerprint, &operation.fingerprint),
        state: differs(host.state.as_ref(), state.as_ref()),
        is_whole: has_facts && operation.state.is_some(),
    };
    let (answer, change) = report::check_in(&host.before, Arrival::from(operation), is_other, named);
    let Some(change) = change else { return Ok(answer) };
    if answer == CheckInAnswer::NewRun {
        return note_return(context, operation.host, Arrival::from(operation).run, &change).map(|()| answer);
    }
    change.charge(&operation.allowance);
    if let Some(facts) = operation.facts.as_ref().filter(|_| change.has_new_facts) {
        write_facts(context, host.no, facts, fingerprint)?;
    }
    if let Some(sign) = change.two_holders
        && mark::two_holders(context.sql, (host.no, operation.host), sign, operation.now)?
    {
        let id = operation.host;
        context.after_commit(move |_| marks::log_two_holders(id, sign));
    }
    if let Some(state) = state.filter(|_| change.has_new_state) {
        context.sql.prepare_cached("UPDATE host SET state = ?2 WHERE no = ?1")?.execute((host.no, state))?;
    }
    // Another report of this host in the same transaction must see this one.
    context.note_seen(operation.host, change.seen);
    remember(context, operation, &answer, &change);
    // Last: who judges the host finds in memory when it was seen.
    write(context, host.no, &change, operation.now)?;
    Ok(answer)
}

/// What the memory learns of a check-in.
fn remember(context: &mut WriteContext<'_>, operation: &CheckIn, answer: &CheckInAnswer, change: &HostChange<i64>) {
    if *answer == CheckInAnswer::Throttled {
        let (id, now) = (operation.host, change.seen.last_seen);
        return context.after_commit(move |memory| memory.renew(id, now));
    }
    let (id, arrival) = (operation.host, Arrival::from(operation));
    // With any other answer, the snapshot that it names is not the current one yet.
    let is_current = matches!(answer, CheckInAnswer::Current | CheckInAnswer::StateWanted);
    let snapshot = is_current.then_some(operation.snapshot);
    let facts = operation.facts.as_ref().map(|facts| memory::facts_key(facts, &operation.fingerprint));
    let state = operation.state.as_ref().map(memory::state_key);
    context.after_commit(move |memory| {
        memory.note(id, arrival.run, arrival.seq, arrival.now, |live| {
            live.snapshot = snapshot.or(live.snapshot);
            live.facts = facts.or(live.facts);
            live.state = state.or(live.state);
        });
    });
}

pub(super) fn deliver(context: &mut WriteContext<'_>, received: &ReceivedSnapshot) -> Step<Delivered> {
    let ReceivedSnapshot { operation, packed, held_back } = received;
    let Some(host) = load(context, operation.host, false)? else { return Ok(Delivered::HostUnknown) };
    let mut sections: Vec<(Digest, SectionRow)> = Vec::with_capacity(packed.len());
    for (one, section) in packed.iter().zip(&operation.sections) {
        let one = one.current(section, context.memory.dictionaries())?;
        sections.push((one.digest, section::put(context.sql, context.memory, &one)?));
    }
    let (fresh, snapshot) =
        (operation.sections.clone(), operation.snapshot.clone().map(|snapshot| (operation.digest, snapshot)));
    // Kept even if the delivery is late or incomplete, because its sections are stored either way.
    context.after_commit(move |memory| memory.recent().keep(fresh, snapshot));
    let delivered = match (snapshot::known(context.sql, &operation.digest)?, &operation.snapshot) {
        (None, Some(snapshot)) => {
            Some(snapshot::put(context.sql, context.memory, &operation.digest, snapshot, &sections)?)
        }
        (known, _) => known,
    };
    let arrival = Arrival::from(operation);
    let (answer, change) = report::deliver(&host.before, arrival, delivered);
    let answer = report::without(*held_back, answer);
    let Some(change) = change else { return Ok(answer) };
    if answer == Delivered::NewRun {
        return note_return(context, operation.host, arrival.run, &change).map(|()| answer);
    }
    context.note_seen(operation.host, change.seen);
    let (id, snapshot) = (operation.host, operation.digest);
    context.after_commit(move |memory| {
        memory.note(id, arrival.run, arrival.seq, arrival.now, |live| live.snapshot = Some(snapshot));
    });
    // Last, as for a check-in.
    write(context, host.no, &change, operation.now)?;
    Ok(answer)
}

/// Notes that a run was told to draw a new id. The flush writes it.
fn note_return(context: &mut WriteContext<'_>, host: HostId, run: RunId, change: &HostChange<i64>) -> Step<()> {
    context.note_seen(host, change.seen);
    context.after_commit(move |memory| memory.note_return(host, run));
    Ok(())
}

fn load(context: &WriteContext<'_>, id: HostId, is_compared: bool) -> Step<Option<LoadedHost>> {
    const HOST: &str =
        "SELECT snapshot, snapshot_since, snapshot_observed_at, judged_at, ticket IS NOT NULL, enrolled_at, platform
                        FROM host WHERE no = ?1";
    // The memory knows every host of the file, so an unknown id needs no query.
    let Some(no) = context.memory.host_no(id) else { return Ok(None) };
    let mut statement = if is_compared {
        let find = format!(
            "SELECT snapshot, snapshot_since, snapshot_observed_at, judged_at, ticket IS NOT NULL, enrolled_at, platform,
                 state, fingerprint, {}
             FROM host h WHERE no = ?1",
            facts::COLUMNS
        );
        context.sql.prepare_cached(&find)?
    } else {
        context.sql.prepare_cached(HOST)?
    };
    let mut rows = statement.query([no])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let current = match (found.get(0)?, row::maybe_instant(found, 1)?, row::maybe_instant(found, 2)?) {
        (Some(snapshot), Some(since), Some(observed_at)) => Some(CurrentSnapshot { snapshot, since, observed_at }),
        _ => None,
    };
    Ok(Some(LoadedHost {
        no,
        before: HostBefore {
            current,
            judged_at: row::maybe_instant(found, 3)?,
            is_queued: found.get(4)?,
            seen: context.seen(id),
            enrolled_at: row::instant(found, 5)?,
            platform: row::member("a platform", Platform::from_code, found, 6)?,
        },
        facts: if is_compared { Some(facts::facts(found, 9, context.memory.dictionaries())?) } else { None },
        fingerprint: if is_compared { found.get(8)? } else { Vec::new() },
        state: if is_compared { found.get(7)? } else { None },
    }))
}

fn write(context: &mut WriteContext<'_>, host: i64, change: &HostChange<i64>, now: Timestamp) -> Step<()> {
    if let Some(gap) = &change.gap {
        gap::put(context.sql, host, gap)?;
    }
    match &change.snapshot {
        // A new snapshot always queues the host, with the same update of its row.
        Some(snapshot) => write_snapshot(context, host, snapshot, now),
        None if change.is_queued => judge_queue::put(context, host, now),
        None => Ok(()),
    }
}

/// Points the host to its new snapshot and puts it on the judge queue: one update of its row.
fn write_snapshot(context: &mut WriteContext<'_>, host: i64, change: &SnapshotChange<i64>, now: Timestamp) -> Step<()> {
    if let Some(before) = &change.before {
        context
            .sql
            .prepare_cached("INSERT INTO host_snapshot (host, since, observed_at, snapshot) VALUES (?1, ?2, ?3, ?4)")?
            .execute((host, before.since.millis(), before.observed_at.millis(), before.snapshot))?;
    }
    let ticket = context.memory.next_ticket();
    let CurrentSnapshot { snapshot, since, observed_at } = change.now;
    context
        .sql
        .prepare_cached(
            "UPDATE host SET snapshot = ?2, snapshot_since = ?3, snapshot_observed_at = ?4, ticket = ?5,
                 queued_at = coalesce(queued_at, ?6) WHERE no = ?1",
        )?
        .execute((host, snapshot, since.millis(), observed_at.millis(), ticket, now.millis()))?;
    judge_queue::requeued(context, host, ticket, now);
    Ok(())
}

fn write_facts(context: &WriteContext<'_>, host: i64, facts: &HostFacts, fingerprint: &[u8]) -> Step<()> {
    let phrases = context.memory.dictionaries();
    context
        .sql
        .prepare_cached(
            "UPDATE host SET hostname = ?2, platform = ?3, os_name = ?4, kernel = ?5, architecture = ?6,
                 agent_version = ?7, offline_root = ?8, fingerprint = ?9, identity = ?10 WHERE no = ?1",
        )?
        .execute((
            host,
            &facts.hostname,
            facts.platform.code(),
            phrases.phrase(&facts.os_name),
            phrases.phrase(&facts.kernel),
            phrases.phrase(&facts.architecture),
            phrases.phrase(&facts.agent_version),
            facts.offline_root,
            fingerprint,
            stored::identity_bytes(&facts.identity),
        ))?;
    facts::note_identity(context.sql, host)
}
