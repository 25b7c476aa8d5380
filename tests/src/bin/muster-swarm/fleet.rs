//! A model of a fleet: what each of its hosts would see of itself on a day. Pure: the same seed, host and day give the
//! same bytes on every machine, so a fleet needs no storage but its model.
//!
//! `images` is a fleet as they are: few golden images, patch levels that drift, users' own programs, rare titles.
//! `distinct` is the worst that a collector can meet: no section of one host is that of another.

mod distinct;
mod images;
mod machine;
mod shares;
mod titles;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use clap::ValueEnum;
use muster_proto::canonical::{section_bytes, snapshot_bytes};
use muster_proto::model::{
    Digest, HostFacts, HostState, Observation, Outcome, Platform, Section, Snapshot, SnapshotEntry, SourceName,
};
use muster_tests::chance::Chance;
use serde::{Deserialize, Serialize};

pub(crate) use shares::Shares;

/// How alike the hosts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    /// Golden images and what people do to them.
    Images,
    /// No two hosts share a section.
    Distinct,
}

/// All that the contents of a fleet follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Model {
    /// Where chance begins.
    pub(crate) seed: u64,
    /// How alike the hosts are.
    pub(crate) profile: Profile,
    /// What the fleet is made of.
    pub(crate) shares: Shares,
}

/// What a host sees of itself on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    /// How it describes itself.
    pub(crate) facts: HostFacts,
    /// What differs from host to host.
    pub(crate) state: HostState,
    /// The tree above the sections.
    pub(crate) snapshot: Snapshot,
    /// What the sources saw, in the order of the source codes.
    pub(crate) sections: Vec<Section>,
}

/// The same, as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// How it describes itself.
    pub(crate) facts: HostFacts,
    /// What differs from host to host.
    pub(crate) state: HostState,
    /// The name of the snapshot.
    pub(crate) snapshot_digest: Digest,
    /// Canonical bytes of the snapshot.
    pub(crate) snapshot: Bytes,
    /// Name and canonical bytes of every section.
    pub(crate) sections: Vec<(Digest, Bytes)>,
}

impl Model {
    /// What the host sees on the day.
    pub(crate) fn sight(&self, host: u64, day: u64) -> Sight {
        let machine = self.machine(host);
        let seen = match self.profile {
            Profile::Images => self.image_sources(host, &machine, day),
            Profile::Distinct => self.distinct_sources(host, &machine, day),
        };
        let (snapshot, sections) = put_together(machine.platform, seen);
        let state = self.state(host, &machine, day);
        Sight { facts: self.facts(host, &machine), state, snapshot, sections }
    }

    /// Chance for one question about one thing: answers do not depend on what else was asked.
    fn chance(&self, question: &str, of: &[u64]) -> Chance {
        let start = question.bytes().fold(self.seed, |state, byte| Chance::new(state ^ u64::from(byte)).number());
        Chance::new(of.iter().fold(start, |state, number| Chance::new(state ^ number).number()))
    }

    fn happens(&self, question: &str, of: &[u64], percent: u64) -> bool {
        self.chance(question, of).below(100) < percent
    }
}

impl Report {
    /// The bytes of what was seen.
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

    /// Canonical bytes of snapshot and sections together.
    pub(crate) fn size(&self) -> usize {
        self.snapshot.len() + self.sections.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }
}

/// What one source came back with; none of it when it does not apply.
type Seen = (SourceName, Option<Vec<Observation>>);

fn put_together(platform: Platform, seen: Vec<Seen>) -> (Snapshot, Vec<Section>) {
    let mut entries = Vec::with_capacity(seen.len());
    let mut sections = Vec::with_capacity(seen.len());
    for (source, observations) in seen {
        let watchlist = u64::from(source == SourceName::WatchPaths);
        let outcome = match &observations {
            None => Outcome::NotApplicable,
            Some(seen) if seen.is_empty() => Outcome::Empty,
            Some(_) => Outcome::Found,
        };
        let section = observations.filter(|seen| !seen.is_empty()).map(|seen| Section::new(platform, source, seen));
        let digest = section.as_ref().map(muster_proto::canonical::section_digest);
        entries.push(SnapshotEntry { source, outcome, reason: String::new(), watchlist, section: digest });
        sections.extend(section);
    }
    (Snapshot::new(platform, entries), sections)
}
