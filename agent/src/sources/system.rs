//! What each platform offers to the scan: its sources, the parts of facts and state, and where people have their homes.

use muster_proto::model::{HostFacts, Outcome, SourceName};

use super::parse::os_release::OsRelease;
use super::places::Reach;
use super::record::{Part, Record};
use super::root::Root;
use super::{OsUnknown, ScanContext, Source};

/// One platform.
pub(super) struct System {
    /// Every source, in the order in which they start.
    pub(super) sources: fn() -> Vec<Box<dyn Source>>,
    /// The places that they read and that can be watched.
    pub(super) places: &'static [(&'static str, Reach)],
    pub(super) os_release: fn(&Root) -> Result<OsRelease, OsUnknown>,
    /// The facts that are known before any part is read.
    pub(super) facts: fn(&ScanContext) -> HostFacts,
    /// The parts of the facts; the argument says whether the root is the running system.
    pub(super) fact_parts: fn(bool) -> &'static [Part],
    /// The parts of what identifies the machine beyond its host name.
    pub(super) identity_parts: &'static [Part],
    pub(super) state_parts: fn(bool) -> &'static [Part],
    /// Completes the state of the running system with the services that were found, and how completely.
    pub(super) finish: fn(&mut Record, &ScanContext, &[String], Outcome),
    /// The source that lists services.
    pub(super) services: SourceName,
    /// The sources that read home directories.
    pub(super) of_homes: &'static [SourceName],
    /// Parents of home directories with a trailing slash, and home directories that every machine has.
    pub(super) homes: &'static [&'static str],
    /// The top folders in which nobody has a home directory, apart from `homes`.
    pub(super) system_folders: &'static [&'static str],
}
