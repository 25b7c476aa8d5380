//! A host's last check-in, which messages it makes replays, and whether runs of the agent come back.
//!
//! A run that another one has replaced is over: an agent has one run at a time, and draws a new id at each start. If the
//! replaced run reports again, the machine was rolled back, or there are two machines. A machine that is rolled back does
//! this once; two machines do it with nearly every check-in. So returns in a row are counted.

use muster_proto::limits;
use muster_proto::model::{RunId, Timestamp};

/// The last check-in of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct LastSeen {
    pub(in crate::store) last_seen: Timestamp,
    pub(in crate::store) run: RunId,
    pub(in crate::store) seq: u64,
    /// The run before, so that its late messages are not taken for a new run.
    pub(in crate::store) previous: Option<(RunId, u64)>,
    pub(in crate::store) returns: RunReturns,
}

/// How often in a row a run has come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct RunReturns {
    /// Changes of the run in a row that were a return; less than the limit.
    count: u8,
    /// The run before has reported again and was told to draw a new id. The next run is taken for it.
    is_back: bool,
}

impl RunReturns {
    /// As it is stored.
    pub(in crate::store) const fn code(self) -> u8 {
        self.count * 2 + self.is_back as u8
    }

    /// From what is stored.
    pub(in crate::store) const fn from_code(code: u8) -> Self {
        Self { count: code / 2, is_back: code % 2 == 1 }
    }
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

    /// Whether a message of this run is a return: of the run before, or of the run that was drawn in its place.
    pub(in crate::store) fn is_return(&self, run: RunId) -> bool {
        self.run != run && (self.returns.is_back || self.was_before(run))
    }

    /// Whether a run that begins now has come back so often that two machines must have the key.
    pub(in crate::store) fn shows_two_holders(&self, run: RunId) -> bool {
        self.is_return(run) && self.returns.count + 1 >= limits::RUN_RETURNS
    }

    /// After a message of this run that was told to draw a new run id.
    pub(in crate::store) fn noted_return(self, run: RunId) -> Self {
        let is_back = self.returns.is_back || (self.run != run && self.was_before(run));
        Self { returns: RunReturns { is_back, ..self.returns }, ..self }
    }

    /// With the returns that somebody else has noted of the same run.
    pub(in crate::store) fn with_returns_of(self, other: &Self) -> Self {
        let returns = if self.run == other.run { self.returns.max(other.returns) } else { self.returns };
        Self { returns, ..self }
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
        let Some(before) = before else {
            return Self { last_seen: now, run, seq, previous: None, returns: RunReturns::default() };
        };
        // The clock may go back, but "last seen" does not.
        let last_seen = before.last_seen.max(now);
        if before.run == run {
            Self { last_seen, seq: before.seq.max(seq), ..before }
        } else {
            // Once they have shown, they are counted anew: a review must not be undone by what came before it.
            let count = if before.is_return(run) { (before.returns.count + 1) % limits::RUN_RETURNS } else { 0 };
            let returns = RunReturns { count, is_back: false };
            Self { last_seen, run, seq, previous: Some((before.run, before.seq)), returns }
        }
    }

    fn was_before(&self, run: RunId) -> bool {
        self.previous.is_some_and(|(was, _)| was == run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u8) -> RunId {
        RunId::from_bytes([number; 16])
    }

    /// What is known after these messages, each the first of its run, and whether one of them has shown two holders.
    fn after(messages: &[Message]) -> (LastSeen, bool) {
        let at = Timestamp::from_millis(1);
        let mut seen = LastSeen::advanced(None, run(0), 1, at);
        let mut shown = false;
        for message in messages {
            match message {
                Message::Refused(number) => seen = seen.noted_return(run(*number)),
                Message::Begins(number) => {
                    shown |= seen.shows_two_holders(run(*number));
                    seen = LastSeen::advanced(Some(seen), run(*number), 1, at);
                }
            }
        }
        (seen, shown)
    }

    enum Message {
        /// It was told to draw a new run id.
        Refused(u8),
        /// A run begins.
        Begins(u8),
    }
    use Message::{Begins, Refused};

    #[test]
    fn two_machines_that_draw_a_new_run_at_each_refusal_show() {
        let mut messages = vec![Begins(1), Refused(0), Begins(2), Refused(1), Begins(3)];
        assert!(!after(&messages).1, "twice may be chance");
        messages.extend([Refused(2), Begins(4)]);
        assert!(after(&messages).1);
        assert_eq!(after(&messages).0.returns, RunReturns::default(), "counted anew");
    }

    #[test]
    fn two_machines_that_say_everything_at_each_check_in_show_too() {
        assert!(after(&[Begins(1), Begins(0), Begins(1), Begins(0)]).1);
    }

    #[test]
    fn restarts_late_messages_and_rollbacks_of_one_machine_do_not() {
        let restarts: Vec<Message> = (1..100).map(Begins).collect();
        assert!(!after(&restarts).1);
        let late_once_each = [Begins(1), Begins(2), Refused(1), Begins(3), Begins(4), Refused(3), Begins(5), Begins(6)];
        assert!(!after(&late_once_each).1);
        // Back to the same run, again and again: only the run before is known.
        let rolled_back: Vec<Message> = (1..100).flat_map(|number| [Refused(0), Begins(number)]).collect();
        assert!(!after(&rolled_back).1);
        // Each command by hand beside a service is a run, after which the service draws a new one.
        let by_hand: Vec<Message> = (0..60).flat_map(|n| [Begins(200 + n % 50), Refused(n), Begins(n + 1)]).collect();
        assert!(!after(&by_hand).1);
    }

    #[test]
    fn returns_are_stored_and_read() {
        for code in 0..2 * limits::RUN_RETURNS {
            assert_eq!(RunReturns::from_code(code).code(), code);
        }
    }
}
