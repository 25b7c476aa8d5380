//! The host state of a running Mac: which watched programs and jobs run, which extensions protect, the version of XProtect, and
//! whether a restart is pending. Each place is spelled as the catalogue spells it, because the collector assigns it to a
//! product by that text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use muster_proto::model::{RealtimeEvidence, SignatureState};

use super::launchd;
use super::processes;
use super::running::Running;
use super::system_extensions::{is_staged, listed};
use super::{people, plists};
use crate::sources::ScanContext;
use crate::sources::parse::macos::bundle::Bundle;
use crate::sources::portable::addresses::shown;
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::record::{Part, Record};

/// Where the signatures of XProtect are; the first one that exists counts.
const XPROTECT: &[&str] = &[
    "/var/protected/xprotect/XProtect.bundle/Contents/Info.plist",
    "/Library/Apple/System/Library/CoreServices/XProtect.bundle/Contents/Info.plist",
];
/// Updates that wait for a restart.
const UPDATES: &str = "/Library/Updates";

/// Nothing has to be entered for what stays unknown.
const fn stays_unknown(_record: &mut Record) {}

pub(super) const RUNNING: &[Part] = &[
    people::HOMES,
    Part {
        what: "the running processes and jobs",
        read: |context| {
            let running = processes::listed(context).unwrap_or_default();
            let (found, outcome) = processes::evidence(context, &running);
            let (units, units_outcome) = watched_jobs(context, &running);
            Box::new(move |record| {
                record.state.realtime.extend(found);
                record.state.realtime_outcome = Some(outcome);
                record.state.units = units;
                record.state.units_outcome = Some(units_outcome);
            })
        },
        unread: |record| {
            let unknown = Some(muster_proto::model::Outcome::TimedOut);
            (record.state.realtime_outcome, record.state.units_outcome) = (unknown, unknown);
        },
    },
    Part {
        what: "the system extensions that protect",
        read: |context| {
            let found = extensions(context);
            Box::new(move |record| record.state.realtime.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "the version of XProtect",
        read: |context| {
            let found = xprotect(context);
            Box::new(move |record| record.state.signatures.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "boot id and addresses",
        read: |_| {
            let (boot_id, addresses) = (boot_id(), shown(&addresses()));
            Box::new(move |record| {
                record.state.boot_id = boot_id;
                record.state.addresses = addresses;
            })
        },
        unread: stays_unknown,
    },
    Part {
        what: "whether a restart is pending",
        read: |context| {
            let pending = is_restart_pending(context);
            Box::new(move |record| record.state.pending_reboot = pending)
        },
        unread: stays_unknown,
    },
];

#[cfg(target_os = "macos")]
fn boot_id() -> String {
    super::live::boot_id()
}

#[cfg(not(target_os = "macos"))]
const fn boot_id() -> String {
    String::new()
}

#[cfg(target_os = "macos")]
fn addresses() -> BTreeSet<IpAddr> {
    super::network::addresses()
}

#[cfg(not(target_os = "macos"))]
const fn addresses() -> BTreeSet<IpAddr> {
    BTreeSet::new()
}

/// The jobs of the watchlist, and which of them run.
fn watched_jobs(
    context: &ScanContext,
    running: &Running,
) -> (Vec<muster_proto::model::UnitState>, muster_proto::model::Outcome) {
    let jobs: BTreeMap<String, String> = launchd::watched(context);
    processes::running_jobs(&jobs, running)
}

/// The extensions that protect if their process runs: of the category for endpoint security, enabled, and with their copy.
pub(super) fn extensions(context: &ScanContext) -> Vec<RealtimeEvidence> {
    let mut unknown = ReadingBuilder::default();
    let protects = listed(context, &mut unknown);
    let protects = protects.iter().filter(|one| one.may_protect() && is_staged(context, one) == Some(true));
    protects.map(|one| RealtimeEvidence { place: format!("sysext:{}", one.id), on: true }).collect()
}

/// The version of the signatures of XProtect.
pub(super) fn xprotect(context: &ScanContext) -> Option<SignatureState> {
    let mut unknown = ReadingBuilder::default();
    XPROTECT.iter().find_map(|place| {
        let version = Bundle::of(&plists::read(context, place, &mut unknown)?).version;
        let place = (*place).to_owned();
        (!version.is_empty()).then_some(SignatureState { place, version, released: None })
    })
}

/// Whether an extension or an update waits for a restart; `None` if that is unknown.
pub(super) fn is_restart_pending(context: &ScanContext) -> Option<bool> {
    let mut builder = ReadingBuilder::default();
    let waits = listed(context, &mut builder).iter().any(|one| one.state.ends_with("_on_reboot"));
    let updates = builder.list(context, UPDATES).unwrap_or_default();
    let is_update = updates.iter().any(|entry| entry.is_directory && !entry.name.starts_with('.'));
    match waits || is_update {
        true => Some(true),
        false => (!builder.has_problem()).then_some(false),
    }
}
