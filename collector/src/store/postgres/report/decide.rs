//! What each report comes to: one after the other, on the hosts as they were locked. Nothing is asked here, so the batch
//! is decided between two round trips.

use muster_proto::convert::stored;
use muster_proto::model::{Digest, HostFacts, RunId, Timestamp};
use tokio_postgres::Row;

use super::{BatchContext, Kind, SnapshotState, Work};
use crate::store::last_seen::LastSeen;
use crate::store::postgres::fault::{PostgresFault, Step};
use crate::store::postgres::memory::{self, Memory};
use crate::store::postgres::row;
use crate::store::{CheckIn, CheckInAnswer, Delivered};

/// A host within a batch: as it was read, and what the reports have made of it.
pub(super) struct HostState {
    pub(super) no: i32,
    pub(super) seen: Option<LastSeen>,
    pub(super) snapshot: Option<Pointer>,
    pub(super) judged_at: Option<Timestamp>,
    /// As it was read.
    pub(super) revision: i32,
    /// Whether it waits for judgement.
    waits: bool,
    /// Facts and state, for those that have told some.
    pub(super) facts: Option<Facts>,
    // What has changed.
    pub(super) is_seen_anew: bool,
    pub(super) is_changed: bool,
    pub(super) has_new_facts: bool,
    pub(super) has_new_state: bool,
    pub(super) ended: Vec<(Pointer, Timestamp)>,
    pub(super) judge_queue: Option<Timestamp>,
    // What the memory is to learn.
    pub(super) digest: Option<Digest>,
    pub(super) facts_key: Option<Digest>,
    pub(super) state_key: Option<Digest>,
}

/// The snapshot of a host, since when, and when the agent looked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointer {
    pub(super) snapshot: i64,
    pub(super) since: Timestamp,
    pub(super) observed_at: Timestamp,
}

/// Facts as their row has them, phrases by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) hostname: String,
    pub(super) platform: i16,
    /// Name of the system, kernel, architecture, version of the agent.
    pub(super) phrases: [i32; 4],
    pub(super) offline_root: bool,
    pub(super) state: Option<Vec<u8>>,
}

impl Facts {
    pub(super) fn read(found: &Row) -> Step<Self> {
        Ok(Self {
            hostname: found.try_get(1)?,
            platform: found.try_get(2)?,
            phrases: [found.try_get(3)?, found.try_get(4)?, found.try_get(5)?, found.try_get(6)?],
            offline_root: found.try_get(7)?,
            state: found.try_get(8)?,
        })
    }
}

impl HostState {
    pub(super) fn read(found: &Row) -> Step<Self> {
        let snapshot =
            match (found.try_get::<_, Option<i64>>(6)?, row::maybe_instant(found, 7)?, row::maybe_instant(found, 8)?) {
                (Some(snapshot), Some(since), Some(observed_at)) => Some(Pointer { snapshot, since, observed_at }),
                _ => None,
            };
        Ok(Self {
            no: found.try_get(0)?,
            seen: row::seen(found, 1)?,
            snapshot,
            judged_at: row::maybe_instant(found, 9)?,
            revision: found.try_get(10)?,
            waits: found.try_get(11)?,
            facts: None,
            is_seen_anew: false,
            is_changed: false,
            has_new_facts: false,
            has_new_state: false,
            ended: Vec::new(),
            judge_queue: None,
            digest: None,
            facts_key: None,
            state_key: None,
        })
    }

    /// Points the host to a complete snapshot, and puts it on the judge queue.
    fn make_current(&mut self, snapshot: i64, digest: Digest, observed_at: Timestamp, now: Timestamp) {
        self.digest = Some(digest);
        let before = self.snapshot;
        if before.is_some_and(|before| before.snapshot == snapshot) {
            return;
        }
        // The history is ordered, also when the clock was set back or two looks come within a millisecond.
        let after = |before: Pointer| Timestamp::from_millis(before.since.millis().saturating_add(1));
        let since = before.map_or(now, |before| now.max(after(before)));
        self.ended.extend(before.map(|before| (before, since)));
        self.snapshot = Some(Pointer { snapshot, since, observed_at });
        self.is_changed = true;
        self.wait(now);
    }

    fn wait(&mut self, now: Timestamp) {
        self.judge_queue = self.judge_queue.or(Some(now));
        self.waits = true;
    }

    fn see(&mut self, live: Option<LastSeen>, run: RunId, seq: u64, now: Timestamp) {
        // Of the row and the memory, that which knows more: the memory, unless this batch or another collector has
        // written the row.
        let newest = match (self.seen, live) {
            (Some(row), Some(live)) => Some(if live.covers(row.run, row.seq) { live } else { row }),
            (row, live) => row.or(live),
        };
        self.seen = Some(LastSeen::advanced(newest, run, seq, now));
        self.is_seen_anew = true;
    }

    /// Whether the same process has told of something newer since.
    fn is_late(seen: Option<LastSeen>, run: RunId, seq: u64) -> bool {
        seen.is_some_and(|seen| match seen.previous {
            _ if seen.run == run => seq < seen.seq,
            Some((previous, _)) => previous == run,
            None => false,
        })
    }

    fn tell_facts(&mut self, facts: &HostFacts, phrases: [i32; 4]) -> bool {
        self.facts_key = Some(memory::facts_key(facts));
        let Some(kept) = &mut self.facts else { return false };
        let told = Facts {
            hostname: facts.hostname.clone(),
            platform: row::code(facts.platform.code()),
            phrases,
            offline_root: facts.offline_root,
            state: kept.state.take(),
        };
        let is_other = Facts { state: None, ..told.clone() } != *kept;
        *kept = told;
        self.has_new_facts |= is_other;
        is_other
    }
}

impl Work<'_> {
    /// Decides every report.
    pub(super) fn decide(&mut self, context: &BatchContext<'_>) {
        for at in 0..self.reports.len() {
            let host = self.numbers.get(&self.reports[at].host()).copied();
            match &mut self.reports[at].0 {
                Kind::CheckIn { operation, answer, .. } => {
                    let host = host.and_then(|no| self.hosts.get_mut(&no));
                    *answer = Some(match host {
                        Some(host) => check_in(
                            context.memory,
                            host,
                            self.snapshots.get(&operation.snapshot),
                            &self.phrases,
                            operation,
                        ),
                        None => Ok(CheckInAnswer::HostUnknown),
                    });
                }
                Kind::Deliver { operation, answer, .. } => {
                    let host = host.and_then(|no| self.hosts.get_mut(&no));
                    *answer = Some(match host {
                        Some(host) => deliver(context.memory, host, self.snapshots.get(&operation.digest), operation),
                        None => Ok(Delivered::HostUnknown),
                    });
                }
            }
        }
    }
}

fn check_in(
    memory: &Memory,
    host: &mut HostState,
    snapshot: Option<&SnapshotState>,
    phrases: &std::collections::HashMap<String, i32>,
    operation: &CheckIn,
) -> Step<CheckInAnswer> {
    let known = snapshot.and_then(|snapshot| Some((snapshot.no?, snapshot)));
    let current = known.is_some_and(|(no, _)| host.snapshot.is_some_and(|pointer| pointer.snapshot == no));
    let live = memory.seen(operation.host);
    let covers = |seen: Option<LastSeen>| seen.is_some_and(|seen| seen.covers(operation.run, operation.seq));
    if covers(host.seen) || covers(live) {
        return Ok(CheckInAnswer::Replayed { current });
    }
    // What cannot be read is found before anything is changed.
    let missing = known.map(|(no, snapshot)| snapshot.missing.clone().map(|missing| (no, missing))).transpose()?;
    let mut changed = false;
    if let Some(facts) = &operation.facts {
        let number =
            |text: &String| phrases.get(text).copied().ok_or_else(|| PostgresFault::other("a phrase has no number"));
        let texts = [&facts.os_name, &facts.kernel, &facts.architecture, &facts.agent_version];
        let numbers = [number(texts[0])?, number(texts[1])?, number(texts[2])?, number(texts[3])?];
        changed |= host.tell_facts(facts, numbers);
    }
    if let Some(state) = &operation.state {
        let bytes = stored::state_bytes(state);
        host.state_key = Some(memory::state_key(state));
        if let Some(kept) = &mut host.facts
            && kept.state.as_ref() != Some(&bytes)
        {
            kept.state = Some(bytes);
            host.has_new_state = true;
            changed = true;
        }
    }
    let answer = match missing {
        None => CheckInAnswer::SnapshotWanted,
        Some((_, missing)) if !missing.is_empty() => CheckInAnswer::SectionsWanted(missing),
        Some((no, _)) => {
            host.make_current(no, operation.snapshot, operation.observed_at, operation.now);
            CheckInAnswer::Current
        }
    };
    host.is_changed |= changed;
    // One that waits already keeps its ticket: nothing that is judged has changed.
    if changed || (memory::is_old(host.judged_at, operation.now) && !host.waits) {
        host.wait(operation.now);
    }
    host.see(live, operation.run, operation.seq, operation.now);
    Ok(answer)
}

fn deliver(
    memory: &Memory,
    host: &mut HostState,
    snapshot: Option<&SnapshotState>,
    operation: &super::Delivery,
) -> Step<Delivered> {
    let Some((no, snapshot)) = snapshot.and_then(|snapshot| Some((snapshot.no?, snapshot))) else {
        return Ok(Delivered::SnapshotWanted);
    };
    let missing = snapshot.missing.clone()?;
    if !missing.is_empty() {
        return Ok(Delivered::SectionsWanted(missing));
    }
    // Late: what came is kept, the pointer stays.
    let live = memory.seen(operation.host);
    if !HostState::is_late(host.seen, operation.run, operation.seq)
        && !HostState::is_late(live, operation.run, operation.seq)
    {
        host.make_current(no, operation.digest, operation.observed_at, operation.now);
        host.see(live, operation.run, operation.seq, operation.now);
    }
    Ok(Delivered::Accepted)
}
