//! Facts and state of a machine, collected in parts. Each part is read on its own thread under the time limit, as a source
//! is: a part that hangs is unknown, and the others are reported.

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{HostFacts, HostState, Outcome};

use super::ScanContext;

/// What the parts have found.
#[derive(Debug)]
pub struct Record {
    /// Host name, operating system and architecture.
    pub facts: HostFacts,
    /// What differs from host to host and from day to day.
    pub state: HostState,
    /// Home directories, and parents of home directories with a trailing slash (`/home/`): no path below them may leave with
    /// a user name in it. `None` if they are unknown.
    pub homes: Option<Vec<String>>,
    /// Of the machine: a hash of its id. `None` if the id is unknown.
    pub fingerprint: Option<[u8; 32]>,
    /// Every unit with a process, or why that is unknown.
    pub(super) running_units: Result<BTreeSet<String>, Outcome>,
    /// Whether systemd runs, or why that is unknown.
    pub(super) has_systemd: Result<bool, Outcome>,
}

/// Enters what a part has found.
pub type Enter = Box<dyn FnOnce(&mut Record) + Send>;

/// A part of the record.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// What is unknown without it, as in "cannot read the host name".
    pub what: &'static str,
    /// Reads it.
    pub read: fn(&ScanContext) -> Enter,
    /// Enters that it could not be read.
    pub unread: fn(&mut Record),
}

impl Record {
    /// The record before any part is read: only facts that no file is needed for.
    pub(super) const fn of(facts: HostFacts, state: HostState) -> Self {
        let (running_units, has_systemd) = (Err(Outcome::NotApplicable), Ok(false));
        Self { facts, state, homes: None, fingerprint: None, running_units, has_systemd }
    }

    /// Sorts the lists of the state, so that the order in which parts finish does not show, and cuts them to the limits of the
    /// contract.
    pub(super) fn bound(&mut self) {
        bound(&mut self.state);
    }
}

fn bound(state: &mut HostState) {
    state.units.sort();
    if state.units.len() > limits::UNITS_PER_HOST {
        state.units.truncate(limits::UNITS_PER_HOST);
        // One that was cut off would look as if it did not run.
        state.units_outcome = Some(Outcome::Partial);
    }
    state.signatures.sort();
    state.signatures.truncate(limits::SIGNATURES_PER_HOST);
    state.realtime.sort();
    state.realtime.dedup();
    if state.realtime.len() > limits::REALTIME_PER_HOST {
        state.realtime.truncate(limits::REALTIME_PER_HOST);
        state.realtime_outcome = Some(Outcome::Partial);
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::model::UnitState;

    use super::*;

    #[test]
    fn a_list_that_was_cut_is_not_complete() {
        let unit = |n: usize| UnitState { name: format!("unit {n:04}"), active: true };
        for (more, outcome) in [(0, Outcome::Found), (1, Outcome::Partial)] {
            let units = (0..limits::UNITS_PER_HOST + more).map(unit).collect();
            let mut state = HostState { units, units_outcome: Some(Outcome::Found), ..HostState::default() };
            bound(&mut state);
            assert_eq!((state.units.len(), state.units_outcome), (limits::UNITS_PER_HOST, Some(outcome)));
        }
    }
}
