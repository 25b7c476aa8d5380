//! `kernel-modules`: modules that did not come with the kernel, modules that are loaded at boot, and, on the running system,
//! loaded modules that the kernel marks as out-of-tree or proprietary.
//!
//! The kernel's own modules are left out. They belong to the kernel package and name no product. Which of them are loaded
//! depends on the hardware and the moment, so two machines of one image would share nothing.

use std::collections::BTreeSet;

use muster_proto::model::{Kind, Observation, SourceName};

use crate::sources::parse::modules::{listed, loaded, of_file};
use crate::sources::reading_builder::ReadingBuilder;
use crate::sources::{ScanContext, Source, SourceReading};

const TREES: &[&str] = &["/lib/modules", "/usr/lib/modules"];
const DKMS: &str = "/var/lib/dkms";
const LISTS: &[&str] = &["/etc/modules-load.d", "/usr/local/lib/modules-load.d", "/usr/lib/modules-load.d"];
const DEBIAN_LIST: &str = "/etc/modules";
const LOADED: &str = "/proc/modules";
const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Limit of directory levels below a release; the kernel's own tree has ten.
const DEPTH: usize = 12;

pub(in crate::sources) struct KernelModules;

impl Source for KernelModules {
    fn name(&self) -> SourceName {
        SourceName::KernelModules
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let mut builder = ReadingBuilder::default();
        installed(context, &mut builder);
        dkms(context, &mut builder);
        load_lists(context, &mut builder);
        if context.root.is_running_system() {
            running(context, &mut builder);
        }
        builder.finish("no kernel modules on disk")
    }
}

fn installed(context: &ScanContext, builder: &mut ReadingBuilder) {
    // With a merged `/usr`, /lib is a link and both trees are the same.
    let merged = matches!(context.root.read_link("/lib"), Ok(link) if link.ends_with("usr/lib"));
    for tree in &TREES[usize::from(merged)..] {
        let Some(releases) = builder.list(context, tree) else { continue };
        builder.places_found += 1;
        for release in releases.into_iter().filter(|entry| entry.is_directory) {
            let release = format!("{tree}/{}", release.name);
            for part in builder.list(context, &release).unwrap_or_default() {
                if part.is_directory && part.name != "kernel" {
                    files(context, &format!("{release}/{}", part.name), 0, builder);
                }
            }
        }
    }
}

fn files(context: &ScanContext, dir: &str, depth: usize, builder: &mut ReadingBuilder) {
    if depth > DEPTH {
        return builder.problem(format!("{dir} is nested too deeply"));
    }
    for entry in builder.list(context, dir).unwrap_or_default() {
        if builder.is_full(dir) {
            return;
        }
        let path = format!("{dir}/{}", entry.name);
        if entry.is_directory {
            files(context, &path, depth + 1, builder);
        } else if let Some(name) = of_file(&entry.name) {
            add(builder, name, path, "installed");
        }
    }
}

/// Reads DKMS: module sources that are built for each kernel, in `NAME/VERSION`.
fn dkms(context: &ScanContext, builder: &mut ReadingBuilder) {
    for name in builder.list(context, DKMS).unwrap_or_default().into_iter().filter(|entry| entry.is_directory) {
        let place = format!("{DKMS}/{}", name.name);
        for version in builder.list(context, &place).unwrap_or_default() {
            if version.is_directory && version.name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                let mut module = module(name.name.clone(), place.clone(), "dkms");
                module.version = version.name;
                builder.add(DKMS, module);
            }
        }
    }
}

fn load_lists(context: &ScanContext, builder: &mut ReadingBuilder) {
    let mut places = vec![DEBIAN_LIST.to_owned()];
    for dir in LISTS {
        let files = builder.list(context, dir).unwrap_or_default();
        let files = files.into_iter().filter(|file| !file.is_directory && file.name.ends_with(".conf"));
        places.extend(files.map(|file| format!("{dir}/{}", file.name)));
    }
    for place in places {
        // A link to /dev/null disables a list.
        if matches!(context.root.read_link(&place), Ok(target) if target == "/dev/null") {
            continue;
        }
        let Some(bytes) = builder.read(context, &place, TEXT_BYTES) else { continue };
        for name in listed(&String::from_utf8_lossy(&bytes)) {
            add(builder, name, place.clone(), "load-list");
        }
    }
}

fn running(context: &ScanContext, builder: &mut ReadingBuilder) {
    // A kernel without module support has no such file.
    let Some(bytes) = builder.read(context, LOADED, TEXT_BYTES) else { return };
    builder.places_found += 1;
    let on_disk: BTreeSet<String> = builder.observations.iter().map(|o| o.name.clone()).collect();
    match loaded(&String::from_utf8_lossy(&bytes)) {
        Err(line) => builder.problem(format!("{LOADED}: cannot parse line {line}")),
        Ok(modules) => {
            for module in modules.into_iter().filter(|module| module.foreign && !on_disk.contains(&module.name)) {
                add(builder, module.name, String::new(), "loaded");
            }
        }
    }
}

fn add(builder: &mut ReadingBuilder, name: String, path: String, origin: &str) {
    let module = module(name, path, origin);
    let place = if module.path.is_empty() { LOADED.to_owned() } else { module.path.clone() };
    builder.add(&place, module);
}

fn module(name: String, path: String, origin: &str) -> Observation {
    let mut observation = Observation::new(Kind::KernelModule, name);
    observation.path = path;
    observation.attributes.insert("origin".to_owned(), origin.to_owned());
    observation
}

#[cfg(all(test, unix))]
mod tests {
    use muster_proto::model::Outcome;

    use super::super::canned::Canned;
    use super::*;

    #[test]
    fn only_modules_that_did_not_come_with_the_kernel_are_found() {
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
    fn an_image_without_a_kernel_is_not_applicable_and_a_broken_list_is_partial() {
        assert_eq!(Canned::new("debian").read(&KernelModules).outcome, Outcome::NotApplicable);
        assert_eq!(
            Canned::new("debian").directory("lib/modules/6.1/kernel").read(&KernelModules).outcome,
            Outcome::Empty
        );
        let root = Canned::new("debian").file("lib/modules/6.1/extra/a.ko", "").directory("etc/modules-load.d/x.conf");
        assert_eq!(root.directory("etc/modules").read(&KernelModules).outcome, Outcome::Partial);
    }
}
