//! `snap`: installed snaps, from the mount directories, the snap files, and, if the agent may read it, snapd's state.
//!
//! Each of the three names a snap. The version is inside the snap and can be read only while it is mounted: on a root that
//! is not running a snap has its revision but no version. Only the store knows the publisher.

use std::collections::BTreeMap;

use muster_proto::limits;
use muster_proto::model::{Kind, Observation, ReportedState, SourceName};

use crate::sources::parse::snap::{Installed, of_file, parse_state, parse_yaml};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading, is_absent, is_denied};

/// Where snaps are mounted: on most systems, and on those that do not allow a directory at the top level.
const MOUNTS: &[&str] = &["/snap", "/var/lib/snapd/snap"];
const FILES: &str = "/var/lib/snapd/snaps";
const STATE: &str = "/var/lib/snapd/state.json";
const STATE_BYTES: usize = 8 * 1024 * 1024;
const YAML_BYTES: usize = 1024 * 1024;

pub(in crate::sources) struct Snap;

#[derive(Default)]
struct SnapFiles {
    revision: String,
    mount: String,
    enabled: bool,
}

impl Source for Snap {
    fn name(&self) -> SourceName {
        SourceName::Snap
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        let mut snaps: BTreeMap<String, SnapFiles> = BTreeMap::new();
        for dir in MOUNTS {
            mounted(context, dir, &mut snaps, &mut builder);
        }
        if let Some(files) = builder.list(context, FILES) {
            builder.places_found += 1;
            for (name, revision) in files.iter().filter_map(|file| of_file(&file.name)) {
                if is_enough(&snaps, FILES, &mut builder) {
                    break;
                }
                let snap = snaps.entry(name.to_owned()).or_default();
                if snap.revision.is_empty() {
                    revision.clone_into(&mut snap.revision);
                }
            }
        }
        for (name, installed) in state(context, &mut builder) {
            if is_enough(&snaps, STATE, &mut builder) {
                break;
            }
            let snap = snaps.entry(name).or_default();
            snap.enabled |= installed.active;
            if !installed.revision.is_empty() {
                snap.revision = installed.revision;
            }
        }
        for (name, snap) in snaps {
            if builder.is_full(FILES) {
                break;
            }
            let observation = observation(context, name, snap, &mut builder);
            builder.add(FILES, observation);
        }
        builder.finish("snapd is not installed")
    }
}

/// Whether there are as many snaps as a section holds, which is recorded.
fn is_enough(snaps: &BTreeMap<String, SnapFiles>, place: &str, builder: &mut ReadingBuilder) -> bool {
    let is_enough = snaps.len() > limits::OBSERVATIONS_PER_SECTION;
    if is_enough {
        builder.problem(format!("{place} contains more than {} snaps", limits::OBSERVATIONS_PER_SECTION));
    }
    is_enough
}

fn mounted(context: &ScanContext, dir: &str, snaps: &mut BTreeMap<String, SnapFiles>, builder: &mut ReadingBuilder) {
    let Some(entries) = builder.list(context, dir) else { return };
    builder.places_found += 1;
    // `bin` contains the commands of all snaps.
    for entry in entries.iter().filter(|entry| entry.is_directory && entry.name != "bin") {
        if is_enough(snaps, dir, builder) {
            break;
        }
        let mount = format!("{dir}/{}", entry.name);
        let snap = snaps.entry(entry.name.clone()).or_default();
        if snap.mount.is_empty() {
            snap.mount.clone_from(&mount);
        }
        // Disabling a snap removes the link and keeps the directories of its revisions.
        match context.root.read_link(&format!("{mount}/current")) {
            Ok(revision) => (snap.revision, snap.enabled) = (revision, true),
            Err(error) if is_absent(&error) => {
                let revisions = builder.list(context, &mount).unwrap_or_default();
                snap.revision = revisions.into_iter().next_back().map(|entry| entry.name).unwrap_or_default();
            }
            Err(error) => builder.access_failed(&mount, &error),
        }
    }
}

/// Reads snapd's state. Only root may read it; without it the mounts and files still name every snap.
fn state(context: &ScanContext, builder: &mut ReadingBuilder) -> BTreeMap<String, Installed> {
    match context.root.read(STATE, STATE_BYTES) {
        Ok(bytes) => parse_state(&bytes).unwrap_or_else(|| {
            let most = limits::OBSERVATIONS_PER_SECTION;
            builder.problem(format!("{STATE}: cannot parse the state of snapd, or it has more than {most} snaps"));
            BTreeMap::new()
        }),
        Err(error) if is_absent(&error) || is_denied(&error) => BTreeMap::new(),
        Err(error) => {
            builder.access_failed(STATE, &error);
            BTreeMap::new()
        }
    }
}

fn observation(context: &ScanContext, name: String, files: SnapFiles, builder: &mut ReadingBuilder) -> Observation {
    let SnapFiles { revision, mount, enabled } = files;
    let yaml = format!("{mount}/{revision}/meta/snap.yaml");
    let yaml = if mount.is_empty() { None } else { builder.read(context, &yaml, YAML_BYTES) };
    let yaml = yaml.map(|bytes| parse_yaml(&String::from_utf8_lossy(&bytes)));
    let mut observation = Observation::new(Kind::Snap, name.as_str());
    observation.id = name;
    observation.path = mount;
    if !enabled {
        observation.set_state(ReportedState::Disabled);
    }
    if !revision.is_empty() {
        observation.attributes.insert("revision".to_owned(), revision);
    }
    if let Some(yaml) = yaml {
        observation.version = yaml.version;
        let kind = if yaml.kind.is_empty() { "app".to_owned() } else { yaml.kind };
        observation.attributes.insert("type".to_owned(), kind);
    }
    observation
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::Outcome;

    use super::super::canned::Canned;
    use super::*;

    fn rows(reading: &SourceReading) -> Vec<String> {
        let revision = |o: &Observation| o.attributes.get("revision").cloned().unwrap_or_default();
        let row = |o: &Observation| format!("{} {} {} {}", o.name, o.version, revision(o), o.state);
        reading.observations.iter().map(row).collect()
    }

    #[test]
    fn a_snap_is_found_by_mount_by_file_and_in_the_state() {
        let root = Canned::new("ubuntu")
            .file("snap/README", "x")
            .directory("snap/bin")
            .link("snap/kesl/current", "17")
            .file("snap/kesl/17/meta/snap.yaml", "name: kesl\nversion: \"12.2\"\n")
            .directory("snap/off/3")
            .file("var/lib/snapd/snaps/kesl_17.snap", "")
            .file("var/lib/snapd/snaps/core22_1380.snap", "")
            .file(
                "var/lib/snapd/state.json",
                r#"{"data":{"snaps":{"core22":{"active":true,"current":"1380"},"ghost":{"current":"2"}}}}"#,
            );
        let reading = root.read(&Snap);
        assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
        assert_eq!(rows(&reading), ["core22  1380 ", "ghost  2 disabled", "kesl 12.2 17 ", "off  3 disabled"]);
        assert_eq!(reading.observations[2].path, "/snap/kesl");
    }

    #[test]
    fn without_snapd_it_is_not_applicable_and_a_damaged_state_is_partial() {
        assert_eq!(Canned::new("debian").read(&Snap).outcome, Outcome::NotApplicable);
        assert_eq!(Canned::new("ubuntu").directory("var/lib/snapd/snaps").read(&Snap).outcome, Outcome::Empty);
        let root = Canned::new("ubuntu")
            .file("var/lib/snapd/snaps/a_1.snap", "")
            .file("var/lib/snapd/state.json", "{\"data\":");
        let reading = root.read(&Snap);
        assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
        assert!(reading.reason.contains("state.json"), "{}", reading.reason);
    }
}
