//! The log of a simulated migration: what happened, and when. It knows nothing of the store, the judge and the reports.

use muster_proto::model::Timestamp;

/// What an agent has seen on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    /// The package database could be read. Otherwise nothing else is known.
    pub(super) is_readable: bool,
    /// A product of the order is installed.
    pub(super) product: bool,
    /// An accepted product protects the host.
    pub(super) protection: bool,
    /// How often the host was started.
    pub(super) boot: u32,
}

/// What happened. Hosts and machines of the roster are numbers.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Enrolled {
        host: u32,
        site: &'static str,
    },
    /// A host reported; the report was judged.
    Reported {
        host: u32,
        seen: Seen,
    },
    /// A list has this machine.
    Listed {
        machine: u32,
        site: &'static str,
    },
    /// A host is this machine.
    Matched {
        machine: u32,
        host: u32,
    },
    /// No host has to be this machine.
    Excused {
        machine: u32,
    },
    /// A waiver was approved.
    Waived {
        waiver: u64,
        hosts: Vec<u32>,
        until: Timestamp,
    },
    WaiverEnded {
        waiver: u64,
    },
    Retired {
        host: u32,
    },
    TakenBack {
        host: u32,
    },
    /// From now on hosts may be silent for so many days, and the order applies to these sites; empty means all.
    Rules {
        patience_days: u64,
        sites: &'static [&'static str],
    },
}

/// Everything that happened, in its order.
#[derive(Debug, Default)]
pub(super) struct Log(Vec<(Timestamp, Event)>);

impl Log {
    pub(super) fn add(&mut self, at: Timestamp, event: Event) {
        self.0.push((at, event));
    }

    /// What happened by an instant.
    pub(super) fn until(&self, at: Timestamp) -> impl Iterator<Item = (Timestamp, &Event)> {
        self.0.iter().take_while(move |(then, _)| *then <= at).map(|(then, event)| (*then, event))
    }
}
