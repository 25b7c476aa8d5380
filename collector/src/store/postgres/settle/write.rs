//! Writes what a settlement changes: one statement for each table, over arrays.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostState, Timestamp};

use super::Numbers;
use crate::judge::Hit;
use crate::ledger::actor::ActorId;
use crate::ledger::entry::Entry as LedgerContent;
use crate::store::decide::settle::{Changes, EndedVerdict, VerdictRow};
use crate::store::postgres::fault::Step;
use crate::store::postgres::session::{Session, Values};
use crate::store::postgres::{ledger, row, section_hits, tally};

const VERDICTS: &str = "
    INSERT INTO verdict (host, order_no, lane, in_scope, presence, protection, due, since, reason, advice, cause)
    SELECT * FROM unnest($1::int4[], $2::int4[], $3::int2[], $4::bool[], $5::int2[], $6::int2[], $7::int8[], $8::int8[],
                         $9::int4[], $10::int4[], $11::int2[])
    ON CONFLICT (host, order_no) DO UPDATE SET lane = excluded.lane, in_scope = excluded.in_scope,
        presence = excluded.presence, protection = excluded.protection, due = excluded.due, since = excluded.since,
        reason = excluded.reason, advice = excluded.advice, cause = excluded.cause";

const WITHDRAWN: &str = "
    DELETE FROM verdict v USING unnest($1::int4[], $2::int4[]) AS u (host, order_no) WHERE v.host = u.host AND v.order_no = u.order_no";

const HISTORY: &str = "
    INSERT INTO verdict_history (host, order_no, since, until, lane, in_scope, cause)
    SELECT * FROM unnest($1::int4[], $2::int4[], $3::int8[], $4::int8[], $5::int2[], $6::bool[], $7::int2[])";

const REMEDIATIONS: &str = "
    INSERT INTO host_remediation (host, order_no, unprotected_since, record)
    SELECT * FROM unnest($1::int4[], $2::int4[], $3::int8[], $4::text[])
    ON CONFLICT (host, order_no) DO UPDATE SET unprotected_since = excluded.unprotected_since, record = excluded.record";

const FORGOTTEN: &str = "
    DELETE FROM host_remediation r USING unnest($1::int4[], $2::int4[]) AS u (host, order_no) WHERE r.host = u.host AND r.order_no = u.order_no";

/// A row that is there already is locked, in the order in which the job that opens duties deletes them: the job then waits for this
/// record before it reads it.
const DUTIES_PENDING: &str = "
    INSERT INTO duty_pending (host, order_no) SELECT * FROM unnest($1::int4[], $2::int4[]) ORDER BY 1, 2
    ON CONFLICT (host, order_no) DO UPDATE SET order_no = excluded.order_no";

/// Rows come in the order of their keys; most exist already.
const STATES: &str = "
    INSERT INTO judged_state (state_key, state)
    SELECT u.key, u.state FROM unnest($1::bytea[], $2::bytea[]) AS u (key, state)
    WHERE NOT EXISTS (SELECT 1 FROM judged_state s WHERE s.state_key = u.key)
    ON CONFLICT (state_key) DO NOTHING";

const STATE_HISTORY: &str = "
    INSERT INTO host_state (host, since, judged_state) SELECT * FROM unnest($1::int4[], $2::int8[], $3::int4[])";

/// A host whose judged state has not changed has no key here.
const JUDGED: &str = "
    UPDATE host_current n SET judged_at = $2, judged_rules = $5, judged_state = coalesce(s.no, n.judged_state),
        state_since = coalesce(u.since, n.state_since)
    FROM unnest($1::int4[], $3::bytea[], $4::int8[]) AS u (host, key, since)
    LEFT JOIN judged_state s ON s.state_key = u.key WHERE n.host = u.host";

const NOT_QUEUED: &str = "DELETE FROM judge_queue WHERE host = ANY ($1::int4[])";

/// Writes the changes without waiting for one statement before the next is sent. `states` are the stored states of
/// hosts, `entries` those of the ledger.
pub(super) async fn write(
    session: &Session,
    numbers: &Numbers<'_>,
    states: &HashMap<i32, Vec<u8>>,
    changes: Changes<'_, i32>,
    hits: &BTreeMap<Digest, Vec<Hit>>,
    entries: Vec<LedgerContent>,
) -> Step<()> {
    let statements = [
        VERDICTS,
        WITHDRAWN,
        HISTORY,
        REMEDIATIONS,
        FORGOTTEN,
        DUTIES_PENDING,
        STATES,
        STATE_HISTORY,
        JUDGED,
        NOT_QUEUED,
    ];
    session.prepare(&statements).await?;
    session.prepare(&ledger::STATEMENTS).await?;
    session.prepare(&[tally::APPLY, section_hits::HITS_PUT]).await?;
    let hosts: Vec<i32> = changes.hosts.iter().copied().collect();
    let new_states = new_states(&changes, states)?;
    let off_queue: Values<'_> = &[&hosts];
    // In the order of locks at the head of `writer`; `biased` sends the statements in this order.
    let outcomes = tokio::join!(
        biased;
        session.execute(NOT_QUEUED, off_queue),
        put_pairs(session, WITHDRAWN, &changes.withdrawn),
        put_verdicts(session, &changes.verdicts),
        put_history(session, &changes.history),
        put_remediations(session, &changes),
        put_states(session, &changes, &hosts, &new_states, numbers.rules),
        section_hits::hits_put(session, hits, numbers.rules),
        ledger::write_all(session, changes.now, &ActorId::Judge, entries.into_iter()),
        tally::apply(session, &changes.tally),
    );
    // The first that failed is the reason; those behind it only say that the transaction is lost.
    outcomes.0?;
    outcomes.1?;
    outcomes.2?;
    outcomes.3?;
    outcomes.4?;
    outcomes.5?;
    outcomes.6?;
    outcomes.7?;
    outcomes.8
}

/// A shared state for each key that is judged now and was not before.
fn new_states<'j>(changes: &Changes<'j, i32>, states: &HashMap<i32, Vec<u8>>) -> Step<BTreeMap<&'j Digest, Vec<u8>>> {
    let mut new = BTreeMap::new();
    for (host, (key, _)) in &changes.states {
        if let Entry::Vacant(place) = new.entry(*key) {
            let state = states.get(host).map_or_else(|| Ok(HostState::default()), |bytes| row::state_of(bytes))?;
            place.insert(stored::state_bytes(&state.shared()));
        }
    }
    Ok(new)
}

async fn put_verdicts(session: &Session, verdicts: &[(i32, i32, VerdictRow<i32>)]) -> Step<()> {
    if verdicts.is_empty() {
        return Ok(());
    }
    let of = |read: fn(&VerdictRow<i32>) -> i32| verdicts.iter().map(|(.., verdict)| read(verdict)).collect::<Vec<_>>();
    let code = |read: fn(&VerdictRow<i32>) -> u8| -> Vec<i16> {
        verdicts.iter().map(|(.., verdict)| row::code(read(verdict))).collect()
    };
    let hosts: Vec<i32> = verdicts.iter().map(|(host, ..)| *host).collect();
    let orders: Vec<i32> = verdicts.iter().map(|(_, order, _)| *order).collect();
    let lanes = code(|verdict| verdict.lane.code());
    let scopes: Vec<bool> = verdicts.iter().map(|(.., verdict)| verdict.in_scope).collect();
    let presences = code(|verdict| verdict.presence.code());
    let protections = code(|verdict| verdict.protection.code());
    let due: Vec<Option<i64>> = verdicts.iter().map(|(.., verdict)| verdict.due.map(Timestamp::millis)).collect();
    let since: Vec<i64> = verdicts.iter().map(|(.., verdict)| verdict.since.millis()).collect();
    let (reasons, advice) = (of(|verdict| verdict.reason), of(|verdict| verdict.advice));
    let causes = code(|verdict| verdict.cause.code());
    let values: Values<'_> =
        &[&hosts, &orders, &lanes, &scopes, &presences, &protections, &due, &since, &reasons, &advice, &causes];
    session.execute(VERDICTS, values).await?;
    Ok(())
}

async fn put_history(session: &Session, history: &[EndedVerdict<i32>]) -> Step<()> {
    if history.is_empty() {
        return Ok(());
    }
    let hosts: Vec<i32> = history.iter().map(|old| old.host).collect();
    let orders: Vec<i32> = history.iter().map(|old| old.order).collect();
    let since: Vec<i64> = history.iter().map(|old| old.since.millis()).collect();
    let until: Vec<i64> = history.iter().map(|old| old.until.millis()).collect();
    let lanes: Vec<i16> = history.iter().map(|old| row::code(old.lane.code())).collect();
    let scopes: Vec<bool> = history.iter().map(|old| old.in_scope).collect();
    let causes: Vec<i16> = history.iter().map(|old| row::code(old.cause.code())).collect();
    session.execute(HISTORY, &[&hosts, &orders, &since, &until, &lanes, &scopes, &causes]).await?;
    Ok(())
}

async fn put_remediations(session: &Session, changes: &Changes<'_, i32>) -> Step<()> {
    let Changes { remediations, duties_pending, forgotten, .. } = changes;
    if !remediations.is_empty() {
        let hosts: Vec<i32> = remediations.iter().map(|(host, ..)| *host).collect();
        let orders: Vec<i32> = remediations.iter().map(|(_, order, _)| *order).collect();
        let unprotected: Vec<Option<i64>> =
            remediations.iter().map(|(.., new)| new.unprotected_since.map(Timestamp::millis)).collect();
        let records: Vec<&str> = remediations.iter().map(|(.., new)| new.record.as_str()).collect();
        session.execute(REMEDIATIONS, &[&hosts, &orders, &unprotected, &records]).await?;
    }
    put_pairs(session, DUTIES_PENDING, duties_pending).await?;
    put_pairs(session, FORGOTTEN, forgotten).await
}

async fn put_states(
    session: &Session,
    changes: &Changes<'_, i32>,
    hosts: &[i32],
    new: &BTreeMap<&Digest, Vec<u8>>,
    rules: i32,
) -> Step<()> {
    let (keys, states): (Vec<&[u8]>, Vec<&[u8]>) =
        new.iter().map(|(key, state)| (key.as_bytes().as_slice(), state.as_slice())).unzip();
    let made = async { if keys.is_empty() { Ok(0) } else { session.execute(STATES, &[&keys, &states]).await } };
    let history = &changes.state_history;
    let (past, numbers): (Vec<i32>, Vec<i32>) = history.iter().map(|(host, no, _)| (*host, *no)).unzip();
    let since: Vec<i64> = history.iter().map(|(.., since)| since.millis()).collect();
    let history: Values<'_> = &[&past, &since, &numbers];
    let history = async { if past.is_empty() { Ok(0) } else { session.execute(STATE_HISTORY, history).await } };
    let of_hosts: Vec<Option<&[u8]>> =
        hosts.iter().map(|host| changes.states.get(host).map(|(key, _)| key.as_bytes().as_slice())).collect();
    let from: Vec<Option<i64>> =
        hosts.iter().map(|host| changes.states.get(host).map(|(_, since)| since.millis())).collect();
    let now = changes.now.millis();
    let judged: Values<'_> = &[&hosts, &now, &of_hosts, &from, &rules];
    // JUDGED finds new states by their keys, so they are made first.
    let (made, history, judged) = tokio::join!(biased; made, history, session.execute(JUDGED, judged));
    made?;
    history?;
    judged?;
    Ok(())
}

async fn put_pairs(session: &Session, statement: &'static str, pairs: &[(i32, i32)]) -> Step<()> {
    if !pairs.is_empty() {
        let (hosts, orders): (Vec<i32>, Vec<i32>) = pairs.iter().copied().unzip();
        session.execute(statement, &[&hosts, &orders]).await?;
    }
    Ok(())
}
