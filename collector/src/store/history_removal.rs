//! Removing the past of hosts: what one step removes, and what it found.

use muster_proto::model::Timestamp;

/// One step: some hosts, and the instants before which their past has ended that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryStep {
    /// Hosts after this row number; 0 for the first step.
    pub after: i64,
    /// At most so many hosts.
    pub hosts: u32,
    /// Snapshots that a host no longer had at this instant.
    pub snapshots: Timestamp,
    /// States.
    pub states: Timestamp,
    /// Lanes.
    pub verdicts: Timestamp,
    /// All of these of a host in which work is left, if this is earlier.
    pub unfinished: Timestamp,
}

/// What a step has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryRemoved {
    /// Rows of the history of snapshots.
    pub snapshots: u64,
    /// Of states.
    pub states: u64,
    /// Of lanes.
    pub verdicts: u64,
    /// The last host of the step; `None` if there are no more.
    pub next: Option<i64>,
}

impl HistoryRemoved {
    /// All rows.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.snapshots + self.states + self.verdicts
    }

    /// The histories of which this step has removed rows, and up to when they may have gaps now.
    pub(in crate::store) fn noted(
        &self,
        step: &HistoryStep,
    ) -> impl Iterator<Item = (&'static str, Timestamp)> + use<> {
        let HistoryStep { snapshots, states, verdicts, .. } = *step;
        let all = [
            ("snapshots", snapshots, self.snapshots),
            ("states", states, self.states),
            ("verdicts", verdicts, self.verdicts),
        ];
        all.into_iter().filter(|(_, _, rows)| *rows > 0).map(|(history, until, _)| (history, until))
    }

    /// The rows of several steps.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            snapshots: self.snapshots + more.snapshots,
            states: self.states + more.states,
            verdicts: self.verdicts + more.verdicts,
            next: more.next,
        }
    }
}
