//! The sources: the places on a machine where software leaves traces. This file has the trait, what a source is given and
//! returns, and the list for each platform.
//!
//! The platform is that of the scanned machine and not of this build: every source compiles everywhere, so that a mounted
//! Windows disk can be scanned on Linux. Only code that asks the running system is below a `cfg`, in `root` and in the
//! folders `live` of the platforms.
//!
//! A source is thin: it reads through [`Root`] and passes the bytes to a pure parser. It judges nothing. Its reading says
//! how completely it could read. Besides `os`, this is the only module that may use `cfg(target_os)`.

mod linux;
mod macos;
pub mod parse;
pub mod places;
mod portable;
mod reading_builder;
pub mod record;
pub mod registry;
pub mod root;
mod system;
pub mod watchlist;
mod windows;
pub mod wmi;

use std::io;
use std::sync::Arc;

use muster_proto::model::{HostState, Observation, Outcome, Platform, SourceName, Watchlist};

use parse::os_release::OsRelease;
use places::{Place, Reach};
use record::{Part, Record};
use registry::Registry;
use root::Root;
use system::System;
use wmi::{Instrumentation, Wmi};

/// One source.
pub trait Source: Send + Sync {
    /// The name in the closed list of the contract.
    fn name(&self) -> SourceName;

    /// Reads the source. Called on its own thread, which is abandoned after the time limit.
    fn read(&self, context: &ScanContext) -> SourceReading;

    /// Whether this source reads only what the watchlist names.
    fn uses_watchlist(&self) -> bool {
        false
    }
}

/// What a source is given to read.
#[derive(Debug)]
pub struct ScanContext {
    /// The machine to scan.
    pub root: Arc<Root>,
    /// Its operating system by `os-release`, or why that is unknown.
    pub os: Result<OsRelease, OsUnknown>,
    /// Its registry, or why it cannot be read; only Windows has one.
    pub registry: Result<Arc<dyn Registry>, OsUnknown>,
    /// The watchlist for the sources that use one.
    pub watchlist: Watchlist,
    /// Windows Management Instrumentation: that of the running system, or what was recorded.
    pub wmi: Wmi,
}

impl ScanContext {
    /// Reads what all sources need to know about the machine, without a time limit.
    #[cfg(test)]
    pub(crate) fn new(root: Root, watchlist: Watchlist) -> Self {
        let (os, root) = (os_release(&root), Arc::new(root));
        Self { registry: registry_of(&root), root, os, watchlist, wmi: Wmi::default() }
    }

    /// The platform of the machine.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.root.platform()
    }
}

/// The operating system of a machine by `os-release`.
///
/// # Errors
/// Why it is unknown.
pub fn os_release(root: &Root) -> Result<OsRelease, OsUnknown> {
    (system(root.platform()).os_release)(root)
}

/// The registry of a machine.
///
/// # Errors
/// Why it cannot be read.
pub fn registry_of(root: &Arc<Root>) -> Result<Arc<dyn Registry>, OsUnknown> {
    match root.platform() {
        Platform::Windows => windows::registry_of(root),
        Platform::Linux | Platform::Macos => Err(OsUnknown::failed("only Windows has a registry")),
    }
}

/// Windows Management Instrumentation of this machine, if it is the running system and has one.
#[must_use]
pub fn instrumentation(root: &Root) -> Option<Arc<dyn Instrumentation>> {
    match root.platform() {
        Platform::Windows if root.is_running_system() => windows::instrumentation(),
        Platform::Windows | Platform::Linux | Platform::Macos => None,
    }
}

/// Why the operating system is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct OsUnknown {
    /// `failed`, `denied` or `timed-out`.
    pub outcome: Outcome,
    /// The reason, for people.
    pub reason: String,
}

impl OsUnknown {
    fn failed(reason: &str) -> Self {
        Self { outcome: Outcome::Failed, reason: reason.to_owned() }
    }

    fn of_error(what: &str, error: &io::Error) -> Self {
        let outcome = if is_denied(error) { Outcome::Denied } else { Outcome::Failed };
        Self { outcome, reason: error_reason(what, error) }
    }

    /// The reading of a source that found these without knowing the system.
    fn reading(&self, observations: Vec<Observation>) -> SourceReading {
        let reading = SourceReading::partial(observations, self.reason.clone());
        if self.outcome == Outcome::TimedOut { SourceReading { outcome: self.outcome, ..reading } } else { reading }
    }
}

/// What a source found, and how completely it could read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReading {
    /// How completely the source was read.
    pub outcome: Outcome,
    /// The reason of an incomplete outcome; empty otherwise.
    pub reason: String,
    /// What was found.
    pub observations: Vec<Observation>,
    /// Which of it is in whose home directory. It stays on the host: `scan` replaces the home directory by a pseudonym.
    pub home_items: Vec<HomeItem>,
}

/// An item in a home directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HomeItem {
    /// The home directory. It usually contains the user's name and never leaves the host.
    pub home: String,
    /// `browser-extension:ID`, `flatpak:ID`, `unit:NAME`, `launchd:LABEL`, `app:ID`.
    pub place: String,
    /// Whether the watchlist names it.
    pub watched: bool,
}

impl SourceReading {
    /// The source was read completely.
    #[must_use]
    pub fn complete(observations: Vec<Observation>) -> Self {
        let outcome = if observations.is_empty() { Outcome::Empty } else { Outcome::Found };
        Self { outcome, reason: String::new(), observations, home_items: Vec::new() }
    }

    /// The source was read in part: there may be more than these observations.
    #[must_use]
    pub fn partial(observations: Vec<Observation>, reason: impl Into<String>) -> Self {
        let outcome = if observations.is_empty() { Outcome::Failed } else { Outcome::Partial };
        Self { outcome, reason: reason.into(), observations, home_items: Vec::new() }
    }

    /// The source could not be read.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: reason.into(), observations: Vec::new(), home_items: Vec::new() }
    }

    /// This machine does not have this source.
    #[must_use]
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::NotApplicable,
            reason: reason.into(),
            observations: Vec::new(),
            home_items: Vec::new(),
        }
    }

    /// Adds what is unknown of the facts and the state of the machine, because a read hangs.
    pub fn add_unknown(&mut self, reasons: &[String]) {
        if !reasons.is_empty() {
            self.outcome = Outcome::TimedOut;
            let own = Some(&self.reason).filter(|reason| !reason.is_empty());
            self.reason = own.into_iter().chain(reasons).map(String::as_str).collect::<Vec<_>>().join("; ");
        }
    }

    /// The source could not be read because of an I/O error: `denied` for missing permissions, `failed` otherwise.
    #[must_use]
    pub fn of_error(what: &str, error: &io::Error) -> Self {
        let outcome = if is_denied(error) { Outcome::Denied } else { Outcome::Failed };
        Self { outcome, reason: error_reason(what, error), observations: Vec::new(), home_items: Vec::new() }
    }
}

/// The reason for a failed access. It contains only the kind of the error, which is the same on every machine and in every
/// language.
#[must_use]
pub fn error_reason(what: &str, error: &io::Error) -> String {
    // The root explains some kinds in its own words, which are as constant as the name of the kind.
    match error.get_ref() {
        Some(words) if in_own_words(error.kind()) => {
            format!("cannot read {what}: {words}")
        }
        _ => format!("cannot read {what}: {}", error.kind()),
    }
}

const fn in_own_words(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(kind, Kind::InvalidData | Kind::FileTooLarge | Kind::CrossesDevices | Kind::InvalidInput)
}

/// Whether the agent lacks a permission.
#[must_use]
pub fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether the error means that nothing exists at that path.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What to do about an incomplete outcome; `None` where there is nothing to do. It goes with the reason, which names what is
/// damaged, missing or unknown.
#[must_use]
pub const fn advice(platform: Platform, source: SourceName, outcome: Outcome) -> Option<&'static str> {
    match (outcome, source) {
        (Outcome::Found | Outcome::Empty | Outcome::NotApplicable, _) => None,
        (Outcome::Denied, _) if matches!(platform, Platform::Windows) => Some(
            "run the agent as an administrator, or install its service, which runs as LocalSystem; for a mounted disk, run \
                 this scan with the right to read all its files; then scan again",
        ),
        (Outcome::Denied, _) if matches!(platform, Platform::Macos) => Some(
            "run the agent as root with Full Disk Access (System Settings, Privacy & Security, or a profile of your organisation); \
             for a copied Mac, run this scan with the right to read all its files; then scan again",
        ),
        (Outcome::Denied, _) => Some("run the agent as root, or give its account read access, then scan again"),
        (Outcome::TimedOut, source) if asks_wmi(platform, source) => {
            Some("restart the service Winmgmt, check that `winmgmt /verifyrepository` finds no fault, then scan again")
        }
        (Outcome::TimedOut, _) => Some("check the disks and mounts that this source reads, then scan again"),
        (Outcome::Partial | Outcome::Failed, SourceName::Dpkg) => Some(
            "restore /var/lib/dpkg/status from /var/lib/dpkg/status-old or /var/backups/dpkg.status.0, then scan again",
        ),
        // Rebuilding a database that is not there makes an empty one.
        (Outcome::Partial | Outcome::Failed, SourceName::Rpm) => Some(
            "repair a damaged database with `rpm --rebuilddb`; restore a missing or empty one from a backup; then scan again",
        ),
        (Outcome::Partial | Outcome::Failed, SourceName::Apk) => Some(
            "repair a damaged database with `apk fix`; restore a missing or empty one from a backup; then scan again",
        ),
        (Outcome::Partial | Outcome::Failed, SourceName::Pacman) => Some(
            "reinstall the package that the reason names; restore a missing or empty /var/lib/pacman/local from a backup; \
             then scan again",
        ),
        (Outcome::Partial | Outcome::Failed, SourceName::SystemPackages) => Some(
            "restore a database that is damaged or missing from a backup, then scan again; search the packages of a store \
             that Muster cannot read by hand: the host stays unknown",
        ),
        // A root with the files of no system is taken for Linux.
        (Outcome::Partial | Outcome::Failed, SourceName::Host) if matches!(platform, Platform::Linux) => Some(
            "if this is a mounted disk, check that it is the volume of the system, with etc/os-release or \
             Windows/System32/config/SYSTEM; otherwise fix the problem that the reason names; then scan again",
        ),
        (Outcome::Partial | Outcome::Failed, SourceName::SecurityCenter | SourceName::Defender) => Some(
            "scan on the running Windows, which alone can answer (its services wscsvc and Winmgmt must run); if the reason names a \
             hive, see to that first; for a mounted disk, `scan --wmi FILE` shows answers that `scan --record-wmi FILE` recorded there",
        ),
        // One key that is denied among many makes a source partial.
        (Outcome::Partial | Outcome::Failed, source)
            if matches!(platform, Platform::Windows) && reads_registry(source) =>
        {
            Some(
                "if permission is denied, run the agent as LocalSystem or give SYSTEM read access to the key or file that the reason \
                 names; if a hive is missing or was not closed, copy it from Windows\\System32\\config together with its logs \
                 (.LOG1, .LOG2); if it is damaged, restore it from a backup; if something is on another volume, attach its disk, and \
                 scan the running machine instead of a mounted disk; then scan again",
            )
        }
        (Outcome::Partial | Outcome::Failed, SourceName::Processes) if matches!(platform, Platform::Windows) => {
            Some("check that the service Winmgmt runs, then scan again as an administrator")
        }
        (Outcome::Partial | Outcome::Failed, SourceName::TrustStore) if matches!(platform, Platform::Macos) => None,
        (Outcome::Partial | Outcome::Failed, _) if matches!(platform, Platform::Macos) => Some(
            "if permission is denied, run the agent as root with Full Disk Access; if a copied Mac lacks something, copy both of its \
             volumes (/ and /System/Volumes/Data) with their links and hidden files; then scan again",
        ),
        (Outcome::Partial | Outcome::Failed, _) => Some("fix the problem that the reason names, then scan again"),
    }
}

/// Whether a source asks Windows Management Instrumentation.
const fn asks_wmi(platform: Platform, source: SourceName) -> bool {
    matches!(platform, Platform::Windows)
        && matches!(source, SourceName::SecurityCenter | SourceName::Defender | SourceName::Processes)
}

/// Whether a source of Windows reads the registry and files, and asks nobody.
const fn reads_registry(source: SourceName) -> bool {
    use SourceName as S;
    matches!(
        source,
        S::Host
            | S::UninstallKeys
            | S::Msi
            | S::Appx
            | S::Services
            | S::Drivers
            | S::FilterDrivers
            | S::Registry
            | S::ScheduledTasks
            | S::TrustStore
            | S::BrowserExtensions
            | S::WatchPaths
    )
}

/// What a platform offers.
const fn system(platform: Platform) -> &'static System {
    match platform {
        Platform::Linux => &linux::SYSTEM,
        Platform::Windows => &windows::SYSTEM,
        Platform::Macos => &macos::SYSTEM,
    }
}

/// Every source of a platform. A snapshot has an entry for each.
#[must_use]
pub fn all(platform: Platform) -> Vec<Box<dyn Source>> {
    (system(platform).sources)()
}

/// The names of the sources of all platforms.
#[must_use]
pub fn names() -> Vec<SourceName> {
    let of = |platform: &Platform| all(*platform).into_iter().map(|source| source.name());
    let mut names: Vec<SourceName> = Platform::ALL.iter().flat_map(of).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The source that lists the services of a platform.
#[must_use]
pub const fn service_source(platform: Platform) -> SourceName {
    system(platform).services
}

/// The sources of a platform that read home directories.
#[must_use]
pub const fn home_sources(platform: Platform) -> &'static [SourceName] {
    system(platform).of_homes
}

/// Every place that the sources read on a machine, if it is watched for changes or the operator should know that it is not.
///
/// Home directories are left out, and so is `/proc`: the kernel does not report changes there. On Windows the hives of users are
/// left out too: an open key keeps a hive loaded after its user has logged off.
#[must_use]
pub fn watch_places(root: &Root, watchlist: &Watchlist) -> Vec<Place> {
    let platform = root.platform();
    let own = system(platform).places.iter().map(|(path, reach)| Place { path: (*path).to_owned(), reach: *reach });
    let more = match platform {
        Platform::Windows => windows::more_places(root, watchlist),
        Platform::Linux | Platform::Macos => {
            watchlist.paths.iter().map(|path| Place { path: path.clone(), reach: Reach::Entry }).collect()
        }
    };
    own.chain(more).collect()
}

/// The record of a machine before any part is read.
#[must_use]
pub fn record(context: &ScanContext) -> Record {
    Record::of((system(context.platform()).facts)(context), HostState::default())
}

/// The parts that facts consist of.
#[must_use]
pub fn fact_parts(context: &ScanContext) -> &'static [Part] {
    (system(context.platform()).fact_parts)(context.root.is_running_system())
}

/// The parts of what identifies the machine beyond its host name.
#[must_use]
pub fn identity_parts(context: &ScanContext) -> &'static [Part] {
    system(context.platform()).identity_parts
}

/// The parts that the state consists of, and the home directories.
#[must_use]
pub fn state_parts(context: &ScanContext) -> &'static [Part] {
    (system(context.platform()).state_parts)(context.root.is_running_system())
}

/// Completes the state with the services that [`service_source`] found. `units_outcome` says how completely. A root that is
/// not running has no state.
pub fn finish(record: &mut Record, context: &ScanContext, units: &[String], units_outcome: Outcome) {
    if context.root.is_running_system() {
        (system(context.platform()).finish)(record, context, units, units_outcome);
    }
}

/// Parents of home directories, and those of system accounts that people use, on every machine of a platform: `/home/`,
/// `/root`.
#[must_use]
pub const fn known_homes(platform: Platform) -> &'static [&'static str] {
    system(platform).homes
}

/// The top folders in which nobody has a home directory, apart from [`known_homes`].
#[must_use]
pub const fn system_folders(platform: Platform) -> &'static [&'static str] {
    system(platform).system_folders
}
