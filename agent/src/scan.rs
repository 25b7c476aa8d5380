//! Scans a machine once: runs every source under a time limit, builds a section from each reading, and names everything by
//! its digest.
//!
//! A source that fails, hangs or panics becomes an outcome in the snapshot. What is unknown of facts and state becomes the
//! outcome of the source `host`. Everything passes `redact` before it is encoded: what belongs to one person or one day must not
//! get into a section. A source encodes its section as soon as it has finished, so that only the encoded form stays in memory.

mod encode;
mod people;
mod redact;
mod run;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use muster_proto::canonical;
use muster_proto::model::{
    Digest, HostFacts, HostState, IdentityScope, Outcome, Platform, Snapshot, SourceName, UserScope, Watchlist,
};

use muster_proto::terminal::Progress;

use crate::deadline::StuckWork;
use crate::sources::parse::windows::wmi::Answers;
use crate::sources::record::{Part, Record};
use crate::sources::root::{Accesses, Root};
use crate::sources::{self, ScanContext, Source};
use encode::{FinishedSource, Finisher, SectionSpace};
use redact::Redactor;

/// How to scan.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// The sources to read; empty means all. A scan of fewer sources is for printing only and must not be sent.
    pub sources: Vec<SourceName>,
    /// The watchlist for the sources that use one; `None` for the built-in one of the platform that is scanned.
    pub watchlist: Option<Watchlist>,
    /// Recorded answers of Windows Management Instrumentation, for a root that is not running.
    pub wmi: Option<Arc<Answers>>,
    /// Keep what Windows Management Instrumentation answers, to be recorded.
    pub keep_wmi: bool,
    /// Time limit per source.
    pub time_limit: Duration,
    /// Which software in home directories is attributed to users.
    pub user_scope: UserScope,
    /// Whether what identifies the machine beyond its host name is reported.
    pub identity: IdentityScope,
    /// This host's secret for user pseudonyms. Without it nothing is attributed to users.
    pub user_key: Option<[u8; 32]>,
    /// What an earlier scan remembers.
    pub memory: ScanMemory,
    /// Counts the sources that have been read.
    pub progress: Progress,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            watchlist: None,
            wmi: None,
            keep_wmi: false,
            time_limit: Duration::from_secs(60),
            user_scope: UserScope::None,
            identity: IdentityScope::Full,
            user_key: None,
            memory: ScanMemory::default(),
            progress: Progress::default(),
        }
    }
}

/// The snapshot of one scan, with everything that belongs to it.
#[derive(Debug, Clone)]
pub struct ScanResult {
    /// The outcome and section digest of every source.
    pub snapshot: Snapshot,
    /// The sections that the snapshot names, in the order of the sources.
    pub sections: Vec<EncodedSection>,
    /// What differs from host to host and from day to day.
    pub state: HostState,
    /// Host name, operating system and architecture.
    pub facts: HostFacts,
    /// The fingerprint of the machine; `None` if its id is unknown.
    pub fingerprint: Option<[u8; 32]>,
    /// The duration of each source.
    pub took: Vec<(SourceName, Duration)>,
    /// Every path that was read and by which part of the scan, if the root recorded them.
    pub accessed: Accesses,
    /// What Windows Management Instrumentation answered, if the options ask for it.
    pub wmi: Answers,
}

/// A section in canonical bytes: what is uploaded, and what its digest is computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSection {
    /// The source.
    pub source: SourceName,
    /// The digest of the canonical bytes.
    pub digest: Digest,
    /// How many observations it contains.
    pub items: usize,
    /// The canonical bytes.
    pub canonical: Vec<u8>,
}

impl ScanResult {
    /// The digest of the snapshot.
    #[must_use]
    pub fn digest(&self) -> Digest {
        canonical::snapshot_digest(&self.snapshot)
    }

    /// The section of a source; `None` when the source found nothing.
    #[must_use]
    pub fn section(&self, source: SourceName) -> Option<&EncodedSection> {
        self.sections.iter().find(|section| section.source == source)
    }
}

/// What one scan remembers for the next one.
#[derive(Debug, Clone, Default)]
pub struct ScanMemory {
    stuck: StuckWork,
    /// The home directories, for a scan that cannot read them.
    homes: Arc<Mutex<Option<Vec<String>>>>,
}

impl ScanMemory {
    /// What to remove from everything that is sent. Remembers home directories that are known.
    fn redactor(&self, platform: Platform, homes: Option<Vec<String>>) -> Redactor {
        let mut remembered = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        if homes.is_some() {
            remembered.clone_from(&homes);
        }
        let known = remembered.clone();
        known.map_or_else(|| Redactor::without_accounts(platform), |homes| Redactor::new(platform, homes))
    }
}

/// Scans a machine once. It always returns: what could not be read is recorded in the outcomes.
#[must_use]
pub fn scan_root(root: Root, options: &ScanOptions) -> ScanResult {
    scan_with(sources::all(root.platform()), root, options)
}

/// Reads only the facts about a machine. What could not be read is empty, and logged.
#[must_use]
pub fn read_facts(root: Root, options: &ScanOptions) -> HostFacts {
    let context = run::context(root, options);
    let mut record = sources::record(&context);
    let parts = run::start_parts(fact_parts(&context, options), &context, options);
    log_unknown(&run::enter_parts(parts, &mut record));
    context.root.close();
    record.facts.cleaned()
}

/// The parts of the facts, as far as the options want them.
fn fact_parts(context: &ScanContext, options: &ScanOptions) -> impl Iterator<Item = &'static Part> {
    let identity = match options.identity {
        IdentityScope::Full => sources::identity_parts(context),
        IdentityScope::None => &[],
    };
    sources::fact_parts(context).iter().chain(identity)
}

fn log_unknown(unknown: &[String]) {
    unknown.iter().for_each(|reason| tracing::warn!("{reason}"));
}

fn scan_with(all: Vec<Box<dyn Source>>, root: Root, options: &ScanOptions) -> ScanResult {
    scan_machine(all, &run::context(root, options), options)
}

fn scan_machine(all: Vec<Box<dyn Source>>, context: &Arc<ScanContext>, options: &ScanOptions) -> ScanResult {
    let platform = context.platform();
    let wanted = |source: &dyn Source| options.sources.is_empty() || options.sources.contains(&source.name());
    let chosen: Vec<Box<dyn Source>> = all.into_iter().filter(|source| wanted(source.as_ref())).collect();
    let space = Arc::new(SectionSpace::new(chosen.len()));
    let finisher = Arc::new(OnceLock::new());
    let running = run::start_sources(chosen, context, options, &finisher);
    let parts = fact_parts(context, options).chain(sources::state_parts(context));
    let parts = run::start_parts(parts, context, options);
    let mut record = sources::record(context);
    let unknown = run::enter_parts(parts, &mut record);
    log_unknown(&unknown);
    let finisher = finisher.get_or_init(|| Finisher {
        platform,
        redactor: options.memory.redactor(platform, record.homes.take()),
        unknown,
        watchlist: context.watchlist.version,
        wants_services: context.root.is_running_system(),
        user_scope: options.user_scope,
        user_key: options.user_key,
        space,
    });

    let mut entries = Vec::new();
    let mut sections = Vec::new();
    let mut took = Vec::new();
    let mut user_items = Vec::new();
    let mut homes_complete = true;
    let mut services = (Vec::new(), Outcome::NotApplicable);
    for source in running {
        let (FinishedSource { entry, section, outcome, user_items: of_source, services: names }, time) =
            source.wait(options, finisher);
        homes_complete &= !sources::home_sources(platform).contains(&entry.source) || missed_nothing(outcome);
        if entry.source == sources::service_source(platform) {
            services = (names, outcome);
        }
        took.push((entry.source, time));
        user_items.push(of_source);
        entries.push(entry);
        sections.extend(section);
    }
    sections.sort_by_key(|section| section.source);
    took.sort();
    sources::finish(&mut record, context, &services.0, services.1);
    // Sources over their time limit still hold the context. Their next access fails, and their threads end.
    context.root.close();
    let Record { facts, mut state, fingerprint, .. } = record;
    (state.user_items, state.users_outcome) = encode::user_items(user_items, options.user_scope, homes_complete);
    // Names of files and processes are chosen by the host's users, and the collector refuses texts that cannot be seen.
    let (facts, state) = (facts.cleaned(), state.cleaned());
    let accessed = context.root.accessed();
    let wmi = if options.keep_wmi { context.wmi.answers() } else { Answers::default() };
    ScanResult { snapshot: Snapshot::new(platform, entries), sections, state, facts, fingerprint, took, accessed, wmi }
}

/// Whether the source read everything that it should read.
fn missed_nothing(outcome: Outcome) -> bool {
    outcome.is_complete() || outcome == Outcome::NotApplicable
}

#[cfg(test)]
mod mac_tests;
#[cfg(test)]
mod tests;
