//! Whether an event opens a duty, given those that are stored.

use muster_proto::model::{DutyState, Timestamp};

use crate::judge::NewDuty;

/// Why a duty cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishRefusal {
    /// There is none with this number at the caller's sites.
    Unknown,
    /// It is done already.
    Done,
    /// It was closed when its order was switched off.
    Closed,
    /// Other rules than those of this collector are in force, which may have other clocks.
    OtherRules,
}

/// A stored duty with the order, the clock and the subject of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct StoredDuty {
    pub(in crate::store) number: i64,
    pub(in crate::store) opened: Timestamp,
    pub(in crate::store) state: DutyState,
}

/// What an event writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Opening {
    /// Nothing.
    Nothing,
    /// A new duty.
    Insert,
    /// The duty that was closed when its order was switched off.
    Reopen(i64),
    /// An earlier instant of an open duty that is enough for all events.
    MoveBack(i64),
}

/// Open duties of one clock about one host. A host on which a product comes and goes opens one each time; this many are enough to
/// say so, and a host must not fill the table.
pub(in crate::store) const MOST_OF_HOST: u64 = 16;

/// Decides what an event writes. `open` is how many duties with the order, the clock and the subject of the new one are open.
pub(in crate::store) fn opening(stored: &[StoredDuty], open: u64, new: &NewDuty) -> Opening {
    // An event that comes again, for example because a job was interrupted, must not open a second duty.
    if let Some(same) = stored.iter().find(|duty| duty.opened == new.opened) {
        return if same.state == DutyState::Closed { Opening::Reopen(same.number) } else { Opening::Nothing };
    }
    // Hosts are not read in the order in which something was found on them.
    match stored.iter().find(|duty| new.once && duty.state != DutyState::Closed) {
        Some(duty) if duty.state == DutyState::Open && new.opened < duty.opened => Opening::MoveBack(duty.number),
        Some(_) => Opening::Nothing,
        None if open >= MOST_OF_HOST && new.by_finding => Opening::Nothing,
        None => Opening::Insert,
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{DutySubject, OrderId};

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_event_opens_a_duty_once_and_a_closed_one_again() {
        let new = |opened, once| NewDuty {
            order: OrderId::new("order").expect("valid"),
            clock: "report".to_owned(),
            subject: DutySubject::Order,
            opened: at(opened),
            due: at(100),
            once,
            by_finding: false,
        };
        let stored = |opened, state| [StoredDuty { number: 7, opened: at(opened), state }];
        use DutyState::{Closed, Done, Open};
        assert_eq!(opening(&[], 0, &new(1, true)), Opening::Insert);
        for state in [Open, Done] {
            assert_eq!(opening(&stored(1, state), 1, &new(1, false)), Opening::Nothing, "the same event");
            assert_eq!(opening(&stored(1, state), 1, &new(2, false)), Opening::Insert, "another event");
            assert_eq!(opening(&stored(1, state), 1, &new(2, true)), Opening::Nothing, "one is enough");
        }
        assert_eq!(opening(&stored(2, Open), 1, &new(1, true)), Opening::MoveBack(7), "it was found earlier elsewhere");
        assert_eq!(opening(&stored(2, Done), 1, &new(1, true)), Opening::Nothing);
        assert_eq!(opening(&stored(1, Closed), 1, &new(1, true)), Opening::Reopen(7));
        assert_eq!(opening(&stored(1, Closed), 1, &new(2, true)), Opening::Insert);
        for (open, opened) in [(MOST_OF_HOST - 1, Opening::Insert), (MOST_OF_HOST, Opening::Nothing)] {
            let found = NewDuty { by_finding: true, ..new(2, false) };
            assert_eq!(opening(&stored(1, Open), open, &found), opened, "a product that comes and goes");
            assert_eq!(opening(&stored(1, Open), open, &new(2, false)), Opening::Insert, "another month");
        }
        assert_eq!(opening(&stored(1, Closed), MOST_OF_HOST, &new(1, false)), Opening::Reopen(7));
    }
}
