//! The sources on macOS. They read the files of the machine that is scanned and compile on every system; only what asks the
//! running system is in `macos/live.rs`.

mod app_bundles;
mod browser_extensions;
mod bundles;
mod host;
mod kexts;
mod launchd;
#[cfg(target_os = "macos")]
mod live;
#[cfg(any(target_os = "macos", all(test, target_os = "linux")))]
#[path = "macos/live/network.rs"]
mod network;
mod people;
mod plists;
mod processes;
mod receipts;
mod running;
mod state;
mod system_extensions;
#[cfg(all(test, unix))]
mod tests;

use muster_proto::model::{HostFacts, MachineIdentity, Outcome, Platform, SourceName};

use super::parse::os_release::OsRelease;
use super::places::Reach::{self, Entry, Listing};
use super::record::{Part, Record};
use super::root::Root;
use super::system::System;
use super::{OsUnknown, ScanContext, Source, portable};
use portable::unread::Unread;

const PLATFORM: Platform = Platform::Macos;

pub(super) const SYSTEM: System = System {
    sources,
    places: PLACES,
    os_release,
    facts,
    fact_parts: |_| &[host::FACTS],
    identity_parts: IDENTITY,
    state_parts: |running| if running { state::RUNNING } else { &[people::HOMES] },
    finish,
    services: SourceName::Launchd,
    of_homes: &[SourceName::AppBundles, SourceName::Launchd, SourceName::BrowserExtensions],
    homes: people::KNOWN_HOMES,
    system_folders: &["Applications", "Library", "System", "bin", "etc", "opt", "private", "sbin", "usr", "var"],
};

/// The places at the top of each source.
const PLACES: &[(&str, Reach)] = &[
    ("/Applications", Listing),
    ("/Library/Application Support", Listing),
    ("/Library/LaunchDaemons", Listing),
    ("/Library/LaunchAgents", Listing),
    ("/Library/Extensions", Listing),
    ("/Library/SystemExtensions/db.plist", Entry),
    ("/private/var/db/receipts", Listing),
    ("/Library/Receipts", Listing),
    ("/private/var/db/com.apple.xpc.launchd/disabled*", Entry),
    // The database itself is written in place; a journal beside it comes and goes with each change.
    ("/private/var/db/SystemPolicyConfiguration/KextPolicy*", Entry),
];

/// One line for each source. The trust store, which this agent does not read yet, is in the snapshot nevertheless, and never
/// `empty`. Kernel extensions are among the system extensions.
fn sources() -> Vec<Box<dyn Source>> {
    vec![
        Box::new(host::Host),
        Box::new(app_bundles::AppBundles),
        Box::new(receipts::Receipts),
        Box::new(launchd::Launchd),
        Box::new(system_extensions::SystemExtensions),
        Box::new(processes::Processes),
        Box::new(Unread(SourceName::TrustStore)),
        Box::new(browser_extensions::BrowserExtensions),
        Box::new(portable::watch_paths::WatchPaths),
    ]
}

fn os_release(_root: &Root) -> Result<OsRelease, OsUnknown> {
    Err(OsUnknown::failed("macOS has no os-release"))
}

fn facts(context: &ScanContext) -> HostFacts {
    portable::machine::facts_of(PLATFORM, &context.root)
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

/// The parts of the state have said which jobs run.
fn finish(record: &mut Record, _context: &ScanContext, _services: &[String], _outcome: Outcome) {
    record.bound();
}
