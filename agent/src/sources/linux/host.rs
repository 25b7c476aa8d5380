//! `host`: operating system, kernel and hardware architecture. For a root that is not running, only what its files say.

use muster_proto::model::{HostFacts, Kind, Observation, SourceName};

use super::PLATFORM;
use crate::os;
use crate::sources::parse::os_release::OsRelease;
use crate::sources::parse::{dpkg, elf};
use crate::sources::record::Part;
use crate::sources::root::Root;
use crate::sources::{ScanContext, Source, SourceReading, portable};

/// Programs to read the architecture from; every image has one of them.
const PROGRAMS: &[&str] =
    &["/bin/sh", "/usr/bin/env", "/bin/ls", "/usr/bin/dpkg", "/sbin/init", "/usr/lib/systemd/systemd", "/bin/busybox"];

/// Where container engines keep images and layers. Software in them is not installed on the host, and nothing reads it; the
/// collector says so.
const CONTAINER_STORAGE: &[&str] = &[
    "/var/lib/docker",
    "/var/lib/containers/storage",
    "/var/lib/containerd",
    "/var/lib/rancher/k3s/agent/containerd",
    "/var/snap/docker/common/var-lib-docker",
];

pub(in crate::sources) struct Host;

impl Source for Host {
    fn name(&self) -> SourceName {
        SourceName::Host
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        let (kernel, architecture) = if context.root.is_running_system() {
            let facts = facts(context);
            (facts.kernel, facts.architecture)
        } else {
            (newest_kernel(&context.root), architecture(&context.root))
        };
        let mut observations = Vec::new();
        if let Ok(os) = &context.os {
            let id = if os.field("ID").is_empty() { "linux" } else { os.field("ID") };
            let mut observation = Observation::new(Kind::Os, id);
            observation.version = os.field("VERSION_ID").to_owned();
            for (attribute, field) in [("pretty_name", "PRETTY_NAME"), ("like", "ID_LIKE"), ("variant", "VARIANT_ID")] {
                if !os.field(field).is_empty() {
                    observation.attributes.insert(attribute.to_owned(), os.field(field).to_owned());
                }
            }
            observations.push(observation);
        }
        if !kernel.is_empty() {
            let mut observation = Observation::new(Kind::Kernel, "linux");
            observation.version = kernel;
            observations.push(observation);
        }
        if !architecture.is_empty() {
            let mut machine = Observation::new(Kind::Machine, architecture);
            if context.root.is_running_system() {
                machine.attributes.insert("virtualisation".to_owned(), virtualisation(&context.root).to_owned());
            }
            observations.push(machine);
        }
        for place in CONTAINER_STORAGE {
            if matches!(context.root.kind_at(place), Ok(Some(_))) {
                let mut storage = Observation::new(Kind::Path, "container-storage");
                (*place).clone_into(&mut storage.path);
                observations.push(storage);
            }
        }
        match &context.os {
            Ok(_) => SourceReading::complete(observations),
            Err(unknown) => unknown.reading(observations),
        }
    }
}

/// The facts that are known without reading a file. Those of a root that is not running are in [`PARTS`].
pub(in crate::sources) fn facts(context: &ScanContext) -> HostFacts {
    let os_name = context.os.as_ref().map(OsRelease::pretty_name).unwrap_or_default();
    if context.root.is_running_system() {
        return HostFacts { os_name, ..portable::machine::kernel_facts(PLATFORM) };
    }
    HostFacts { os_name, ..portable::machine::no_facts(PLATFORM, true) }
}

/// The facts of a root that is not running.
pub(super) const PARTS: &[Part] = &[
    Part {
        what: "the host name",
        read: |context| {
            let name = hostname(&context.root);
            Box::new(move |record| record.facts.hostname = name)
        },
        unread: |_| {},
    },
    Part {
        what: "the kernel release",
        read: |context| {
            let kernel = newest_kernel(&context.root);
            Box::new(move |record| record.facts.kernel = kernel)
        },
        unread: |_| {},
    },
    Part {
        what: "the architecture",
        read: |context| {
            let architecture = architecture(&context.root);
            Box::new(move |record| record.facts.architecture = architecture)
        },
        unread: |_| {},
    },
];

/// What tells this machine from another one that has a copy of the agent's state folder.
pub(super) const FINGERPRINT: Part = Part {
    what: "the machine id",
    read: |context| {
        let fingerprint = fingerprint(&context.root);
        Box::new(move |record| record.fingerprint = fingerprint)
    },
    unread: |_| {},
};

fn fingerprint(root: &Root) -> Option<[u8; 32]> {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    files.iter().find_map(|path| os::machine_fingerprint(&root.read_text(path).ok()?))
}

pub(super) fn hostname(root: &Root) -> String {
    let text = root.read_text("/etc/hostname").unwrap_or_default();
    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default().to_owned()
}

/// The newest kernel with modules on disk; empty when there is none, as in containers.
fn newest_kernel(root: &Root) -> String {
    let releases = ["/usr/lib/modules", "/lib/modules"].into_iter().flat_map(|dir| root.list(dir).unwrap_or_default());
    let releases = releases.filter(|entry| entry.is_directory && entry.name.starts_with(|c: char| c.is_ascii_digit()));
    releases.map(|entry| entry.name).max_by_key(|release| numbers(release)).unwrap_or_default()
}

/// The numbers in a kernel release, so that 6.10 sorts after 6.9. The text itself breaks ties.
fn numbers(release: &str) -> (Vec<u64>, String) {
    let numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    (numbers, release.to_owned())
}

fn architecture(root: &Root) -> String {
    // The machine is in bytes 18 and 19 of an ELF header.
    let of_program = |path: &&str| root.read_head(path, 20).ok().and_then(|head| elf::architecture(&head));
    if let Some(architecture) = PROGRAMS.iter().find_map(of_program) {
        return architecture.to_owned();
    }
    let status = root.read_head("/var/lib/dpkg/status", 1 << 20).unwrap_or_default();
    let packages = dpkg::parse(&status, dpkg::Form::Status).packages;
    // `all` is the architecture of packages that run on every machine.
    let native = packages.iter().find(|package| !matches!(package.architecture.as_str(), "" | "all"));
    native.map_or_else(String::new, |package| elf::from_debian(&package.architecture).to_owned())
}

/// Whether the running system is a container: it sees the firmware of its host. Uses only world-readable evidence.
pub(super) fn is_container(root: &Root) -> bool {
    let exists = |path: &str| matches!(root.kind_at(path), Ok(Some(_)));
    let of_cgroup = root.read_text("/proc/1/cgroup").unwrap_or_default().to_ascii_lowercase();
    let containers = ["docker", "kubepods", "containerd", "/lxc/", "libpod"];
    exists("/.dockerenv")
        || exists("/run/.containerenv")
        || exists("/run/systemd/container")
        || exists("/run/secrets/kubernetes.io")
        || containers.iter().any(|word| of_cgroup.contains(word))
}

/// The virtualisation of the running system: `container`, a hypervisor, or `none`. Uses only world-readable evidence.
fn virtualisation(root: &Root) -> &'static str {
    // Before the hardware: a container sees the firmware data of its host.
    if is_container(root) {
        return "container";
    }
    let text = |path: &str| root.read_text(path).unwrap_or_default().trim().to_ascii_lowercase();
    // Vendors spell these texts in different ways, so `text` folds their case.
    let board = format!("{} {}", text("/sys/class/dmi/id/sys_vendor"), text("/sys/class/dmi/id/product_name"));
    let vendors = [
        ("vmware", "vmware"),
        ("virtualbox", "virtualbox"),
        // innotek GmbH is the first vendor of VirtualBox, and still in its firmware.
        ("innotek", "virtualbox"),
        // Microsoft also sells hardware; only the product name tells a virtual machine.
        ("microsoft corporation virtual", "hyper-v"),
        ("qemu", "kvm"),
        ("kvm", "kvm"),
        ("amazon ec2", "kvm"),
        ("google compute", "kvm"),
        ("openstack", "kvm"),
        ("xen", "xen"),
        ("parallels", "parallels"),
    ];
    if let Some((_, name)) = vendors.iter().find(|(word, _)| board.contains(word)) {
        return name;
    }
    if text("/sys/hypervisor/type") == "xen" {
        return "xen";
    }
    // The first processor is enough: the flag is the same for all.
    let cpu = root.read_head("/proc/cpuinfo", 8 * 1024).unwrap_or_default();
    let flags = String::from_utf8_lossy(&cpu);
    if flags.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor")) {
        "hypervisor"
    } else {
        "none"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        let newest = ["6.9.12-amd64", "6.10.3-amd64", "6.1.0-25-amd64"].into_iter().max_by_key(|r| numbers(r));
        assert_eq!(newest, Some("6.10.3-amd64"));
    }
}
