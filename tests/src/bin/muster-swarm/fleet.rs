//! A model of a fleet: what a scan of each host finds on each day. It is pure: the same seed, host and day give the same bytes
//! on every machine, so only the model has to be stored.
//!
//! `images` is a realistic fleet: few golden images, different patch levels, programs of users, rare titles. Most of its hosts
//! are `clear`; `shares.rs` has the mix. `distinct` is the worst case for a collector: no two hosts share a section, and none has
//! anything prohibited.

mod distinct;
mod images;
mod machine;
mod macos;
mod reading;
mod shares;
mod titles;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use clap::ValueEnum;
use muster_proto::canonical::{section_bytes, snapshot_bytes};
use muster_proto::model::{Digest, HostFacts, HostState, Section, Snapshot};
use muster_tests::chance::Chance;
use serde::{Deserialize, Serialize};

pub(crate) use shares::Shares;

/// How similar the hosts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    /// Golden images with what users add to them.
    Images,
    /// No two hosts share a section.
    Distinct,
}

/// Everything that determines the contents of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Model {
    /// Seed of the random numbers.
    pub(crate) seed: u64,
    /// How similar the hosts are.
    pub(crate) profile: Profile,
    /// The composition of the fleet.
    pub(crate) shares: Shares,
}

/// The result of a scan of a host on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The host's facts.
    pub(crate) facts: HostFacts,
    /// The host's state.
    pub(crate) state: HostState,
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    /// The sections, in the order of the source codes.
    pub(crate) sections: Vec<Section>,
}

/// The same as bytes for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// The host's facts.
    pub(crate) facts: HostFacts,
    /// The host's state.
    pub(crate) state: HostState,
    /// Digest of the snapshot.
    pub(crate) snapshot_digest: Digest,
    /// Canonical bytes of the snapshot.
    pub(crate) snapshot: Bytes,
    /// Digest and canonical bytes of each section.
    pub(crate) sections: Vec<(Digest, Bytes)>,
}

impl Model {
    /// Scans a host on a day with a version of the watchlist.
    pub(crate) fn sight(&self, host: u64, day: u64, watchlist: u64) -> Sight {
        let machine = self.machine(host);
        let readings = match self.profile {
            Profile::Images => self.image_sources(host, &machine, day),
            Profile::Distinct => self.distinct_sources(host, &machine, day),
        };
        let (snapshot, sections) = reading::put_together(machine.platform, readings, watchlist);
        let state = self.state(host, &machine, day);
        Sight { facts: self.facts(host, &machine), state, snapshot, sections }
    }

    /// Random numbers for one question about one thing, independent of all other questions.
    fn chance(&self, question: &str, of: &[u64]) -> Chance {
        let start = question.bytes().fold(self.seed, |state, byte| Chance::new(state ^ u64::from(byte)).number());
        Chance::new(of.iter().fold(start, |state, number| Chance::new(state ^ number).number()))
    }

    fn happens(&self, question: &str, of: &[u64], percent: u64) -> bool {
        self.chance(question, of).below(100) < percent
    }
}

impl Report {
    /// The bytes of a scan's result.
    pub(crate) fn of(sight: &Sight) -> Self {
        let snapshot = Bytes::from(snapshot_bytes(&sight.snapshot));
        let named = |section: &Section| {
            let bytes = Bytes::from(section_bytes(section));
            (Digest::of(&bytes), bytes)
        };
        Self {
            facts: sight.facts.clone(),
            state: sight.state.clone(),
            snapshot_digest: Digest::of(&snapshot),
            snapshot,
            sections: sight.sections.iter().map(named).collect(),
        }
    }

    /// Number of canonical bytes of snapshot and sections.
    pub(crate) fn size(&self) -> usize {
        self.snapshot.len() + self.sections.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }
}
