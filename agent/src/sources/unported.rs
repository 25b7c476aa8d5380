//! Platforms without sources of their own yet: only the portable ones are read.

use muster_proto::model::{HostFacts, HostState, Outcome, Platform};

use super::parse::os_release::OsRelease;
use super::root::Root;
use super::{ScanContext, Source, portable};

pub(super) const PLATFORM: Platform = if cfg!(target_os = "windows") { Platform::Windows } else { Platform::Macos };

pub(super) const PLACES: &[(&str, super::places::Reach)] = &[];

pub(super) fn all() -> Vec<Box<dyn Source>> {
    vec![Box::new(portable::watch_paths::WatchPaths)]
}

pub(super) fn os_release(_root: &Root) -> Result<OsRelease, String> {
    Err("this agent does not support this operating system yet".to_owned())
}

pub(super) fn facts(context: &ScanContext) -> HostFacts {
    portable::machine::facts(PLATFORM, !context.root.is_running_system())
}

pub(super) fn state(_context: &ScanContext, _units: &[String], _units_outcome: Outcome) -> HostState {
    HostState::default()
}

pub(super) fn homes(_context: &ScanContext) -> Vec<String> {
    Vec::new()
}
