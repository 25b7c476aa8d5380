//! A host's last check-in, and which messages it makes replays.

use muster_proto::model::{RunId, Timestamp};

/// The last check-in of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct LastSeen {
    pub(in crate::store) last_seen: Timestamp,
    pub(in crate::store) run: RunId,
    pub(in crate::store) seq: u64,
    /// The run before, so that its late messages are not taken for a new run.
    pub(in crate::store) previous: Option<(RunId, u64)>,
}

impl LastSeen {
    /// Whether a message with this run and sequence number is a replay.
    pub(in crate::store) fn covers(&self, run: RunId, seq: u64) -> bool {
        (self.run == run && seq <= self.seq) || self.previous.is_some_and(|(was, last)| was == run && seq <= last)
    }

    /// Whether a message continues this run: it is of the same process, and later.
    pub(in crate::store) fn is_continued_by(&self, run: RunId, seq: u64) -> bool {
        self.run == run && seq > self.seq
    }

    /// After a message that repeats an earlier one: the host is alive, and that is all.
    pub(in crate::store) fn renewed(self, now: Timestamp) -> Self {
        Self { last_seen: self.last_seen.max(now), ..self }
    }

    /// The last check-in after a message that may repeat an earlier one.
    pub(in crate::store) fn after(before: Option<Self>, run: RunId, seq: u64, now: Timestamp) -> Self {
        match before {
            Some(seen) if seen.covers(run, seq) => seen.renewed(now),
            before => Self::advanced(before, run, seq, now),
        }
    }

    /// The last check-in after this one.
    pub(in crate::store) fn advanced(before: Option<Self>, run: RunId, seq: u64, now: Timestamp) -> Self {
        let Some(before) = before else { return Self { last_seen: now, run, seq, previous: None } };
        // The clock may go back, but "last seen" does not.
        let last_seen = before.last_seen.max(now);
        if before.run == run {
            Self { last_seen, seq: before.seq.max(seq), ..before }
        } else {
            Self { last_seen, run, seq, previous: Some((before.run, before.seq)) }
        }
    }
}
