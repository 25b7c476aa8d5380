//! The hosts of a batch: read while they are locked, then changed by one report after the other. Nothing is queried
//! here, so a batch is decided between two round trips.

use std::collections::HashMap;

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HoldersSign, HostFacts, Platform, Timestamp};
use tokio_postgres::Row;

use super::{Batch, BatchContext, Delivery, Kind, SnapshotState};
use crate::store::decide::report::{
    self, Arrival, CurrentSnapshot, Differs, Gap, HostBefore, HostChange, KnownSnapshot, LastSeenPair, SnapshotChange,
    differs, fingerprint_after, is_other_machine,
};
use crate::store::decide::unchanged::{facts_key, state_key};
use crate::store::last_seen::LastSeen;
use crate::store::postgres::fault::{PostgresFault, Step};
use crate::store::postgres::memory::Memory;
use crate::store::postgres::row;
use crate::store::{CheckIn, CheckInAnswer, Delivered};

/// A locked host: its row, with the changes of the reports that were decided so far.
pub(super) struct LockedHost {
    pub(super) no: i32,
    enrolled_at: Timestamp,
    platform: Platform,
    pub(super) seen: Option<LastSeen>,
    pub(super) current: Option<CurrentSnapshot<i64>>,
    pub(super) judged_at: Option<Timestamp>,
    /// As it was read.
    pub(super) revision: i32,
    is_queued: bool,
    /// Loaded for hosts that sent some.
    pub(super) facts: Option<FactsRow>,
    pub(super) state: Option<Vec<u8>>,
    // What to write.
    pub(super) is_seen_anew: bool,
    pub(super) is_changed: bool,
    pub(super) has_new_facts: bool,
    pub(super) has_new_state: bool,
    /// New rows of the history.
    pub(super) ended: Vec<SnapshotChange<i64>>,
    /// Gaps that its check-ins ended.
    pub(super) gaps: Vec<Gap>,
    /// How its check-ins show that two machines have its key, and when.
    pub(super) two_holders: Option<(HoldersSign, Timestamp)>,
    /// Since when the host is queued by this batch.
    pub(super) queued_since: Option<Timestamp>,
    // What the memory learns after the commit.
    pub(super) digest: Option<Digest>,
    pub(super) facts_key: Option<Digest>,
    pub(super) state_key: Option<Digest>,
}

/// Facts as their row has them, phrases by their numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FactsRow {
    pub(super) hostname: String,
    pub(super) platform: i16,
    /// Name of the system, kernel, architecture, version of the agent.
    pub(super) phrases: [i32; 4],
    pub(super) offline_root: bool,
    /// Of the machine; empty if unknown.
    pub(super) fingerprint: Vec<u8>,
    /// In its stored form.
    pub(super) identity: Option<Vec<u8>>,
}

impl FactsRow {
    fn of(facts: &HostFacts, fingerprint: &[u8], phrases: &HashMap<String, i32>) -> Step<Self> {
        let number =
            |text: &String| phrases.get(text).copied().ok_or_else(|| PostgresFault::other("a phrase has no number"));
        Ok(Self {
            hostname: facts.hostname.clone(),
            platform: row::code(facts.platform.code()),
            phrases: [
                number(&facts.os_name)?,
                number(&facts.kernel)?,
                number(&facts.architecture)?,
                number(&facts.agent_version)?,
            ],
            offline_root: facts.offline_root,
            fingerprint: fingerprint.to_owned(),
            identity: stored::identity_bytes(&facts.identity),
        })
    }
}

impl LockedHost {
    /// Reads a row of [`LOCK`](super::read::LOCK).
    pub(super) fn read(found: &Row) -> Step<Self> {
        let current =
            match (found.try_get::<_, Option<i64>>(7)?, row::maybe_instant(found, 8)?, row::maybe_instant(found, 9)?) {
                (Some(snapshot), Some(since), Some(observed_at)) => {
                    Some(CurrentSnapshot { snapshot, since, observed_at })
                }
                _ => None,
            };
        let (enrolled_at, platform) = enrolled(found, 13)?;
        Ok(Self {
            no: found.try_get(0)?,
            enrolled_at,
            platform,
            seen: row::seen(found, 1)?,
            current,
            judged_at: row::maybe_instant(found, 10)?,
            revision: found.try_get(11)?,
            is_queued: found.try_get(12)?,
            facts: None,
            state: None,
            is_seen_anew: false,
            is_changed: false,
            has_new_facts: false,
            has_new_state: false,
            ended: Vec::new(),
            gaps: Vec::new(),
            two_holders: None,
            queued_since: None,
            digest: None,
            facts_key: None,
            state_key: None,
        })
    }

    /// Reads a row of [`FACTS`](super::read::FACTS).
    pub(super) fn read_facts(&mut self, found: &Row) -> Step<()> {
        self.facts = Some(FactsRow {
            hostname: found.try_get(1)?,
            platform: found.try_get(2)?,
            phrases: [found.try_get(3)?, found.try_get(4)?, found.try_get(5)?, found.try_get(6)?],
            offline_root: found.try_get(7)?,
            fingerprint: found.try_get(9)?,
            identity: found.try_get(10)?,
        });
        self.state = found.try_get(8)?;
        Ok(())
    }

    fn before(&self, live: Option<LastSeen>) -> HostBefore<i64> {
        HostBefore {
            enrolled_at: self.enrolled_at,
            platform: self.platform,
            current: self.current,
            judged_at: self.judged_at,
            is_queued: self.is_queued,
            seen: LastSeenPair { row: self.seen, memory: live },
            // Until the first check-in the column has the time of the enrollment.
        }
    }

    fn apply(&mut self, change: &HostChange<i64>, now: Timestamp) {
        self.seen = Some(change.seen);
        self.is_seen_anew = true;
        self.gaps.extend(change.gap);
        // One of several in a batch is enough: it is marked once.
        self.two_holders = self.two_holders.or(change.two_holders.map(|sign| (sign, now)));
        self.is_changed |= change.snapshot.is_some() || change.has_new_facts || change.has_new_state;
        if let Some(snapshot) = change.snapshot {
            self.current = Some(snapshot.now);
            self.ended.extend(snapshot.before.map(|_| snapshot));
        }
        if change.is_queued {
            self.is_queued = true;
            // The first report of the batch that queues the host decides since when it waits.
            self.queued_since.get_or_insert(now);
        }
    }

    fn check_in(
        &mut self,
        memory: &Memory,
        named: Option<KnownSnapshot<i64>>,
        phrases: &HashMap<String, i32>,
        operation: &CheckIn,
    ) -> Step<CheckInAnswer> {
        let stored = self.facts.as_ref().map_or(&[][..], |facts| &facts.fingerprint);
        let is_other_machine = operation.facts.is_some() && is_other_machine(stored, &operation.fingerprint);
        let fingerprint = fingerprint_after(stored, &operation.fingerprint);
        let row = |facts| FactsRow::of(facts, fingerprint, phrases);
        let facts = operation.facts.as_ref().map(row).transpose()?;
        let state = operation.state.as_ref().map(stored::state_bytes);
        let is_other = Differs {
            facts: differs(self.facts.as_ref(), facts.as_ref()),
            state: differs(self.state.as_ref(), state.as_ref()),
            machine: is_other_machine,
            is_whole: operation.facts.is_some() && operation.state.is_some(),
        };
        let mut before = self.before(memory.seen(operation.host));
        if let Some(facts) = &operation.facts {
            before.platform = facts.platform;
        }
        let (answer, change) = report::check_in(&before, Arrival::from(operation), is_other, named);
        let Some(change) = change else { return Ok(answer) };
        if answer != CheckInAnswer::NewRun {
            change.charge(&operation.allowance);
        }
        self.apply(&change, operation.now);
        if matches!(answer, CheckInAnswer::Throttled | CheckInAnswer::NewRun) {
            return Ok(answer);
        }
        if change.has_new_facts {
            self.platform = before.platform;
            self.facts = facts;
            self.has_new_facts = true;
        }
        if change.has_new_state {
            self.state = state;
            self.has_new_state = true;
        }
        // A report without facts or state keeps the key of an earlier one in the batch.
        let key = operation.facts.as_ref().map(|facts| facts_key(facts, &operation.fingerprint));
        self.facts_key = key.or(self.facts_key);
        self.state_key = operation.state.as_ref().map(state_key).or(self.state_key);
        if matches!(answer, CheckInAnswer::Current | CheckInAnswer::StateWanted) {
            self.digest = Some(operation.snapshot);
        }
        Ok(answer)
    }

    fn deliver(&mut self, memory: &Memory, delivered: Option<KnownSnapshot<i64>>, operation: &Delivery) -> Delivered {
        let arrival = Arrival {
            run: operation.run,
            seq: operation.seq,
            observed_at: operation.observed_at,
            now: operation.now,
            patience: None,
            may_change: true,
        };
        let (answer, change) = report::deliver(&self.before(memory.seen(operation.host)), arrival, delivered);
        if let Some(change) = change {
            self.apply(&change, operation.now);
            if answer != Delivered::NewRun {
                self.digest = Some(operation.digest);
            }
        }
        report::without(operation.held_back, answer)
    }
}

/// Enrollment and platform of a host: the array in column `at` of [`LOCK`](super::read::LOCK).
fn enrolled(found: &Row, at: usize) -> Step<(Timestamp, Platform)> {
    let damaged = || PostgresFault::damaged("a host", "it has no enrollment or an unknown platform");
    let [enrolled_at, code] = found.try_get::<_, Vec<i64>>(at)?.try_into().map_err(|_| damaged())?;
    let platform = u8::try_from(code).ok().and_then(Platform::from_code).ok_or_else(damaged)?;
    Ok((Timestamp::from_millis(enrolled_at), platform))
}

impl SnapshotState {
    /// The snapshot as decisions see it; fails if its stored bytes cannot be read.
    fn known(state: Option<&Self>) -> Step<Option<KnownSnapshot<i64>>> {
        let Some((no, state)) = state.and_then(|state| Some((state.no?, state))) else { return Ok(None) };
        let (missing, foreign) = (state.missing.clone()?, state.foreign.clone());
        Ok(Some(KnownSnapshot { no, platform: state.platform, missing, foreign }))
    }
}

impl Batch<'_> {
    /// Decides every report, in the order in which they came.
    pub(super) fn decide(&mut self, context: &BatchContext<'_>) {
        for report in self.reports.iter_mut() {
            let host = self.numbers.get(&report.host()).and_then(|no| self.hosts.get_mut(no));
            let snapshot = SnapshotState::known(self.snapshots.get(&report.digest()));
            match &mut report.0 {
                Kind::CheckIn { operation, answer, .. } => {
                    *answer = Some(match host {
                        Some(host) => snapshot
                            .and_then(|snapshot| host.check_in(context.memory, snapshot, &self.phrases, operation)),
                        None => Ok(CheckInAnswer::HostUnknown),
                    });
                }
                Kind::Deliver { operation, answer, .. } => {
                    *answer = Some(match host {
                        Some(host) => snapshot.map(|snapshot| host.deliver(context.memory, snapshot, operation)),
                        None => Ok(Delivered::HostUnknown),
                    });
                }
            }
        }
    }
}
