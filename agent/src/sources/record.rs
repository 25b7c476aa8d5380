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
        let state = &mut self.state;
        state.units.sort();
        state.signatures.sort();
        state.signatures.truncate(limits::SIGNATURES_PER_HOST);
        state.realtime.sort();
        state.realtime.dedup();
        if state.realtime.len() > limits::REALTIME_PER_HOST {
            state.realtime.truncate(limits::REALTIME_PER_HOST);
            state.realtime_outcome = Some(Outcome::Partial);
        }
    }
}
