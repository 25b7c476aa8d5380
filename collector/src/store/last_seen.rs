//! The last check-in of a host, and which sequence numbers it covers.

use muster_proto::model::{RunId, Timestamp};

/// The last check-in of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct LastSeen {
    pub(in crate::store) last_seen: Timestamp,
    pub(in crate::store) run: RunId,
    pub(in crate::store) seq: u64,
    /// The run before: a late message of it is not taken for a new run.
    pub(in crate::store) previous: Option<(RunId, u64)>,
}

impl LastSeen {
    /// Whether this sequence number of this run was seen.
    pub(in crate::store) fn covers(&self, run: RunId, seq: u64) -> bool {
        (self.run == run && seq <= self.seq) || self.previous.is_some_and(|(was, last)| was == run && seq <= last)
    }

    /// What is to be kept after this check-in.
    pub(in crate::store) fn advanced(before: Option<Self>, run: RunId, seq: u64, now: Timestamp) -> Self {
        let Some(before) = before else { return Self { last_seen: now, run, seq, previous: None } };
        let last_seen = before.last_seen.max(now);
        if before.run == run {
            Self { last_seen, seq: before.seq.max(seq), ..before }
        } else {
            Self { last_seen, run, seq, previous: Some((before.run, before.seq)) }
        }
    }
}
