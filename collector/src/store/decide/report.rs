//! Reports: what a check-in or a delivery changes for its host.
//!
//! Decides whether a report repeats an earlier one or contradicts a later one, when a snapshot becomes the host's current
//! one, when the one before it becomes history, whether the host was silent for so long that the gap is stored, and whether
//! the host must be judged. `No` is the backend's row number of a snapshot.

use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::{Digest, HoldersSign, Platform, RunId, Timestamp};

use super::begin_after;
use super::unchanged::{ends_gap, is_old};
use crate::store::last_seen::LastSeen;
use crate::store::{Allowance, CheckIn, CheckInAnswer, Contradiction, Delivered, Delivery, HeldBack};

/// Which report it is, and when it was made and received.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Arrival {
    /// The agent's process, and the sequence number within it.
    pub(in crate::store) run: RunId,
    pub(in crate::store) seq: u64,
    /// When the snapshot was made, corrected and clamped.
    pub(in crate::store) observed_at: Timestamp,
    /// Receipt time.
    pub(in crate::store) now: Timestamp,
    /// The shortest patience of the orders. A delivery has none, because its check-in has ended any gap.
    pub(in crate::store) patience: Option<Duration>,
    /// Whether it may change facts, state or snapshot.
    pub(in crate::store) may_change: bool,
}

impl Arrival {
    /// The same report, at the earliest when its host enrolled. An agent delivers snapshots that it made before it
    /// enrolled (again), and the collector's clock may have been set back since.
    fn of_a_host_since(self, enrolled_at: Timestamp) -> Self {
        Self { observed_at: self.observed_at.max(enrolled_at), now: self.now.max(enrolled_at), ..self }
    }
}

impl From<&CheckIn> for Arrival {
    fn from(check_in: &CheckIn) -> Self {
        let CheckIn { run, seq, observed_at, now, patience, .. } = *check_in;
        let may_change = check_in.allowance.is_left();
        Self { run, seq, observed_at, now, patience, may_change }
    }
}

impl From<&Delivery> for Arrival {
    fn from(delivery: &Delivery) -> Self {
        let Delivery { run, seq, observed_at, now, .. } = *delivery;
        Self { run, seq, observed_at, now, patience: None, may_change: true }
    }
}

/// The current snapshot of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct CurrentSnapshot<No> {
    pub(in crate::store) snapshot: No,
    /// Receipt time; later than that of every snapshot before it.
    pub(in crate::store) since: Timestamp,
    pub(in crate::store) observed_at: Timestamp,
}

/// The last check-in of a host as the transaction has it and as the memory has it. Either may know more: the memory
/// answers check-ins that change nothing while the transaction is open, and another collector may have written the row.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct LastSeenPair {
    pub(in crate::store) row: Option<LastSeen>,
    pub(in crate::store) memory: Option<LastSeen>,
}

/// What is stored of a host before a report.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct HostBefore<No> {
    pub(in crate::store) current: Option<CurrentSnapshot<No>>,
    pub(in crate::store) judged_at: Option<Timestamp>,
    pub(in crate::store) is_queued: bool,
    pub(in crate::store) seen: LastSeenPair,
    /// When it enrolled. Nothing of the host is dated before this, and it counts as last seen then until its first
    /// check-in.
    pub(in crate::store) enrolled_at: Timestamp,
    /// Of its facts, with those of this report.
    pub(in crate::store) platform: Platform,
}

/// A snapshot that is stored.
#[derive(Debug, Clone)]
pub(in crate::store) struct KnownSnapshot<No> {
    pub(in crate::store) no: No,
    pub(in crate::store) platform: Platform,
    /// Which of its sections are not stored, each once.
    pub(in crate::store) missing: Vec<Digest>,
    /// A stored section that it names wrongly.
    pub(in crate::store) foreign: Option<Contradiction>,
}

impl<No> KnownSnapshot<No> {
    /// Why it cannot be of a host of this platform.
    fn contradiction(&self, host: Platform) -> Option<Contradiction> {
        let snapshot = self.platform;
        let other = (snapshot != host).then_some(Contradiction::Platform { snapshot, host });
        other.or_else(|| self.foreign.clone())
    }
}

/// Whether a check-in carries facts or a state that differ from the stored ones.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct Differs {
    pub(in crate::store) facts: bool,
    pub(in crate::store) state: bool,
    /// Whether it comes from another machine than the one before.
    pub(in crate::store) machine: bool,
    /// Whether it carries both.
    pub(in crate::store) is_whole: bool,
}

/// Whether a value was sent and is not the stored one.
pub(in crate::store) fn differs<T: PartialEq>(stored: Option<&T>, sent: Option<&T>) -> bool {
    sent.is_some() && sent != stored
}

/// The fingerprint of a host's machine after a check-in with this one. An empty one is unknown.
pub(in crate::store) const fn fingerprint_after<'f>(stored: &'f [u8], sent: &'f [u8]) -> &'f [u8] {
    if sent.is_empty() { stored } else { sent }
}

/// Whether two fingerprints are of two machines.
pub(in crate::store) fn is_other_machine(stored: &[u8], sent: &[u8]) -> bool {
    !stored.is_empty() && fingerprint_after(stored, sent) != stored
}

/// What a report changes for its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct HostChange<No> {
    pub(in crate::store) seen: LastSeen,
    pub(in crate::store) snapshot: Option<SnapshotChange<No>>,
    /// Whether to write the facts and the state that were sent.
    pub(in crate::store) has_new_facts: bool,
    pub(in crate::store) has_new_state: bool,
    /// Whether to put the host on the judge queue.
    pub(in crate::store) is_queued: bool,
    /// The gap that this check-in ends.
    pub(in crate::store) gap: Option<Gap>,
    /// How it shows that two machines have the key of the host.
    pub(in crate::store) two_holders: Option<HoldersSign>,
}

/// A time without a check-in that is longer than the patience of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Gap {
    /// The last check-in before it.
    pub(in crate::store) since: Timestamp,
    /// The check-in that ended it.
    pub(in crate::store) until: Timestamp,
}

impl Gap {
    /// Gaps of the host that ended before this instant are deleted when this one is stored.
    pub(in crate::store) fn kept_from(&self) -> Timestamp {
        self.until.minus(Duration::from_millis(limits::GAPS_MS.unsigned_abs()))
    }
}

/// Another snapshot becomes current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct SnapshotChange<No> {
    /// Becomes a row of the history that ends when `now` begins.
    pub(in crate::store) before: Option<CurrentSnapshot<No>>,
    pub(in crate::store) now: CurrentSnapshot<No>,
}

/// Decides a check-in. It is acknowledged only if everything that it says is then current.
///
/// A process counts its check-ins. So one that does not continue the host's run is of a new process, which says everything;
/// or it is repeated on the way; or the machine was rolled back together with its memory. Then it takes for acknowledged
/// what was, but is no longer stored.
pub(in crate::store) fn check_in<No: Copy + PartialEq>(
    host: &HostBefore<No>,
    arrival: Arrival,
    differs: Differs,
    named: Option<KnownSnapshot<No>>,
) -> (CheckInAnswer, Option<HostChange<No>>) {
    let arrival = arrival.of_a_host_since(host.enrolled_at);
    if let Some(contradiction) = named.as_ref().and_then(|named| named.contradiction(host.platform)) {
        return (CheckInAnswer::Contradicts(contradiction), None);
    }
    if host.seen.covers(arrival) {
        return host.repeated(arrival, differs, named);
    }
    if host.seen.is_of_another_run(arrival) && !differs.is_whole {
        return (CheckInAnswer::NewRun, host.return_of(arrival));
    }
    let (answer, snapshot) = match named {
        None => (CheckInAnswer::SnapshotWanted, None),
        Some(named) if !named.missing.is_empty() => (CheckInAnswer::SectionsWanted(named.missing), None),
        Some(named) => (CheckInAnswer::Current, host.made_current(named.no, arrival)),
    };
    let is_other = snapshot.is_some() || differs.facts || differs.state;
    if is_other && !arrival.may_change {
        // The run stays as it is: this check-in must be repeated with everything that it says.
        let seen = host.seen.renewed(arrival);
        let only_seen = |seen| HostChange { gap: host.gap(arrival), ..HostChange::only_seen(seen) };
        return (CheckInAnswer::Throttled, seen.map(only_seen));
    }
    // A host that is queued already keeps its ticket when only its verdict is old: a judgement under way is still
    // right.
    let two_holders = host.two_holders(arrival, differs);
    let is_queued = is_other || two_holders.is_some() || (is_old(host.judged_at, arrival.now) && !host.is_queued);
    let change = HostChange {
        seen: host.seen.advanced(arrival),
        snapshot,
        has_new_facts: differs.facts,
        has_new_state: differs.state,
        is_queued,
        gap: host.gap(arrival),
        two_holders,
    };
    (answer, Some(change))
}

/// Decides a delivery, after its sections are stored. There is no change when sections are missing. It is acknowledged only
/// if its snapshot is then current.
pub(in crate::store) fn deliver<No: Copy + PartialEq>(
    host: &HostBefore<No>,
    arrival: Arrival,
    delivered: Option<KnownSnapshot<No>>,
) -> (Delivered, Option<HostChange<No>>) {
    let arrival = arrival.of_a_host_since(host.enrolled_at);
    let Some(delivered) = delivered else { return (Delivered::SnapshotWanted, None) };
    if let Some(contradiction) = delivered.contradiction(host.platform) {
        return (Delivered::Contradicts(contradiction), None);
    }
    if !delivered.missing.is_empty() {
        return (Delivered::SectionsWanted(delivered.missing), None);
    }
    // The process of another snapshot was rolled back, or is not the last one.
    if host.seen.is_later_than(arrival) {
        return if host.has_current(delivered.no) {
            (Delivered::StateWanted, host.seen.renewed(arrival).map(HostChange::only_seen))
        } else {
            (Delivered::NewRun, host.return_of(arrival))
        };
    }
    let snapshot = host.made_current(delivered.no, arrival);
    let change = HostChange {
        seen: host.seen.advanced(arrival),
        snapshot,
        // A delivery carries neither facts nor state.
        has_new_facts: false,
        has_new_state: false,
        is_queued: snapshot.is_some(),
        gap: None,
        two_holders: None,
    };
    (Delivered::Accepted, Some(change))
}

/// The answer to a delivery of which sections were left out for this reason. It may be accepted all the same: other hosts
/// can have sent them meanwhile.
pub(in crate::store) fn without(held_back: Option<HeldBack>, answer: Delivered) -> Delivered {
    match (answer, held_back) {
        (Delivered::SectionsWanted(_), Some(reason)) => Delivered::HeldBack(reason),
        (answer, _) => answer,
    }
}

impl<No> HostChange<No> {
    /// Takes one from the allowance of a check-in if this changes facts, state or snapshot.
    pub(in crate::store) fn charge(&self, allowance: &Allowance) {
        if self.snapshot.is_some() || self.has_new_facts || self.has_new_state {
            // Several check-ins of a host at once may find it empty; the caller counts what was taken before.
            allowance.take(1);
        }
    }

    const fn only_seen(seen: LastSeen) -> Self {
        let (has_new_facts, has_new_state, is_queued) = (false, false, false);
        Self { seen, snapshot: None, has_new_facts, has_new_state, is_queued, gap: None, two_holders: None }
    }
}

impl<No: Copy + PartialEq> HostBefore<No> {
    /// Decides a check-in with a sequence number that the host has used.
    fn repeated(
        &self,
        arrival: Arrival,
        differs: Differs,
        named: Option<KnownSnapshot<No>>,
    ) -> (CheckInAnswer, Option<HostChange<No>>) {
        if differs.facts || differs.state {
            return (CheckInAnswer::NewRun, self.return_of(arrival));
        }
        match named {
            Some(named) if self.has_current(named.no) => {
                let answer = if differs.is_whole { CheckInAnswer::Current } else { CheckInAnswer::StateWanted };
                let change = self.seen.renewed(arrival).map(|seen| {
                    let is_queued = is_old(self.judged_at, arrival.now) && !self.is_queued;
                    HostChange { is_queued, gap: self.gap(arrival), ..HostChange::only_seen(seen) }
                });
                (answer, change)
            }
            // The answer to the host's last check-in was lost before the upload. The upload is still in time.
            None if self.seen.is_last(arrival) && differs.is_whole => (CheckInAnswer::SnapshotWanted, None),
            Some(named) if self.seen.is_last(arrival) && differs.is_whole && !named.missing.is_empty() => {
                (CheckInAnswer::SectionsWanted(named.missing), None)
            }
            _ => (CheckInAnswer::NewRun, self.return_of(arrival)),
        }
    }

    /// What is noted when a report is answered with a new run; nothing if its run is not one that comes back.
    fn return_of(&self, arrival: Arrival) -> Option<HostChange<No>> {
        let seen = self.seen.newest()?;
        let noted = seen.noted_return(arrival.run);
        (noted != seen).then_some(HostChange::only_seen(noted))
    }

    /// How a check-in shows that two machines have the key.
    fn two_holders(&self, arrival: Arrival, differs: Differs) -> Option<HoldersSign> {
        // Before the first check-in the fingerprint is that of the enrollment, which may read another root.
        let seen = self.seen.newest()?;
        if differs.machine {
            Some(HoldersSign::Machine)
        } else {
            seen.shows_two_holders(arrival.run).then_some(HoldersSign::Runs)
        }
    }

    fn has_current(&self, snapshot: No) -> bool {
        self.current.is_some_and(|current| current.snapshot == snapshot)
    }

    /// The gap that a check-in ends.
    fn gap(&self, arrival: Arrival) -> Option<Gap> {
        let since = self.seen.both().map(|seen| seen.last_seen).max().unwrap_or(self.enrolled_at);
        let gap = Gap { since, until: arrival.now };
        ends_gap(since, arrival.now, arrival.patience).then_some(gap)
    }

    /// A complete snapshot becomes current, unless it is.
    fn made_current(&self, snapshot: No, arrival: Arrival) -> Option<SnapshotChange<No>> {
        if self.has_current(snapshot) {
            return None;
        }
        // The clock may go back, but each snapshot must begin after the one before it.
        let since = self.current.map_or(arrival.now, |before| begin_after(before.since, arrival.now));
        let now = CurrentSnapshot { snapshot, since, observed_at: arrival.observed_at };
        Some(SnapshotChange { before: self.current, now })
    }
}

impl LastSeenPair {
    fn covers(self, Arrival { run, seq, .. }: Arrival) -> bool {
        self.both().any(|seen| seen.covers(run, seq))
    }

    /// Whether the host has reported something newer: a higher number of the same process, or anything of another process.
    /// A delivery repeats the number of its check-in, so the same number is not late.
    fn is_later_than(self, arrival: Arrival) -> bool {
        self.is_of_another_run(arrival) || self.both().any(|seen| seen.run == arrival.run && arrival.seq < seen.seq)
    }

    /// Whether the last check-in was of another process.
    fn is_of_another_run(self, Arrival { run, .. }: Arrival) -> bool {
        self.newest().is_some_and(|seen| seen.run != run)
    }

    /// Whether the report has the number of the last check-in.
    fn is_last(self, Arrival { run, seq, .. }: Arrival) -> bool {
        self.newest().is_some_and(|seen| seen.run == run && seen.seq == seq)
    }

    fn renewed(self, Arrival { now, .. }: Arrival) -> Option<LastSeen> {
        self.newest().map(|seen| seen.renewed(now))
    }

    fn advanced(self, Arrival { run, seq, now, .. }: Arrival) -> LastSeen {
        LastSeen::advanced(self.newest(), run, seq, now)
    }

    /// The row, unless the memory covers it.
    fn newest(self) -> Option<LastSeen> {
        match (self.row, self.memory) {
            (Some(row), Some(memory)) if memory.covers(row.run, row.seq) => Some(memory.with_returns_of(&row)),
            (Some(row), Some(memory)) => Some(row.with_returns_of(&memory)),
            (row, memory) => row.or(memory),
        }
    }

    fn both(self) -> impl Iterator<Item = LastSeen> {
        self.row.into_iter().chain(self.memory)
    }
}

#[cfg(test)]
mod model_tests;

#[cfg(test)]
mod tests;
