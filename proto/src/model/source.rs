//! Where an agent can look, on which platform, and what became of looking.

use super::closed_list::closed_list;

closed_list! {
    /// The family of operating systems that was looked at.
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
    /// One place to look on a host. The full list for all platforms; a collector knows them all.
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
        /// Microsoft Defender's own statement.
        Defender = 23, "defender";
        /// macOS application bundles.
        AppBundles = 24, "app-bundles";
        /// macOS installer receipts.
        Receipts = 25, "receipts";
        /// macOS launch daemons and agents.
        Launchd = 26, "launchd";
        /// macOS system and kernel extensions.
        SystemExtensions = 27, "system-extensions";
    }
}

closed_list! {
    /// What became of looking at one source.
    Outcome {
        /// Looked completely, and something is there.
        Found = 1, "found";
        /// Looked completely, and nothing is there. Only this and `found` may prove an absence.
        Empty = 2, "empty";
        /// Something was seen, but not everything could be.
        Partial = 3, "partial";
        /// This machine has no such place.
        NotApplicable = 4, "not-applicable";
        /// The agent may not look there.
        Denied = 5, "denied";
        /// The place is there and could not be read.
        Failed = 6, "failed";
        /// Looking took longer than its time limit.
        TimedOut = 7, "timed-out";
    }
}

impl Outcome {
    /// Whether what was *not* seen there is proven to be absent.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Found | Self::Empty)
    }
}
