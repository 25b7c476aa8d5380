//! Finishes what a source has read, on its own thread: removes what belongs to one person or one day, encodes the section within
//! the limits, and keeps nothing else of it in memory.

use std::sync::{Arc, Mutex, PoisonError};

use muster_proto::canonical;
use muster_proto::limits;
use muster_proto::model::{Digest, Outcome, Platform, Section, SnapshotEntry, SourceName, UserScope};

use super::EncodedSection;
use super::people::{self, UserItems};
use super::redact::Redactor;
use crate::memory::{SECTION_SHARE, SECTIONS_BYTES};
use crate::sources::{self, SourceReading};

/// What the sections of one scan may still take, apart from the share of each.
#[derive(Debug)]
pub(super) struct SectionSpace(Mutex<usize>);

impl SectionSpace {
    pub(super) fn new(sources: usize) -> Self {
        Self(Mutex::new(SECTIONS_BYTES.saturating_sub(sources * SECTION_SHARE)))
    }

    /// Takes what a section of this length may have.
    fn take(&self, length: usize) -> usize {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = length.saturating_sub(SECTION_SHARE).min(*spare);
        *spare -= taken;
        length.min(SECTION_SHARE + taken)
    }
}

/// What finishing needs to know of the machine. It is known when facts and state are.
#[derive(Debug)]
pub(super) struct Finisher {
    pub(super) platform: Platform,
    pub(super) redactor: Redactor,
    /// What is unknown of facts and state: a part of the outcome of `host`.
    pub(super) unknown: Vec<String>,
    /// The version of the watchlist, for the sources that use it.
    pub(super) watchlist: u64,
    /// Whether the names of the services are needed for the state of the machine.
    pub(super) wants_services: bool,
    pub(super) user_scope: UserScope,
    pub(super) user_key: Option<[u8; 32]>,
    pub(super) space: Arc<SectionSpace>,
}

/// A source that has been read, with its section encoded.
#[derive(Debug)]
pub(super) struct FinishedSource {
    pub(super) entry: SnapshotEntry,
    pub(super) section: Option<EncodedSection>,
    /// How completely it was read, before its section was cut.
    pub(super) outcome: Outcome,
    pub(super) user_items: UserItems,
    /// The names of the services, if this is their source and they are needed.
    pub(super) services: Vec<String>,
}

impl Finisher {
    pub(super) fn finish(
        &self,
        source: SourceName,
        uses_watchlist: bool,
        mut reading: SourceReading,
    ) -> FinishedSource {
        if source == SourceName::Host {
            reading.add_unknown(&self.unknown);
        }
        let mut home_items = std::mem::take(&mut reading.home_items);
        // An id can be a path or have the identifier of a user in it.
        home_items.iter_mut().for_each(|item| item.place = self.redactor.text(&item.place));
        let user_items = UserItems::of(home_items, self.user_scope, self.user_key.as_ref());
        // Before the section is encoded, because a digest must not depend on user names either.
        reading.observations.iter_mut().for_each(|observation| self.redactor.redact(observation));
        let is_wanted = self.wants_services && source == sources::service_source(self.platform);
        let services = if is_wanted {
            reading.observations.iter().map(|observation| observation.name.clone()).collect()
        } else {
            Vec::new()
        };
        let outcome = reading.outcome;
        // A new list must not change the entries of sources that do not use it.
        let watchlist = if uses_watchlist { self.watchlist } else { 0 };
        let (entry, section) = self.encode(source, reading, watchlist);
        FinishedSource { entry, section, outcome, user_items, services }
    }

    /// Builds the snapshot entry and the section of a source, within the limits of the contract and of the agent's memory.
    fn encode(
        &self,
        source: SourceName,
        reading: SourceReading,
        watchlist: u64,
    ) -> (SnapshotEntry, Option<EncodedSection>) {
        let SourceReading { mut outcome, mut reason, observations, home_items: _ } = reading;
        let mut section = Section::new(self.platform, source, observations);
        let total = section.observations().len();
        section.truncate(limits::OBSERVATIONS_PER_SECTION);
        let (items, length) = canonical::observations_within(&section, limits::SECTION_BYTES);
        section.truncate(items);
        if items < total {
            outcome = Outcome::Partial;
            reason = format!("only {items} of {total} observations fit in a section");
        }
        let (fitting, _) = canonical::observations_within(&section, self.space.take(length));
        if fitting < items {
            section.truncate(fitting);
            outcome = Outcome::Partial;
            let limit = SECTIONS_BYTES / (1024 * 1024);
            reason =
                format!("only {fitting} of {total} observations fit in the {limit} MiB for all sections of a scan");
        }
        let items = section.observations().len();
        // The collector refuses an outcome that its section contradicts.
        if matches!(outcome, Outcome::Found | Outcome::Empty) {
            outcome = if items > 0 { Outcome::Found } else { Outcome::Empty };
        }
        let canonical = canonical::section_bytes(&section);
        let encoded = (items > 0).then(|| EncodedSection { source, digest: Digest::of(&canonical), items, canonical });
        let digest = encoded.as_ref().map(|encoded| encoded.digest);
        let reason = self.redactor.reason(source, &reason);
        (SnapshotEntry { source, outcome, reason, watchlist, section: digest }, encoded)
    }
}

/// All user items of a scan, and how complete they are.
pub(super) fn user_items(
    finished: Vec<UserItems>,
    scope: UserScope,
    homes_complete: bool,
) -> (Vec<muster_proto::model::UserItem>, Option<Outcome>) {
    let (items, outcome) = people::items(finished, scope);
    (items, if homes_complete { outcome } else { outcome.map(people::incomplete) })
}

#[cfg(test)]
mod tests {
    use muster_proto::model::{Kind, Observation};

    use super::*;

    fn finisher(space: usize) -> Finisher {
        let platform = Platform::Linux;
        Finisher {
            platform,
            redactor: Redactor::new(platform, Vec::new()),
            unknown: Vec::new(),
            watchlist: 1,
            wants_services: false,
            user_scope: UserScope::None,
            user_key: None,
            space: Arc::new(SectionSpace(Mutex::new(space))),
        }
    }

    fn many(count: usize, length: usize) -> SourceReading {
        let observation = |n: usize| Observation::new(Kind::Path, format!("/p/{n:06}{}", "x".repeat(length)));
        SourceReading::complete((0..count).map(observation).collect())
    }

    #[test]
    fn a_section_over_the_limit_is_cut_and_the_outcome_is_partial() {
        let finished = finisher(usize::MAX / 2).finish(
            SourceName::WatchPaths,
            true,
            many(limits::OBSERVATIONS_PER_SECTION + 1, 0),
        );
        assert_eq!(finished.entry.outcome, Outcome::Partial);
        let section = finished.section.expect("a section");
        canonical::read_section(&section.canonical).expect("within the limits");
        assert_eq!(finished.entry.reason, "only 20000 of 20001 observations fit in a section");
        let finished = finisher(usize::MAX / 2).finish(SourceName::WatchPaths, true, many(15_000, 480));
        let section = finished.section.expect("a section");
        assert!(section.canonical.len() <= limits::SECTION_BYTES);
        assert!(section.canonical.len() > limits::SECTION_BYTES - 1024, "as much as fits");
        canonical::read_section(&section.canonical).expect("within the limits");
    }

    #[test]
    fn all_sections_together_have_a_limit_and_each_has_its_share() {
        let finisher = finisher(SECTION_SHARE);
        let mut lengths = Vec::new();
        for source in [SourceName::Dpkg, SourceName::Rpm, SourceName::Apk] {
            let finished = finisher.finish(source, false, many(4000, 480));
            assert_eq!(finished.entry.outcome, Outcome::Partial);
            let reason = finished.entry.reason;
            assert!(reason.ends_with("of 4000 observations fit in the 10 MiB for all sections of a scan"), "{reason}");
            let section = finished.section.expect("a section");
            canonical::read_section(&section.canonical).expect("canonical");
            lengths.push(section.canonical.len() / 1000);
        }
        assert_eq!(lengths, [786, 392, 392]);
        let small = finisher.finish(SourceName::Snap, false, many(500, 480));
        assert_eq!((small.entry.outcome, small.section.map(|section| section.items)), (Outcome::Found, Some(500)));
    }
}
