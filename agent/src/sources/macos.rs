//! The sources on macOS: none of its own is read yet.

use muster_proto::model::{HostFacts, MachineIdentity, Outcome, Platform, SourceName};

use super::parse::os_release::OsRelease;
use super::record::{Part, Record};
use super::root::Root;
use super::system::System;
use super::{OsUnknown, ScanContext, Source, portable};
use portable::unread::Unread;

const PLATFORM: Platform = Platform::Macos;

pub(super) const SYSTEM: System = System {
    sources,
    places: &[],
    os_release,
    facts,
    fact_parts,
    identity_parts: IDENTITY,
    state_parts,
    finish,
    services: SourceName::Launchd,
    of_homes: &[SourceName::AppBundles, SourceName::Launchd, SourceName::BrowserExtensions],
    homes: &["/Users/", "/var/root"],
    system_folders: &["Applications", "Library", "System", "bin", "etc", "opt", "private", "sbin", "usr", "var"],
};

/// One line for each source. Those that this agent does not read yet are in the snapshot nevertheless, and never `empty`.
fn sources() -> Vec<Box<dyn Source>> {
    vec![
        Box::new(Unread(SourceName::Host)),
        Box::new(Unread(SourceName::AppBundles)),
        Box::new(Unread(SourceName::Receipts)),
        Box::new(Unread(SourceName::Launchd)),
        Box::new(Unread(SourceName::SystemExtensions)),
        Box::new(Unread(SourceName::KernelModules)),
        Box::new(Unread(SourceName::Processes)),
        Box::new(Unread(SourceName::TrustStore)),
        Box::new(Unread(SourceName::BrowserExtensions)),
        Box::new(portable::watch_paths::WatchPaths),
    ]
}

fn os_release(_root: &Root) -> Result<OsRelease, OsUnknown> {
    Err(OsUnknown::failed("macOS has no os-release"))
}

fn facts(context: &ScanContext) -> HostFacts {
    portable::machine::facts_of(PLATFORM, &context.root)
}

fn fact_parts(_running: bool) -> &'static [Part] {
    &[]
}

/// From the registry of the kernel (`IOPlatformExpertDevice`). A root that is not running does not have it.
const IDENTITY: &[Part] = &[Part {
    what: "what identifies the machine",
    read: |context| {
        let is_running = context.root.is_running_system();
        let identity = if is_running { portable::machine::product() } else { MachineIdentity::default() };
        Box::new(move |record| record.facts.identity = identity)
    },
    unread: |_| {},
}];

fn state_parts(_running: bool) -> &'static [Part] {
    &[]
}

fn finish(_record: &mut Record, _context: &ScanContext, _services: &[String], _outcome: Outcome) {}
