//! One thing that a source saw.

use std::collections::BTreeMap;

use super::closed_list::closed_list;

closed_list! {
    /// The kind of evidence. A recogniser applies to one kind.
    Kind {
        /// The operating system: name is its `ID`, version its `VERSION_ID`.
        Os = 1, "os";
        /// The running or installed kernel.
        Kernel = 2, "kernel";
        /// The machine: architecture, virtualisation.
        Machine = 3, "machine";
        /// A Windows uninstall entry.
        UninstallKey = 10, "uninstall_key";
        /// A Windows Security Center registration.
        Wsc = 11, "wsc";
        /// A service: systemd unit, SysV script, Windows service.
        Service = 12, "service";
        /// A kernel driver or kernel extension.
        Driver = 13, "driver";
        /// A Windows file-system filter.
        Filter = 14, "filter";
        /// A running process.
        Process = 15, "process";
        /// A scheduled task.
        Task = 16, "task";
        /// A Debian package.
        Deb = 17, "deb";
        /// An RPM package.
        Rpm = 18, "rpm";
        /// An Alpine package.
        Apk = 19, "apk";
        /// An Arch package.
        Pacman = 20, "pacman";
        /// A snap.
        Snap = 21, "snap";
        /// A flatpak.
        Flatpak = 22, "flatpak";
        /// A Windows Store or MSIX package.
        Appx = 23, "appx";
        /// A Windows Installer product.
        Msi = 24, "msi";
        /// A macOS application bundle.
        AppBundle = 25, "app_bundle";
        /// A macOS installer receipt.
        Receipt = 26, "receipt";
        /// A launchd job.
        Launchd = 27, "launchd";
        /// A macOS system extension.
        SystemExtension = 28, "system_extension";
        /// A Linux kernel module.
        KernelModule = 29, "kernel_module";
        /// A path that exists.
        Path = 30, "path";
        /// A registry key or value.
        Registry = 31, "registry";
        /// A certificate in a trust store.
        Cert = 32, "cert";
        /// A browser extension.
        BrowserExtension = 33, "browser_extension";
        /// A container image in the storage of the host's container engine.
        ContainerImage = 34, "container_image";
        /// A package of a store that has no kind of its own: Portage, xbps, opkg, a system image. The attribute `store`
        /// names it.
        Package = 35, "package";
    }
}

/// The condition that a source reports: `rc` for a dpkg package, `binary-missing` for a service.
pub type ObservationState = String;

/// One thing that a source saw. A text is empty if the source does not have that field.
///
/// It contains nothing that differs between two machines of one image: no user name, no home path (`~` replaces it), no
/// time, no process id, no activity. Those are in [`super::HostState`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observation {
    /// The kind of evidence.
    pub kind: Kind,
    /// The name in the source.
    pub name: String,
    /// Publisher, maintainer or signer.
    pub vendor: String,
    /// The version as the source writes it.
    pub version: String,
    /// Package id, product code, bundle id, service key, unit file.
    pub id: String,
    /// The path where it was found.
    pub path: String,
    /// The condition that the source reports.
    pub state: ObservationState,
    /// More facts by name; at most [`crate::limits::ATTRIBUTES_PER_OBSERVATION`].
    pub attributes: BTreeMap<String, String>,
}

impl Observation {
    /// An observation with a kind and a name; all other fields are empty.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            vendor: String::new(),
            version: String::new(),
            id: String::new(),
            path: String::new(),
            state: String::new(),
            attributes: BTreeMap::new(),
        }
    }
}
