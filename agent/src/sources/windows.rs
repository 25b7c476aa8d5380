//! The sources on Windows. They read the registry and the files of the machine that is scanned and compile on every system;
//! only what asks the running system belongs below `windows/live/`.

use muster_proto::model::{HostFacts, Outcome, Platform, SourceName};

use super::parse::os_release::OsRelease;
use super::record::{Part, Record};
use super::root::Root;
use super::system::System;
use super::{OsUnknown, ScanContext, Source, portable};
use portable::unread::Unread;

const PLATFORM: Platform = Platform::Windows;

pub(super) const SYSTEM: System = System {
    sources,
    places: &[],
    os_release,
    facts,
    fact_parts,
    state_parts,
    finish,
    services: SourceName::Services,
    of_homes: &[SourceName::UninstallKeys, SourceName::Appx, SourceName::BrowserExtensions],
    homes: &[],
    system_folders: &[],
};

/// One line for each source. Those that this agent does not read yet are in the snapshot nevertheless, and never `empty`.
fn sources() -> Vec<Box<dyn Source>> {
    vec![
        Box::new(Unread(SourceName::Host)),
        Box::new(Unread(SourceName::UninstallKeys)),
        Box::new(Unread(SourceName::Msi)),
        Box::new(Unread(SourceName::Appx)),
        Box::new(Unread(SourceName::Services)),
        Box::new(Unread(SourceName::Drivers)),
        Box::new(Unread(SourceName::FilterDrivers)),
        Box::new(Unread(SourceName::Registry)),
        Box::new(Unread(SourceName::Defender)),
        Box::new(Unread(SourceName::SecurityCenter)),
        Box::new(Unread(SourceName::ScheduledTasks)),
        Box::new(Unread(SourceName::Processes)),
        Box::new(Unread(SourceName::TrustStore)),
        Box::new(Unread(SourceName::BrowserExtensions)),
        Box::new(portable::watch_paths::WatchPaths),
    ]
}

fn os_release(_root: &Root) -> Result<OsRelease, OsUnknown> {
    Err(OsUnknown::failed("Windows has no os-release"))
}

fn facts(context: &ScanContext) -> HostFacts {
    portable::machine::facts_of(PLATFORM, &context.root)
}

fn fact_parts(_running: bool) -> &'static [Part] {
    &[]
}

fn state_parts(_running: bool) -> &'static [Part] {
    &[]
}

fn finish(_record: &mut Record, _context: &ScanContext, _services: &[String], _outcome: Outcome) {}
