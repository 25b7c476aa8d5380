//! The sources that an agent can read, the platforms, and the outcomes of reading.

use super::closed_list::closed_list;

closed_list! {
    /// The family of operating systems of the scanned machine.
    Platform {
        /// Linux of any distribution.
        Linux = 1, "linux";
        /// Windows, desktop and server.
        Windows = 2, "windows";
        /// macOS.
        Macos = 3, "macos";
    }
}

closed_list! {
    /// One place to look on a host. This is the list for all platforms.
    SourceName {
        /// Operating system, kernel, architecture, virtualisation.
        Host = 1, "host";
        /// The dpkg status database.
        Dpkg = 2, "dpkg";
        /// The rpm database.
        Rpm = 3, "rpm";
        /// Alpine's package database.
        Apk = 4, "apk";
        /// Arch's package database.
        Pacman = 5, "pacman";
        /// Installed snaps.
        Snap = 6, "snap";
        /// Installed flatpaks, system-wide and per user.
        Flatpak = 7, "flatpak";
        /// systemd unit files and SysV scripts.
        SystemdUnits = 8, "systemd-units";
        /// Loaded and installed kernel modules.
        KernelModules = 9, "kernel-modules";
        /// Running processes that the watchlist names.
        Processes = 10, "processes";
        /// Paths that the watchlist names.
        WatchPaths = 11, "watch-paths";
        /// Certificates that were added to the machine's trust store.
        TrustStore = 12, "trust-store";
        /// Browser extensions of local users.
        BrowserExtensions = 13, "browser-extensions";
        /// Windows uninstall entries, both views, machine and users.
        UninstallKeys = 14, "uninstall-keys";
        /// Windows Security Center registrations.
        SecurityCenter = 15, "security-center";
        /// Windows services.
        Services = 16, "services";
        /// Windows kernel drivers.
        Drivers = 17, "drivers";
        /// Windows file-system filter drivers.
        FilterDrivers = 18, "filter-drivers";
        /// Windows scheduled tasks.
        ScheduledTasks = 19, "scheduled-tasks";
        /// Windows Store and MSIX packages.
        Appx = 20, "appx";
        /// Windows Installer products.
        Msi = 21, "msi";
        /// Registry keys that the watchlist names.
        Registry = 22, "registry";
        /// The status that Microsoft Defender reports.
        Defender = 23, "defender";
        /// macOS application bundles.
        AppBundles = 24, "app-bundles";
        /// macOS installer receipts.
        Receipts = 25, "receipts";
        /// macOS launch daemons and agents.
        Launchd = 26, "launchd";
        /// macOS system and kernel extensions.
        SystemExtensions = 27, "system-extensions";
        /// The packages of systems whose own store no other source reads: Portage, xbps, opkg, package lists of images.
        SystemPackages = 28, "system-packages";
    }
}

closed_list! {
    /// The result of reading one source.
    Outcome {
        /// It was read completely, and something was found.
        Found = 1, "found";
        /// It was read completely, and nothing was found. Only this and `found` can prove that something is absent.
        Empty = 2, "empty";
        /// Part of it was read, and part could not be.
        Partial = 3, "partial";
        /// This machine does not have this source.
        NotApplicable = 4, "not-applicable";
        /// The agent has no permission to read it.
        Denied = 5, "denied";
        /// It exists and could not be read, or it must exist on this system and does not.
        Failed = 6, "failed";
        /// Reading it took longer than its time limit.
        TimedOut = 7, "timed-out";
    }
}

impl Outcome {
    /// Whether the source was read completely, so that what was not found is proven to be absent.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Found | Self::Empty)
    }
}
