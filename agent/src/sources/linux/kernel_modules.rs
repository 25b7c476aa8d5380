//! `kernel-modules`: modules that did not come with the kernel, the modules that are loaded on every start, and, on the
//! running system, loaded ones that the kernel marks as foreign.
//!
//! The kernel's own modules are left out. They belong to the kernel package, name no product, and which of them are
//! loaded depends on the hardware and the hour: two machines of one image would share nothing.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, SourceName};

use super::findings::Findings;
use crate::sources::parse::modules::{listed, loaded, of_file};
use crate::sources::{ScanContext, Source, SourceReading};

const TREES: &[&str] = &["/lib/modules", "/usr/lib/modules"];
const DKMS: &str = "/var/lib/dkms";
const LISTS: &[&str] = &["/etc/modules-load.d", "/usr/local/lib/modules-load.d", "/usr/lib/modules-load.d"];
const DEBIAN_LIST: &str = "/etc/modules";
const LOADED: &str = "/proc/modules";
const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Directories below a release; the kernel's own tree has ten levels.
const DEPTH: usize = 12;

pub(in crate::sources) struct KernelModules;

impl Source for KernelModules {
    fn name(&self) -> SourceName {
        SourceName::KernelModules
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut findings = Findings::default();
        installed(context, &mut findings);
        dkms(context, &mut findings);
        load_lists(context, &mut findings);
        if context.root.is_running_system() {
            running(context, &mut findings);
        }
        findings.reading("there are no kernel modules")
    }
}

fn installed(context: &ScanContext, findings: &mut Findings) {
    // On merged systems the second tree is the first one by a link.
    let merged = matches!(context.root.read_link("/lib"), Ok(link) if link.ends_with("usr/lib"));
    for tree in &TREES[usize::from(merged)..] {
        let Some(releases) = findings.list(context, tree) else { continue };
        findings.places += 1;
        for release in releases.into_iter().filter(|entry| entry.is_directory) {
            let release = format!("{tree}/{}", release.name);
            for part in findings.list(context, &release).unwrap_or_default() {
                if part.is_directory && part.name != "kernel" {
                    files(context, &format!("{release}/{}", part.name), 0, findings);
                }
            }
        }
    }
}

fn files(context: &ScanContext, dir: &str, depth: usize, findings: &mut Findings) {
    if depth > DEPTH {
        return findings.broken(format!("{dir} is too deep"));
    }
    for entry in findings.list(context, dir).unwrap_or_default() {
        let path = format!("{dir}/{}", entry.name);
        if entry.is_directory {
            files(context, &path, depth + 1, findings);
        } else if let Some(name) = of_file(&entry.name) {
            add(findings, name, path, "installed");
        }
    }
}

/// Sources that are built for each kernel; their directory is named after name and version.
fn dkms(context: &ScanContext, findings: &mut Findings) {
    for name in findings.list(context, DKMS).unwrap_or_default().into_iter().filter(|entry| entry.is_directory) {
        let place = format!("{DKMS}/{}", name.name);
        for version in findings.list(context, &place).unwrap_or_default() {
            if version.is_directory && version.name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                add(findings, name.name.clone(), place.clone(), "dkms");
                if let Some(observation) = findings.observations.last_mut() {
                    observation.version = version.name;
                }
            }
        }
    }
}

fn load_lists(context: &ScanContext, findings: &mut Findings) {
    let mut places = vec![DEBIAN_LIST.to_owned()];
    for dir in LISTS {
        let files = findings.list(context, dir).unwrap_or_default();
        let files = files.into_iter().filter(|file| !file.is_directory && file.name.ends_with(".conf"));
        places.extend(files.map(|file| format!("{dir}/{}", file.name)));
    }
    for place in places {
        // A link to nothing or to /dev/null switches a list off.
        if matches!(context.root.read_link(&place), Ok(target) if target == "/dev/null") {
            continue;
        }
        let Some(bytes) = findings.read(context, &place, TEXT_BYTES) else { continue };
        for name in listed(&String::from_utf8_lossy(&bytes)) {
            add(findings, name, place.clone(), "load-list");
        }
    }
}

fn running(context: &ScanContext, findings: &mut Findings) {
    // A kernel without modules has no table.
    let Some(bytes) = findings.read(context, LOADED, TEXT_BYTES) else { return };
    findings.places += 1;
    let known: BTreeSet<String> = findings.observations.iter().map(|o| o.name.clone()).collect();
    match loaded(&String::from_utf8_lossy(&bytes)) {
        Err(line) => findings.broken(format!("{LOADED} line {line} is none of the kernel's")),
        Ok(modules) => {
            for module in modules.into_iter().filter(|module| module.foreign && !known.contains(&module.name)) {
                add(findings, module.name, String::new(), "loaded");
            }
        }
    }
}

fn add(findings: &mut Findings, name: String, path: String, origin: &str) {
    let mut observation = Observation::new(Kind::KernelModule, name);
    observation.path = path;
    observation.attributes.insert("origin".to_owned(), origin.to_owned());
    findings.observations.push(observation);
}

#[cfg(test)]
mod tests {
    use muster_proto::model::Outcome;

    use super::super::canned::Canned;
    use super::*;

    #[test]
    fn modules_from_elsewhere_are_found_and_the_kernels_own_are_not() {
        let root = Canned::new("rocky")
            .file("lib/modules/5.14/kernel/fs/ext4.ko.xz", "")
            .file("lib/modules/5.14/modules.dep", "")
            .file("lib/modules/5.14/extra/vendor/av-filter.ko.xz", "")
            .link("lib/modules/5.14/weak-updates/old.ko", "/lib/modules/5.13/extra/old.ko")
            .link("lib/modules/5.14/build", "/usr/src/x")
            .directory("var/lib/dkms/av/2.1/source")
            .file("etc/modules-load.d/av.conf", "av-filter\n")
            .link("etc/modules-load.d/off.conf", "/dev/null")
            .file("etc/modules", "# none\nloop\n");
        let reading = root.read(&KernelModules);
        let row = |o: &Observation| format!("{} {} {} {}", o.attributes["origin"], o.name, o.version, o.path);
        let rows: Vec<String> = reading.observations.iter().map(row).collect();
        assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
        assert_eq!(
            rows,
            [
                "installed av_filter  /lib/modules/5.14/extra/vendor/av-filter.ko.xz",
                "installed old  /lib/modules/5.14/weak-updates/old.ko",
                "dkms av 2.1 /var/lib/dkms/av",
                "load-list loop  /etc/modules",
                "load-list av_filter  /etc/modules-load.d/av.conf",
            ]
        );
    }

    #[test]
    fn an_image_without_a_kernel_is_not_applicable_and_a_broken_tree_not_whole() {
        assert_eq!(Canned::new("debian").read(&KernelModules).outcome, Outcome::NotApplicable);
        assert_eq!(
            Canned::new("debian").directory("lib/modules/6.1/kernel").read(&KernelModules).outcome,
            Outcome::Empty
        );
        let root = Canned::new("debian").file("lib/modules/6.1/extra/a.ko", "").directory("etc/modules-load.d/x.conf");
        assert_eq!(root.directory("etc/modules").read(&KernelModules).outcome, Outcome::Partial);
    }
}
