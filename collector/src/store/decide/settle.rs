//! Settling: what the judge's answers change. Compares each answer with what is stored; only what differs is written.
//!
//! Decides which judgements count, which verdicts are written, which become history and until when, what is remembered
//! of a host under an order, and what the tally and the ledger say of it. `No` is the backend's row number of a host,
//! an order, a phrase, a state, or the rules.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Cause, Digest, Lane, OrderId, Presence, Protection, Timestamp};

use super::begin_after;
use super::cause::{Before, Placed, cause};
use crate::judge::{Positive, Remediation};
use crate::ledger::entry::{LaneChange, LaneChanges};
use crate::store::attestations::Attested;
use crate::store::fault::Step;
use crate::store::versioned_json::{from_json, to_json};
use crate::store::{JudgedOrder, Judgement};

/// Row numbers of what judgements name.
pub(in crate::store) trait Numbers<No> {
    /// The number of an order.
    fn order(&self, id: &OrderId) -> Step<No>;
    /// The number of a reason or an advice.
    fn phrase(&self, text: &str) -> Step<No>;
    /// The number of the rules that judged.
    fn rules(&self) -> No;
}

/// A verdict as its row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct VerdictRow<No> {
    pub(in crate::store) lane: Lane,
    pub(in crate::store) in_scope: bool,
    pub(in crate::store) presence: Presence,
    pub(in crate::store) protection: Protection,
    pub(in crate::store) due: Option<Timestamp>,
    pub(in crate::store) since: Timestamp,
    /// Why the host came into this lane.
    pub(in crate::store) cause: Cause,
    pub(in crate::store) reason: No,
    pub(in crate::store) advice: No,
}

impl<No> VerdictRow<No> {
    fn placed(self) -> Placed {
        let Self { lane, in_scope, presence, protection, .. } = self;
        Placed { lane, in_scope, presence, protection }
    }
}

/// The row numbers of a host and of its site, and what else the tally counts it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct HostNumbers<No> {
    pub(in crate::store) no: No,
    pub(in crate::store) site: No,
    /// Whether it is a machine of the roster.
    pub(in crate::store) is_listed: bool,
}

/// What was judged last of a host's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct JudgedState<No> {
    pub(in crate::store) no: No,
    pub(in crate::store) key: Digest,
    pub(in crate::store) since: Timestamp,
}

/// What is stored of a host before a judgement; all maps are by order.
#[derive(Debug, Clone)]
pub(in crate::store) struct Judged<No> {
    /// With which the host waits on the judge queue.
    pub(in crate::store) ticket: Option<u64>,
    /// The rules that judged the host last.
    pub(in crate::store) rules: Option<No>,
    /// Nothing of the host is dated before this.
    pub(in crate::store) enrolled_at: Timestamp,
    pub(in crate::store) verdicts: BTreeMap<No, (OrderId, VerdictRow<No>)>,
    /// When the history ends, at least for orders without a verdict.
    pub(in crate::store) ended: BTreeMap<No, Timestamp>,
    /// Remediation records in their stored form.
    pub(in crate::store) remediations: BTreeMap<No, String>,
    pub(in crate::store) state: Option<JudgedState<No>>,
}

impl<No> Default for Judged<No> {
    fn default() -> Self {
        Self {
            ticket: None,
            rules: None,
            enrolled_at: Timestamp::default(),
            verdicts: BTreeMap::new(),
            ended: BTreeMap::new(),
            remediations: BTreeMap::new(),
            state: None,
        }
    }
}

/// A verdict that becomes history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct EndedVerdict<No> {
    pub(in crate::store) host: No,
    pub(in crate::store) order: No,
    pub(in crate::store) lane: Lane,
    pub(in crate::store) in_scope: bool,
    pub(in crate::store) since: Timestamp,
    pub(in crate::store) until: Timestamp,
    /// Why the host came into this lane.
    pub(in crate::store) cause: Cause,
}

/// A remediation record as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct RemediationRow {
    /// A copy from the record, which statements can read.
    pub(in crate::store) unprotected_since: Option<Timestamp>,
    /// The record in its stored form.
    pub(in crate::store) record: String,
}

/// What the tally counts a host by. Sorted: PostgreSQL locks rows in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct TallyKey<No> {
    pub(in crate::store) order: No,
    pub(in crate::store) site: No,
    pub(in crate::store) lane: Lane,
    pub(in crate::store) in_scope: bool,
    pub(in crate::store) is_listed: bool,
}

/// Differences of the tally.
pub(in crate::store) type TallyChanges<No> = BTreeMap<TallyKey<No>, i64>;

/// What a settlement writes. Tuples begin with host and order.
#[derive(Debug)]
pub(in crate::store) struct Changes<'j, No> {
    /// When the settlement was judged.
    pub(in crate::store) now: Timestamp,
    /// Hosts that were judged: they leave the judge queue, and the rules of the settlement are those that judged them last.
    pub(in crate::store) hosts: BTreeSet<No>,
    pub(in crate::store) verdicts: Vec<(No, No, VerdictRow<No>)>,
    /// Verdicts to delete.
    pub(in crate::store) withdrawn: Vec<(No, No)>,
    pub(in crate::store) history: Vec<EndedVerdict<No>>,
    /// Remediation records to write.
    pub(in crate::store) remediations: Vec<(No, No, RemediationRow)>,
    /// Hosts on which an order has found a product, and whose duties a job opens.
    pub(in crate::store) duties_pending: Vec<(No, No)>,
    /// Remediation records to delete.
    pub(in crate::store) forgotten: Vec<(No, No)>,
    /// Hosts whose state is judged by another key than before, and since when.
    pub(in crate::store) states: BTreeMap<No, (&'j Digest, Timestamp)>,
    /// Host, judged state, since when.
    pub(in crate::store) state_history: Vec<(No, No, Timestamp)>,
    pub(in crate::store) tally: TallyChanges<No>,
    pub(in crate::store) ledger: LaneChanges,
    /// Attestations to sign and write.
    pub(in crate::store) attestations: Vec<Attested<'j, No>>,
}

impl<'j, No: Copy + Ord> Changes<'j, No> {
    pub(in crate::store) fn new(now: Timestamp) -> Self {
        Self {
            now,
            hosts: BTreeSet::new(),
            verdicts: Vec::new(),
            withdrawn: Vec::new(),
            history: Vec::new(),
            remediations: Vec::new(),
            duties_pending: Vec::new(),
            forgotten: Vec::new(),
            states: BTreeMap::new(),
            state_history: Vec::new(),
            tally: BTreeMap::new(),
            ledger: LaneChanges::default(),
            attestations: Vec::new(),
        }
    }

    /// Whether a judgement counts: it holds the host's newest ticket, and is the first of the host in this settlement.
    pub(in crate::store) fn is_newest(&self, host: No, judgement: &Judgement, ticket: Option<u64>) -> bool {
        ticket == Some(judgement.ticket) && !self.hosts.contains(&host)
    }

    /// Adds what a judgement changes, if it [counts](Self::is_newest); says whether it does.
    pub(in crate::store) fn judge(
        &mut self,
        host: HostNumbers<No>,
        judgement: &'j Judgement,
        before: Judged<No>,
        numbers: &impl Numbers<No>,
    ) -> Step<bool> {
        if !self.is_newest(host.no, judgement, before.ticket) {
            return Ok(false);
        }
        self.hosts.insert(host.no);
        let Judged { mut verdicts, ended, remediations, state, enrolled_at, rules, .. } = before;
        let had_other_rules = rules != Some(numbers.rules());
        // The collector's clock may have been set back since the host enrolled, or another collector's may differ.
        let now = self.now.max(enrolled_at);
        let had_snapshot = state.is_some();
        let had_verdicts = !verdicts.is_empty() || !ended.is_empty();
        let mut changes = Vec::new();
        for judged in &judgement.orders {
            let order = numbers.order(&judged.order)?;
            // What is left in `verdicts` belongs to orders that are no longer judged.
            let old = verdicts.remove(&order).map(|(_, verdict)| verdict);
            let since = since(judged, old.as_ref(), ended.get(&order).copied(), now);
            let remediation = remediations.get(&order);
            let placed = Placed {
                lane: judged.awake_lane,
                in_scope: judged.in_scope,
                presence: judged.presence,
                protection: judged.protection,
            };
            let cause = match old {
                Some(old) if is_same_lane(&old, placed.lane, placed.in_scope) => old.cause,
                old => {
                    let verdict = old.map(VerdictRow::placed);
                    let remediation = remediation.map(|text| from_json("a remediation record", text)).transpose()?;
                    let before = Before { verdict, had_other_rules, remediation, had_snapshot, had_verdicts };
                    cause(&before, &placed, &judged.remediation)
                }
            };
            let verdict = VerdictRow {
                lane: judged.awake_lane,
                in_scope: judged.in_scope,
                presence: judged.presence,
                protection: judged.protection,
                due: judged.due,
                since,
                cause,
                reason: numbers.phrase(&judged.reason)?,
                advice: numbers.phrase(&judged.advice)?,
            };
            if opens_duties(judged, old.as_ref(), remediation, had_other_rules)? {
                self.duties_pending.push((host.no, order));
            }
            changes.extend(self.put_verdict(host, order, &judged.order, old, verdict));
            self.put_remediation(host.no, order, &judged.remediation, remediation)?;
            let attested = judged.attestation.as_deref();
            self.attestations.extend(attested.map(|proof| Attested { host: host.no, proof, since: verdict.since }));
        }
        // Orders that are no longer judged. Their remediation records stay, so that an order that comes back does not
        // forget; but nobody looks at the host under them from now on.
        for (order, (id, old)) in verdicts {
            self.withdrawn.push((host.no, order));
            if let Some(text) = remediations.get(&order) {
                let record: Remediation = from_json("a remediation record", text)?;
                if record.unprotected.since.is_some() {
                    let unprotected = record.unprotected.end(now);
                    self.put_remediation(host.no, order, &Remediation { unprotected, ..record }, Some(text))?;
                }
            }
            self.end(host, order, old, begin_after(old.since, now));
            changes.push(LaneChange {
                order: id,
                from: Some(old.lane),
                to: None,
                was_in_scope: old.in_scope,
                in_scope: false,
                cause: Cause::Order,
            });
        }
        self.ledger.add(judgement.host, changes);
        self.put_state(host.no, judgement, state, now);
        Ok(true)
    }

    fn put_verdict(
        &mut self,
        host: HostNumbers<No>,
        order: No,
        id: &OrderId,
        old: Option<VerdictRow<No>>,
        new: VerdictRow<No>,
    ) -> Option<LaneChange> {
        if old != Some(new) {
            self.verdicts.push((host.no, order, new));
        }
        // Another reason or advice rewrites the row, but changes neither history nor tally.
        if old.is_some_and(|old| is_same_lane(&old, new.lane, new.in_scope)) {
            return None;
        }
        if let Some(old) = old {
            self.end(host, order, old, new.since);
        }
        self.count(host, order, &new, 1);
        Some(LaneChange {
            order: id.clone(),
            from: old.map(|old| old.lane),
            to: Some(new.lane),
            was_in_scope: old.is_some_and(|old| old.in_scope),
            in_scope: new.in_scope,
            cause: new.cause,
        })
    }

    /// A verdict becomes history.
    fn end(&mut self, host: HostNumbers<No>, order: No, old: VerdictRow<No>, until: Timestamp) {
        self.count(host, order, &old, -1);
        let VerdictRow { lane, in_scope, since, cause, .. } = old;
        self.history.push(EndedVerdict { host: host.no, order, lane, in_scope, since, until, cause });
    }

    fn count(&mut self, host: HostNumbers<No>, order: No, verdict: &VerdictRow<No>, n: i64) {
        let VerdictRow { lane, in_scope, .. } = *verdict;
        let key = TallyKey { order, site: host.site, lane, in_scope, is_listed: host.is_listed };
        *self.tally.entry(key).or_default() += n;
    }

    /// A remediation record with nothing in it has no row.
    fn put_remediation(&mut self, host: No, order: No, new: &Remediation, stored: Option<&String>) -> Step<()> {
        if *new == Remediation::default() {
            self.forgotten.extend(stored.map(|_| (host, order)));
            return Ok(());
        }
        let record = to_json(new)?;
        if stored != Some(&record) {
            let unprotected_since = new.unprotected.since;
            self.remediations.push((host, order, RemediationRow { unprotected_since, record }));
        }
        Ok(())
    }

    fn put_state(&mut self, host: No, judgement: &'j Judgement, old: Option<JudgedState<No>>, now: Timestamp) {
        let Some(key) = judgement.state_key.as_ref().filter(|key| old.is_none_or(|old| old.key != **key)) else {
            return;
        };
        self.state_history.extend(old.map(|old| (host, old.no, old.since)));
        let since = old.map_or(now, |old| begin_after(old.since, now));
        self.states.insert(host, (key, since));
    }
}

/// Whether the duties of a host under an order must be looked at: a product was found that was not known, or the order or its
/// rules are new to the host.
fn opens_duties<No>(
    judged: &JudgedOrder,
    old: Option<&VerdictRow<No>>,
    stored: Option<&String>,
    had_other_rules: bool,
) -> Step<bool> {
    let Some(positive) = judged.remediation.positive.as_ref().filter(|_| judged.opens_duties && judged.in_scope) else {
        return Ok(false);
    };
    if had_other_rules || old.is_none_or(|old| !old.in_scope) {
        return Ok(true);
    }
    let stored: Option<Remediation> = stored.map(|text| from_json("a remediation record", text)).transpose()?;
    let stored = stored.iter().filter_map(|record| record.positive.as_ref()).flat_map(Positive::findings);
    let known: BTreeMap<_, _> = stored.map(|(seen, since)| (&seen.id, since)).collect();
    Ok(positive.findings().any(|(seen, since)| known.get(&seen.id) != Some(&since)))
}

/// Since when the host is in the lane of a verdict.
fn since<No>(
    judged: &JudgedOrder,
    old: Option<&VerdictRow<No>>,
    ended: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    match (old, ended) {
        (Some(old), _) if is_same_lane(old, judged.awake_lane, judged.in_scope) => old.since,
        (Some(old), _) => begin_after(old.since, now),
        // The clock may have gone back since, and spans of one order must not overlap.
        (None, Some(ended)) => now.max(ended),
        (None, None) => now,
    }
}

fn is_same_lane<No>(verdict: &VerdictRow<No>, lane: Lane, in_scope: bool) -> bool {
    verdict.lane == lane && verdict.in_scope == in_scope
}

#[cfg(test)]
mod tests;
