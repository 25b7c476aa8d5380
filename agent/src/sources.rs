//! Where this agent can look: the trait of a source, what a source has to work with, and the list for this OS.
//!
//! A source is thin: it reads through [`Root`] and gives the bytes to a pure parser. It judges nothing. What became of
//! looking is part of what it returns; it never leaves out what it could not see. The second room that may say
//! `cfg(target_os)`.

pub mod parse;
pub mod places;
mod portable;
pub mod root;
pub mod watchlist;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
mod unported;
#[cfg(not(target_os = "linux"))]
use unported as platform;

use std::io;

use muster_proto::model::{HostFacts, HostState, Observation, Outcome, Platform, SourceName, Watchlist};

use parse::os_release::OsRelease;
use root::Root;

/// The platform whose sources this agent has.
pub const PLATFORM: Platform = platform::PLATFORM;

/// One place to look.
pub trait Source: Send + Sync {
    /// Its name in the closed list.
    fn name(&self) -> SourceName;

    /// Looks. Called on a thread of its own, which is left behind when the time limit has passed.
    fn read(&self, context: &ScanContext) -> SourceReading;

    /// Whether this source looks only at what the watchlist names.
    fn uses_watchlist(&self) -> bool {
        false
    }
}

/// What every source is given.
#[derive(Debug)]
pub struct ScanContext {
    /// The machine that is looked at.
    pub root: Root,
    /// What it says that it is, or why that is not known.
    pub os: Result<OsRelease, String>,
    /// What to test for existence.
    pub watchlist: Watchlist,
}

impl ScanContext {
    /// Reads what all sources need to know of the machine.
    #[must_use]
    pub fn new(root: Root, watchlist: Watchlist) -> Self {
        let os = platform::os_release(&root);
        Self { root, os, watchlist }
    }
}

/// What a source saw, and what became of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReading {
    /// What became of looking.
    pub outcome: Outcome,
    /// Why, where the outcome is not plain.
    pub reason: String,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// Which of it stands in whose home. Stays here until `snapshot` has put a pseudonym in place of the person.
    pub owned: Vec<Owned>,
}

/// Something that stands in a person's home.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    /// The home. It may be a name of a person, and never leaves.
    pub home: String,
    /// `browser-extension:ID`, `flatpak:ID`, `unit:NAME`.
    pub place: String,
    /// Whether the watchlist names it.
    pub watched: bool,
}

impl SourceReading {
    /// Everything that is there was seen.
    #[must_use]
    pub fn complete(observations: Vec<Observation>) -> Self {
        let outcome = if observations.is_empty() { Outcome::Empty } else { Outcome::Found };
        Self { outcome, reason: String::new(), observations, owned: Vec::new() }
    }

    /// What was seen is there, but more may be.
    #[must_use]
    pub fn partial(observations: Vec<Observation>, reason: impl Into<String>) -> Self {
        let outcome = if observations.is_empty() { Outcome::Failed } else { Outcome::Partial };
        Self { outcome, reason: reason.into(), observations, owned: Vec::new() }
    }

    /// Nothing could be seen.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: reason.into(), observations: Vec::new(), owned: Vec::new() }
    }

    /// This machine has no such place.
    #[must_use]
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotApplicable, reason: reason.into(), observations: Vec::new(), owned: Vec::new() }
    }

    /// Nothing could be seen because the system refused or failed.
    #[must_use]
    pub fn of_error(what: &str, error: &io::Error) -> Self {
        let outcome = if is_denied(error) { Outcome::Denied } else { Outcome::Failed };
        Self { outcome, reason: error_reason(what, error), observations: Vec::new(), owned: Vec::new() }
    }
}

/// One sentence for a failed access: the kind of failure only, which is the same on every machine and in every language.
#[must_use]
pub fn error_reason(what: &str, error: &io::Error) -> String {
    format!("cannot read {what}: {}", error.kind())
}

/// Whether the agent lacks a right, as opposed to a place that is broken.
#[must_use]
pub fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether the error says that nothing stands there.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Every source of this platform. A scan has an entry for each.
#[must_use]
pub fn all() -> Vec<Box<dyn Source>> {
    platform::all()
}

/// The facts of the machine: from the running system, or from the root's files only.
#[must_use]
pub fn facts(context: &ScanContext) -> HostFacts {
    platform::facts(context)
}

/// What differs from host to host and day to day. `units` are the names of the services that were seen, with what
/// became of looking for them. Of a root that is not running nothing is known.
#[must_use]
pub fn state(context: &ScanContext, units: &[String], units_outcome: Outcome) -> HostState {
    if context.root.is_running_system() { platform::state(context, units, units_outcome) } else { HostState::default() }
}

/// Directories that belong to one person each, and what stands before their names (`/home/`): nothing below them may
/// leave under a person's name.
#[must_use]
pub fn homes(context: &ScanContext) -> Vec<String> {
    platform::homes(context)
}
