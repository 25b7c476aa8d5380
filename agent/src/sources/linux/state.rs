//! What differs from host to host and day to day: asked of the running system only.
//!
//! Whether a unit runs is read from the control groups of its processes. Every process of a service is in a group
//! named after the unit, in whatever slice; no bus has to be asked and no program run.

use std::collections::BTreeSet;

use muster_proto::limits;
use muster_proto::model::{HostState, Outcome, UnitState};

use crate::sources::parse::network;
use crate::sources::parse::os_release::{Family, OsRelease};
use crate::sources::watchlist::matches;
use crate::sources::{Scene, is_absent, is_denied};

pub(super) fn state(scene: &Scene, units: &[String], units_outcome: Outcome) -> HostState {
    let (units, units_outcome) = units_of(scene, units, units_outcome);
    HostState {
        boot_id: scene.root.read_text("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
        addresses: addresses(scene),
        units_outcome: Some(units_outcome),
        units,
        signatures: Vec::new(),
        realtime: Vec::new(),
        pending_reboot: pending_reboot(scene),
    }
}

fn addresses(scene: &Scene) -> Vec<String> {
    let large = |path: &str| {
        let bytes = scene.root.read(path, 16 * 1024 * 1024).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let four = network::ipv4_of_fib_trie(&large("/proc/net/fib_trie"));
    let six = network::ipv6_of_if_inet6(&large("/proc/net/if_inet6"));
    let four = four.into_iter().map(|address| address.to_string());
    four.chain(six.into_iter().map(|address| address.to_string())).take(limits::ADDRESSES_PER_HOST).collect()
}

/// Debian and its kin leave a mark; elsewhere the lack of one means nothing.
fn pending_reboot(scene: &Scene) -> Option<bool> {
    match scene.root.stands("/run/reboot-required") {
        Ok(Some(_)) => Some(true),
        Ok(None) => {
            let family = scene.os.as_ref().ok().and_then(OsRelease::family);
            (family == Some(Family::Dpkg)).then_some(false)
        }
        Err(_) => None,
    }
}

fn units_of(scene: &Scene, units: &[String], units_outcome: Outcome) -> (Vec<UnitState>, Outcome) {
    let watched = |unit: &&String| scene.watchlist.units.iter().any(|pattern| matches(pattern, unit));
    let watched: BTreeSet<&String> = units.iter().filter(watched).take(limits::UNITS_PER_HOST).collect();
    if watched.is_empty() {
        // Nothing to ask about; how complete that is, the source of the units knows.
        let outcome = if units_outcome == Outcome::Found { Outcome::Empty } else { units_outcome };
        return (Vec::new(), outcome);
    }
    if !matches!(scene.root.stands("/run/systemd/system"), Ok(Some(_))) {
        return (Vec::new(), Outcome::NotApplicable);
    }
    match running_units(scene) {
        Ok(running) => {
            let state = |name: &String| UnitState { name: name.clone(), active: running.contains(name) };
            let outcome = if units_outcome.is_complete() { Outcome::Found } else { units_outcome };
            (watched.into_iter().map(state).collect(), outcome)
        }
        Err(outcome) => (Vec::new(), outcome),
    }
}

/// The units that have a process.
fn running_units(scene: &Scene) -> Result<BTreeSet<String>, Outcome> {
    let refused = |error: std::io::Error| if is_denied(&error) { Outcome::Denied } else { Outcome::Failed };
    // Under hidepid only the agent's own processes are shown, and silence would look like "nothing runs".
    scene
        .root
        .read_text("/proc/1/cgroup")
        .map_err(|error| if is_absent(&error) { Outcome::Denied } else { refused(error) })?;
    let mut units = BTreeSet::new();
    for entry in scene.root.list("/proc").map_err(refused)? {
        if !entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A process that has ended meanwhile runs no unit.
        let groups = scene.root.read_text(&format!("/proc/{}/cgroup", entry.name)).unwrap_or_default();
        units.extend(groups.lines().filter_map(unit_of_group).map(str::to_owned));
    }
    Ok(units)
}

/// The unit of a line of `/proc/PID/cgroup`, in the unified hierarchy or systemd's own: the first part of the path that
/// is no slice. Deeper ones belong to containers.
pub(super) fn unit_of_group(line: &str) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if !((id == "0" && controllers.is_empty()) || controllers == "name=systemd") {
        return None;
    }
    let part = path.split('/').find(|part| !part.is_empty() && !has_extension(part, "slice"))?;
    has_extension(part, "service").then_some(part)
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_a_process_is_the_first_part_that_is_no_slice() {
        for (line, unit) in [
            ("0::/system.slice/kesl.service", Some("kesl.service")),
            ("0::/security.slice/security-av.slice/falcon-sensor.service/worker", Some("falcon-sensor.service")),
            ("1:name=systemd:/system.slice/clamav-daemon.service", Some("clamav-daemon.service")),
            ("4:memory:/system.slice/clamav-daemon.service", None),
            ("0::/system.slice/docker-0a.scope/system.slice/kesl.service", None),
            ("0::/init.scope", None),
            ("0::/", None),
            ("nonsense", None),
        ] {
            assert_eq!(unit_of_group(line), unit, "{line}");
        }
    }
}
