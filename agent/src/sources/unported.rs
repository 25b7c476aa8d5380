//! Platforms without sources of their own yet: only the portable ones are read.

use muster_proto::model::{HostFacts, Outcome, Platform};

use super::parse::os_release::OsRelease;
use super::record::{Part, Record};
use super::root::Root;
use super::{OsUnknown, ScanContext, Source, portable};

pub(super) const PLATFORM: Platform = if cfg!(target_os = "windows") { Platform::Windows } else { Platform::Macos };

pub(super) const PLACES: &[(&str, super::places::Reach)] = &[];

pub(super) fn all() -> Vec<Box<dyn Source>> {
    vec![Box::new(portable::watch_paths::WatchPaths)]
}

pub(super) fn os_release(_root: &Root) -> Result<OsRelease, OsUnknown> {
    Err(OsUnknown::failed("this agent does not support this operating system yet"))
}

pub(super) fn facts(context: &ScanContext) -> HostFacts {
    if context.root.is_running_system() {
        portable::machine::facts(PLATFORM)
    } else {
        portable::machine::no_facts(PLATFORM, true)
    }
}

pub(super) const fn fact_parts(_running: bool) -> &'static [Part] {
    &[]
}

pub(super) const fn state_parts(_running: bool) -> &'static [Part] {
    &[]
}

pub(super) const fn finish(_record: &mut Record, _context: &ScanContext, _units: &[String], _outcome: Outcome) {}

pub(super) const HOMES: &[&str] = &[];

pub(super) const SYSTEM_FOLDERS: &[&str] = &[];
