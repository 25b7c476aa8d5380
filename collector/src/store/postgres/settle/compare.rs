//! A judgement held against what stands: only what differs is written.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostState, Lane, Timestamp};

use super::{Before, Numbers, Verdict, ledger, row, section_hits, tally};
use crate::judge::{Hit, Remediation};
use crate::ledger::entry::{LaneChange, LaneChanges};
use crate::store::postgres::fault::Step;
use crate::store::postgres::session::{Session, Values};
use crate::store::{JudgedOrder, Judgement};

const VERDICTS: &str = "
    INSERT INTO verdict (host, order_no, lane, in_scope, presence, protection, due, since, reason, advice, rules)
    SELECT * FROM unnest($1::int4[], $2::int4[], $3::int2[], $4::bool[], $5::int2[], $6::int2[], $7::int8[], $8::int8[],
                         $9::int4[], $10::int4[], $11::int4[])
    ON CONFLICT (host, order_no) DO UPDATE SET lane = excluded.lane, in_scope = excluded.in_scope,
        presence = excluded.presence, protection = excluded.protection, due = excluded.due, since = excluded.since,
        reason = excluded.reason, advice = excluded.advice, rules = excluded.rules";

const WITHDRAWN: &str = "
    DELETE FROM verdict v USING unnest($1::int4[], $2::int4[]) AS u (host, order_no) WHERE v.host = u.host AND v.order_no = u.order_no";

const HISTORY: &str = "
    INSERT INTO verdict_history (host, order_no, since, until, lane, in_scope)
    SELECT * FROM unnest($1::int4[], $2::int4[], $3::int8[], $4::int8[], $5::int2[], $6::bool[])";

const CASES: &str = "
    INSERT INTO host_remediation (host, order_no, record) SELECT * FROM unnest($1::int4[], $2::int4[], $3::text[])
    ON CONFLICT (host, order_no) DO UPDATE SET record = excluded.record";

const FORGOTTEN: &str = "
    DELETE FROM host_remediation c USING unnest($1::int4[], $2::int4[]) AS u (host, order_no) WHERE c.host = u.host AND c.order_no = u.order_no";

/// Rows come in the order of their keys, and mostly are there already.
const STATES: &str = "
    INSERT INTO judged_state (state_key, state)
    SELECT u.key, u.state FROM unnest($1::bytea[], $2::bytea[]) AS u (key, state)
    WHERE NOT EXISTS (SELECT 1 FROM judged_state s WHERE s.state_key = u.key)
    ON CONFLICT (state_key) DO NOTHING";

const STATE_HISTORY: &str = "
    INSERT INTO host_state (host, since, judged_state) SELECT * FROM unnest($1::int4[], $2::int8[], $3::int4[])";

/// Of hosts whose judged state has not changed there is no key.
const JUDGED: &str = "
    UPDATE host_current n SET judged_at = $2, judged_state = coalesce(s.no, n.judged_state),
        state_since = coalesce(u.since, n.state_since)
    FROM unnest($1::int4[], $3::bytea[], $4::int8[]) AS u (host, key, since)
    LEFT JOIN judged_state s ON s.state_key = u.key WHERE n.host = u.host";

const NOT_QUEUED: &str = "DELETE FROM judge_queue WHERE host = ANY ($1::int4[])";

/// What is to be written, as columns.
pub(super) struct Comparison<'j> {
    numbers: &'j Numbers<'j>,
    now: Timestamp,
    hosts: BTreeSet<i32>,
    verdicts: Vec<(i32, i32, Verdict)>,
    withdrawn: Vec<(i32, i32)>,
    /// Host, order, what stood, until when.
    history: Vec<(i32, i32, Verdict, Timestamp)>,
    cases: Vec<(i32, i32, String)>,
    forgotten: Vec<(i32, i32)>,
    /// Hosts of which something else is judged now: its key, and since when.
    keys: BTreeMap<i32, (&'j Digest, Timestamp)>,
    /// A state for each of the keys.
    states: BTreeMap<&'j Digest, Vec<u8>>,
    /// Host, what was judged of its state before, since when.
    state_history: Vec<(i32, i32, Timestamp)>,
    tally: tally::Changes,
    ledger: LaneChanges,
}

impl<'j> Comparison<'j> {
    pub(super) fn new(numbers: &'j Numbers<'j>, now: Timestamp) -> Self {
        Self {
            numbers,
            now,
            hosts: BTreeSet::new(),
            verdicts: Vec::new(),
            withdrawn: Vec::new(),
            history: Vec::new(),
            cases: Vec::new(),
            forgotten: Vec::new(),
            keys: BTreeMap::new(),
            states: BTreeMap::new(),
            state_history: Vec::new(),
            tally: tally::Changes::new(),
            ledger: LaneChanges::default(),
        }
    }

    /// Whether this is the first judgement of the host here.
    pub(super) fn is_new(&mut self, host: i32) -> bool {
        self.hosts.insert(host)
    }

    pub(super) fn judge(&mut self, host: i32, judgement: &'j Judgement, before: &Before) -> Step<()> {
        let mut verdicts = before.verdicts.get(&host).cloned().unwrap_or_default();
        let mut changes = Vec::new();
        for judged in &judgement.orders {
            let order = self.numbers.order(judged.order.as_str())?;
            changes.extend(self.judge_order(host, order, judged, verdicts.remove(&order), before)?);
            self.keep_case(host, order, &judged.case, before)?;
        }
        for (order, verdict) in verdicts {
            changes.push(self.withdraw(host, order, verdict));
        }
        self.ledger.add(judgement.host, changes);
        self.keep_state(host, judgement, before)
    }

    fn judge_order(
        &mut self,
        host: i32,
        order: i32,
        judged: &JudgedOrder,
        old: Option<Verdict>,
        before: &Before,
    ) -> Step<Option<LaneChange>> {
        let stays = old.as_ref().filter(|old| old.lane == judged.awake_lane && old.in_scope == judged.in_scope);
        let since = match (stays, &old) {
            (Some(old), _) => old.since,
            // The history is ordered, also when the clock was set back.
            (None, Some(old)) => self.after(old),
            // After the end of an earlier history, if there was one.
            (None, None) => before.ends.get(&(host, order)).map_or(self.now, |last| self.now.max(*last)),
        };
        let stands = Verdict {
            id: judged.order.clone(),
            lane: judged.awake_lane,
            in_scope: judged.in_scope,
            presence: judged.presence,
            protection: judged.protection,
            due: judged.due,
            since,
            reason: self.numbers.phrase(&judged.reason)?,
            advice: self.numbers.phrase(&judged.advice)?,
            rules: self.numbers.rules,
        };
        let mut change = None;
        let is_same = old.as_ref() == Some(&stands);
        let (lane, in_scope) = (stands.lane, stands.in_scope);
        if stays.is_none() {
            let from = old.as_ref().map(|old| old.lane);
            if let Some(old) = old {
                self.count(order, &old, -1);
                self.history.push((host, order, old, since));
            }
            self.count(order, &stands, 1);
            change = Some(LaneChange { order: judged.order.clone(), from, to: Some(lane), in_scope });
        }
        if !is_same {
            self.verdicts.push((host, order, stands));
        }
        Ok(change)
    }

    /// The order is no longer judged: the verdict goes, its history ends, the case stays.
    fn withdraw(&mut self, host: i32, order: i32, old: Verdict) -> LaneChange {
        self.count(order, &old, -1);
        self.withdrawn.push((host, order));
        let change = LaneChange { order: old.id.clone(), from: Some(old.lane), to: None, in_scope: old.in_scope };
        let until = self.after(&old);
        self.history.push((host, order, old, until));
        change
    }

    /// A case with nothing in it needs no row.
    fn keep_case(&mut self, host: i32, order: i32, case: &Remediation, before: &Before) -> Step<()> {
        let kept = before.cases.get(&host).and_then(|cases| cases.get(&order));
        if *case == Remediation::default() {
            if kept.is_some() {
                self.forgotten.push((host, order));
            }
        } else if kept != Some(case) {
            self.cases.push((host, order, row::to_json(case)?));
        }
        Ok(())
    }

    /// Notes what is judged of the state, when that has changed.
    fn keep_state(&mut self, host: i32, judgement: &'j Judgement, before: &Before) -> Step<()> {
        let (Some(key), Some((state, last))) = (&judgement.state_key, before.states.get(&host)) else { return Ok(()) };
        if last.as_ref().is_some_and(|last| last.key.as_slice() == key.as_bytes()) {
            return Ok(());
        }
        let since = last.as_ref().map_or(self.now, |last| self.now.max(next(last.since)));
        self.state_history.extend(last.as_ref().map(|last| (host, last.no, last.since)));
        self.keys.insert(host, (key, since));
        if let Entry::Vacant(place) = self.states.entry(key) {
            let present = state.as_deref().map_or_else(|| Ok(HostState::default()), row::state_of)?;
            place.insert(stored::state_bytes(&present.shared()));
        }
        Ok(())
    }

    fn count(&mut self, order: i32, verdict: &Verdict, n: i64) {
        *self.tally.entry((order, row::code(verdict.lane.code()), verdict.in_scope)).or_default() += n;
    }

    fn after(&self, old: &Verdict) -> Timestamp {
        self.now.max(next(old.since))
    }

    /// Writes all of it, without waiting for one statement before the next is sent.
    pub(super) async fn write(
        mut self,
        session: &Session,
        hits: &BTreeMap<Digest, Vec<Hit>>,
        rules_version: &str,
    ) -> Step<()> {
        let hosts: Vec<i32> = self.hosts.iter().copied().collect();
        let statements = [VERDICTS, WITHDRAWN, HISTORY, CASES, FORGOTTEN, STATES, STATE_HISTORY, JUDGED, NOT_QUEUED];
        session.prepare(&statements).await?;
        session.prepare(&ledger::STATEMENTS).await?;
        session.prepare(&[tally::APPLY, section_hits::HITS_PUT]).await?;
        let off: Values<'_> = &[&hosts];
        let entries = std::mem::take(&mut self.ledger).into_entries(rules_version);
        let outcomes = tokio::join!(
            biased;
            session.execute(NOT_QUEUED, off),
            self.put_withdrawn(session),
            self.put_verdicts(session),
            self.put_history(session),
            self.put_remediations(session),
            self.put_states(session, &hosts),
            section_hits::hits_put(session, hits, self.numbers.rules),
            ledger::write_all(session, self.now, entries),
            tally::apply(session, &self.tally),
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

    async fn put_verdicts(&self, session: &Session) -> Step<()> {
        if self.verdicts.is_empty() {
            return Ok(());
        }
        let of = |read: fn(&Verdict) -> i32| self.verdicts.iter().map(|(.., stands)| read(stands)).collect::<Vec<_>>();
        let code = |read: fn(&Verdict) -> u8| -> Vec<i16> {
            self.verdicts.iter().map(|(.., stands)| row::code(read(stands))).collect()
        };
        let hosts: Vec<i32> = self.verdicts.iter().map(|(host, ..)| *host).collect();
        let orders: Vec<i32> = self.verdicts.iter().map(|(_, order, _)| *order).collect();
        let lanes = code(|stands| stands.lane.code());
        let scopes: Vec<bool> = self.verdicts.iter().map(|(.., stands)| stands.in_scope).collect();
        let presences = code(|stands| stands.presence.code());
        let protections = code(|stands| stands.protection.code());
        let due: Vec<Option<i64>> =
            self.verdicts.iter().map(|(.., stands)| stands.due.map(Timestamp::millis)).collect();
        let since: Vec<i64> = self.verdicts.iter().map(|(.., stands)| stands.since.millis()).collect();
        let (reasons, advice, rules) =
            (of(|stands| stands.reason), of(|stands| stands.advice), of(|stands| stands.rules));
        let values: Values<'_> =
            &[&hosts, &orders, &lanes, &scopes, &presences, &protections, &due, &since, &reasons, &advice, &rules];
        session.execute(VERDICTS, values).await?;
        Ok(())
    }

    async fn put_withdrawn(&self, session: &Session) -> Step<()> {
        put_pairs(session, WITHDRAWN, &self.withdrawn).await
    }

    async fn put_history(&self, session: &Session) -> Step<()> {
        if self.history.is_empty() {
            return Ok(());
        }
        let hosts: Vec<i32> = self.history.iter().map(|(host, ..)| *host).collect();
        let orders: Vec<i32> = self.history.iter().map(|(_, order, ..)| *order).collect();
        let since: Vec<i64> = self.history.iter().map(|(_, _, old, _)| old.since.millis()).collect();
        let until: Vec<i64> = self.history.iter().map(|(.., until)| until.millis()).collect();
        let lane = |lane: Lane| row::code(lane.code());
        let lanes: Vec<i16> = self.history.iter().map(|(_, _, old, _)| lane(old.lane)).collect();
        let scopes: Vec<bool> = self.history.iter().map(|(_, _, old, _)| old.in_scope).collect();
        session.execute(HISTORY, &[&hosts, &orders, &since, &until, &lanes, &scopes]).await?;
        Ok(())
    }

    async fn put_remediations(&self, session: &Session) -> Step<()> {
        if !self.cases.is_empty() {
            let hosts: Vec<i32> = self.cases.iter().map(|(host, ..)| *host).collect();
            let orders: Vec<i32> = self.cases.iter().map(|(_, order, _)| *order).collect();
            let bodies: Vec<&str> = self.cases.iter().map(|(.., body)| body.as_str()).collect();
            session.execute(CASES, &[&hosts, &orders, &bodies]).await?;
        }
        put_pairs(session, FORGOTTEN, &self.forgotten).await
    }

    async fn put_states(&self, session: &Session, hosts: &[i32]) -> Step<()> {
        let (keys, states): (Vec<&[u8]>, Vec<&[u8]>) =
            self.states.iter().map(|(key, state)| (key.as_bytes().as_slice(), state.as_slice())).unzip();
        let made = async { if keys.is_empty() { Ok(0) } else { session.execute(STATES, &[&keys, &states]).await } };
        let (past, numbers): (Vec<i32>, Vec<i32>) = self.state_history.iter().map(|(host, no, _)| (*host, *no)).unzip();
        let since: Vec<i64> = self.state_history.iter().map(|(.., since)| since.millis()).collect();
        let history: Values<'_> = &[&past, &since, &numbers];
        let history = async { if past.is_empty() { Ok(0) } else { session.execute(STATE_HISTORY, history).await } };
        let of_hosts: Vec<Option<&[u8]>> =
            hosts.iter().map(|host| self.keys.get(host).map(|(key, _)| key.as_bytes().as_slice())).collect();
        let from: Vec<Option<i64>> =
            hosts.iter().map(|host| self.keys.get(host).map(|(_, since)| since.millis())).collect();
        let now = self.now.millis();
        let judged: Values<'_> = &[&hosts, &now, &of_hosts, &from];
        let (made, history, judged) = tokio::join!(biased; made, history, session.execute(JUDGED, judged));
        made?;
        history?;
        judged?;
        Ok(())
    }
}

async fn put_pairs(session: &Session, statement: &'static str, pairs: &[(i32, i32)]) -> Step<()> {
    if !pairs.is_empty() {
        let (hosts, orders): (Vec<i32>, Vec<i32>) = pairs.iter().copied().unzip();
        session.execute(statement, &[&hosts, &orders]).await?;
    }
    Ok(())
}

const fn next(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_add(1))
}
