//! The sources on Windows. They read the registry and the files of the machine that is scanned and compile on every system;
//! only what asks the running system belongs below `windows/live/`.

mod appx;
mod browser_extensions;
mod budget;
mod class_filters;
mod defender;
mod filter_drivers;
mod host;
mod identity;
#[cfg(windows)]
mod live;
mod machine;
mod msi;
mod people;
mod places;
mod processes;
mod reader;
mod registry_keys;
mod scheduled_tasks;
mod security_center;
mod service_status;
mod service_table;
mod services;
mod state;
#[cfg(test)]
mod tests;
mod trust_store;
mod uninstall_keys;

use std::sync::Arc;

use muster_proto::model::{HostFacts, Outcome, Platform, SourceName, Watchlist};

use super::parse::os_release::OsRelease;
use super::parse::windows::variables::Folders;
use super::places::Place;
use super::record::{Part, Record};
use super::registry::Registry;
use super::registry::hives::HiveRegistry;
use super::root::Root;
use super::system::System;
use super::wmi::Instrumentation;
use super::{OsUnknown, ScanContext, Source, portable};

const PLATFORM: Platform = Platform::Windows;

pub(super) const SYSTEM: System = System {
    sources,
    places: places::PLACES,
    os_release,
    facts,
    fact_parts,
    identity_parts: identity::IDENTITY,
    state_parts,
    finish,
    services: SourceName::Services,
    of_homes: &[SourceName::UninstallKeys, SourceName::Appx, SourceName::BrowserExtensions],
    homes: PARENTS_OF_HOMES,
    system_folders: SYSTEM_FOLDERS,
};

/// The folders in which every folder is a home, on any volume. Windows XP translates their name.
const PARENTS_OF_HOMES: &[&str] = &[r"\Users\", r"\Documents and Settings\", r"\Dokumente und Einstellungen\"];

const SYSTEM_FOLDERS: &[&str] = &["Windows", "Program Files", "Program Files (x86)", "ProgramData"];

/// One line for each source.
fn sources() -> Vec<Box<dyn Source>> {
    vec![
        Box::new(host::Host),
        Box::new(uninstall_keys::UninstallKeys),
        Box::new(msi::Msi),
        Box::new(appx::Appx),
        Box::new(services::Services),
        Box::new(services::Drivers),
        Box::new(filter_drivers::FilterDrivers),
        Box::new(registry_keys::RegistryKeys),
        Box::new(defender::Defender),
        Box::new(security_center::SecurityCenter),
        Box::new(scheduled_tasks::ScheduledTasks),
        Box::new(processes::Processes),
        Box::new(trust_store::TrustStore),
        Box::new(browser_extensions::BrowserExtensions),
        Box::new(portable::watch_paths::WatchPaths),
    ]
}

/// The registry of the machine.
pub(super) fn registry_of(root: &Arc<Root>) -> Result<Arc<dyn Registry>, OsUnknown> {
    if root.is_running_system() { running_registry(root) } else { Ok(Arc::new(HiveRegistry::open(Arc::clone(root)))) }
}

#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "the other systems have none")]
fn running_registry(root: &Arc<Root>) -> Result<Arc<dyn Registry>, OsUnknown> {
    Ok(Arc::new(live::registry::LiveRegistry::open(root)))
}

#[cfg(not(windows))]
fn running_registry(_root: &Arc<Root>) -> Result<Arc<dyn Registry>, OsUnknown> {
    Err(OsUnknown::failed("only a running Windows has a registry of its own"))
}

/// The places of browsers and of the watchlist.
pub(super) fn more_places(root: &Root, watchlist: &Watchlist) -> Vec<Place> {
    let usual = Folders::usual(root.volume());
    let folders = if root.is_running_system() { running_folders(usual) } else { usual };
    places::more(&folders, watchlist)
}

#[cfg(windows)]
fn running_folders(usual: Folders) -> Folders {
    live::registry::machine_folders(usual.letter)
}

#[cfg(not(windows))]
const fn running_folders(usual: Folders) -> Folders {
    usual
}

#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "the other systems have none")]
pub(super) fn instrumentation() -> Option<Arc<dyn Instrumentation>> {
    Some(Arc::new(live::wmi::LiveWmi))
}

#[cfg(not(windows))]
pub(super) fn instrumentation() -> Option<Arc<dyn Instrumentation>> {
    None
}

fn os_release(_root: &Root) -> Result<OsRelease, OsUnknown> {
    Err(OsUnknown::failed("Windows has no os-release"))
}

fn facts(context: &ScanContext) -> HostFacts {
    portable::machine::facts_of(PLATFORM, &context.root)
}

const fn fact_parts(_running: bool) -> &'static [Part] {
    &[host::FACTS]
}

const fn state_parts(running: bool) -> &'static [Part] {
    if running { RUNNING } else { &[people::HOMES] }
}

const RUNNING: &[Part] = &{
    let mut parts = [people::HOMES; state::PARTS.len() + 1];
    let mut at = 0;
    while at < state::PARTS.len() {
        parts[at + 1] = state::PARTS[at];
        at += 1;
    }
    parts
};

/// The service manager has said which services run.
fn finish(record: &mut Record, _context: &ScanContext, _services: &[String], _outcome: Outcome) {
    record.bound();
}
