//! One look at a machine: runs every source under a time limit, makes sections of what they saw, and names all by digest.
//!
//! A source that fails, hangs or panics is an outcome in the scan. Before anything becomes bytes it passes `redact`:
//! what belongs to one person or one day does not get into a section.

mod people;
mod redact;
mod run;

use std::sync::Arc;
use std::time::Duration;

use muster_proto::canonical;
use muster_proto::limits;
use muster_proto::model::{
    Digest, HostFacts, HostState, Outcome, Section, Snapshot, SnapshotEntry, SourceName, UserScope, Watchlist,
};

use crate::sources::{self, PLATFORM, ScanContext, Source, SourceReading};
use redact::Redactor;
pub use run::LeftBehind;

/// How to look.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// The sources to ask; empty means all. A scan of fewer is for showing, never for sending.
    pub sources: Vec<SourceName>,
    /// What to test for existence.
    pub watchlist: Watchlist,
    /// How long one source may take.
    pub time_limit: Duration,
    /// How much is told of who has what in a home.
    pub user_scope: UserScope,
    /// The secret of this host from which it makes pseudonyms; without it nothing is told of people.
    pub user_key: Option<[u8; 32]>,
    /// What earlier scans have left behind.
    pub left_behind: LeftBehind,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            watchlist: sources::watchlist::builtin(),
            time_limit: Duration::from_secs(60),
            user_scope: UserScope::None,
            user_key: None,
            left_behind: LeftBehind::default(),
        }
    }
}

/// A scan and everything that belongs to it.
#[derive(Debug, Clone)]
pub struct ScanResult {
    /// Every source with its outcome.
    pub snapshot: Snapshot,
    /// The sections that the scan names, in the order of the sources.
    pub sections: Vec<SectionTaken>,
    /// What differs by host and day.
    pub state: HostState,
    /// How the host describes itself.
    pub facts: HostFacts,
    /// How long each source took.
    pub took: Vec<(SourceName, Duration)>,
}

/// A section in its canonical bytes: what is uploaded, and what the digest is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionTaken {
    /// The source.
    pub source: SourceName,
    /// Its name.
    pub digest: Digest,
    /// How many observations it holds.
    pub items: usize,
    /// The canonical bytes.
    pub canonical: Vec<u8>,
}

impl ScanResult {
    /// The digest that names the scan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        canonical::snapshot_digest(&self.snapshot)
    }

    /// The section of a source, when something was seen there.
    #[must_use]
    pub fn section(&self, source: SourceName) -> Option<&SectionTaken> {
        self.sections.iter().find(|section| section.source == source)
    }
}

/// Looks at a machine once. Always returns: what could not be seen is said in the outcomes.
#[must_use]
pub fn scan_root(root: sources::root::Root, options: &ScanOptions) -> ScanResult {
    scan_with(sources::all(), root, options)
}

fn scan_with(all: Vec<Box<dyn Source>>, root: sources::root::Root, options: &ScanOptions) -> ScanResult {
    let context = Arc::new(ScanContext::new(root, options.watchlist.clone()));
    let wanted = |source: &dyn Source| options.sources.is_empty() || options.sources.contains(&source.name());
    let chosen: Vec<Box<dyn Source>> = all.into_iter().filter(|source| wanted(source.as_ref())).collect();
    let redactor = Redactor::new(sources::homes(&context));

    let mut entries = Vec::new();
    let mut sections = Vec::new();
    let mut took = Vec::new();
    let mut owned = Vec::new();
    let mut homes_seen = true;
    let mut units = (Vec::new(), Outcome::NotApplicable);
    for ran in run::all(chosen, &context, options.time_limit, &options.left_behind) {
        let mut reading = ran.reading;
        owned.append(&mut reading.owned);
        homes_seen &= !people::HOME_SOURCES.contains(&ran.source) || is_whole(reading.outcome);
        reading.observations.iter_mut().for_each(|observation| redactor.redact(observation));
        if ran.source == SourceName::SystemdUnits {
            units.0 = reading.observations.iter().map(|observation| observation.name.clone()).collect();
            units.1 = reading.outcome;
        }
        let watchlist = if ran.uses_watchlist { context.watchlist.version } else { 0 };
        let (entry, section) = seal(ran.source, reading, watchlist, &redactor);
        entries.push(entry);
        sections.extend(section);
        took.push((ran.source, ran.took));
    }
    sections.sort_by_key(|section| section.source);
    took.sort();
    let mut state = sources::state(&context, &units.0, units.1);
    state.units.sort();
    let (items, outcome) = people::items(owned, options.user_scope, options.user_key.as_ref());
    (state.user_items, state.users_outcome) = (items, if homes_seen { outcome } else { outcome.map(people::less) });
    let facts = sources::facts(&context);
    context.root.close();
    ScanResult { snapshot: Snapshot::new(PLATFORM, entries), sections, state, facts, took }
}

/// Whether nothing was missed.
fn is_whole(outcome: Outcome) -> bool {
    outcome.is_complete() || outcome == Outcome::NotApplicable
}

/// Turns what a source saw into its entry and its section, within the limits of the contract.
fn seal(
    source: SourceName,
    reading: SourceReading,
    watchlist: u64,
    redactor: &Redactor,
) -> (SnapshotEntry, Option<SectionTaken>) {
    let SourceReading { mut outcome, mut reason, observations, owned: _ } = reading;
    let mut section = Section::new(PLATFORM, source, observations);
    let mut canonical = canonical::section_bytes(&section);
    let mut items = section.observations().len();
    let seen = items;
    while items > limits::OBSERVATIONS_PER_SECTION || canonical.len() > limits::SECTION_BYTES {
        items = (items / 2).min(limits::OBSERVATIONS_PER_SECTION);
        section = Section::new(PLATFORM, source, section.observations()[..items].to_vec());
        canonical = canonical::section_bytes(&section);
        outcome = Outcome::Partial;
        reason = format!("{items} of {seen} observations fit into a section");
    }
    let taken = (items > 0).then(|| SectionTaken { source, digest: Digest::of(&canonical), items, canonical });
    let digest = taken.as_ref().map(|taken| taken.digest);
    let reason = redactor.text(&reason);
    (SnapshotEntry { source, outcome, reason, watchlist, section: digest }, taken)
}

#[cfg(test)]
mod tests;
