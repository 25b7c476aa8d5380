//! The sources on Linux, for every distribution.

mod apk;
mod browser_extensions;
#[cfg(all(test, unix))]
mod canned;
mod dpkg;
mod flatpak;
mod host;
#[cfg(all(test, unix))]
mod hostile_packages_tests;
#[cfg(all(test, unix))]
mod hostile_tests;
mod identity;
mod kernel_modules;
mod native;
mod pacman;
mod people;
mod places;
#[cfg(all(test, unix))]
mod places_tests;
mod processes;
mod rpm;
mod snap;
mod state;
mod system_packages;
mod systemd_units;
mod trust_store;
#[cfg(all(test, unix))]
mod watch_paths_tests;
mod watched_processes;

use muster_proto::model::{Platform, SourceName};

use super::parse::os_release::OsRelease;
use super::record::Part;
use super::root::Root;
use super::system::System;
use super::{OsUnknown, Source, is_absent, portable};

const PLATFORM: Platform = Platform::Linux;

pub(super) const SYSTEM: System = System {
    sources,
    places: places::PLACES,
    os_release,
    facts: host::facts,
    fact_parts,
    identity_parts: identity::IDENTITY,
    state_parts,
    finish: state::finish,
    services: SourceName::SystemdUnits,
    of_homes: &[SourceName::SystemdUnits, SourceName::Flatpak, SourceName::BrowserExtensions],
    homes: HOMES,
    system_folders: SYSTEM_FOLDERS,
};

fn sources() -> Vec<Box<dyn Source>> {
    vec![
        Box::new(host::Host),
        Box::new(dpkg::Dpkg),
        Box::new(rpm::Rpm),
        Box::new(apk::Apk),
        Box::new(pacman::Pacman),
        Box::new(system_packages::SystemPackages),
        Box::new(snap::Snap),
        Box::new(flatpak::Flatpak),
        Box::new(systemd_units::SystemdUnits),
        Box::new(kernel_modules::KernelModules),
        Box::new(processes::Processes),
        Box::new(portable::watch_paths::WatchPaths),
        Box::new(trust_store::TrustStore),
        Box::new(browser_extensions::BrowserExtensions),
    ]
}

fn os_release(root: &Root) -> Result<OsRelease, OsUnknown> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        match root.read_text(path) {
            Ok(text) => return Ok(OsRelease::parse(&text)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(OsUnknown::of_error(path, &error)),
        }
    }
    Err(OsUnknown::failed("/etc/os-release and /usr/lib/os-release are missing"))
}

fn fact_parts(running: bool) -> &'static [Part] {
    if running { &[] } else { host::PARTS }
}

fn state_parts(running: bool) -> &'static [Part] {
    if running { RUNNING } else { &[people::HOMES, host::FINGERPRINT] }
}

const RUNNING: &[Part] = &{
    let mut parts = [people::HOMES; state::PARTS.len() + 2];
    parts[1] = host::FINGERPRINT;
    let mut at = 0;
    while at < state::PARTS.len() {
        parts[at + 2] = state::PARTS[at];
        at += 1;
    }
    parts
};

/// Parents of home directories, and root's own, on every system.
const HOMES: &[&str] = &["/root", "/home/", "/var/home/", "/export/home/"];

const SYSTEM_FOLDERS: &[&str] = &[
    "bin", "boot", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "ostree", "proc", "run",
    "sbin", "snap", "sys", "sysroot", "usr", "var",
];

/// The home directory of an account in `/etc/passwd` that may belong to a person. System accounts have ids below 1000, and
/// home directories that are not personal.
fn home_of_person(line: &str) -> Option<String> {
    let mut fields = line.split(':');
    let id: u32 = fields.nth(2)?.parse().ok()?;
    let home = fields.nth(2)?.trim_end_matches('/');
    let shared = ["", "/nonexistent", "/var", "/usr", "/opt", "/etc", "/home"].contains(&home);
    ((1000..65_534).contains(&id) && home.starts_with('/') && !shared).then(|| home.to_owned())
}
