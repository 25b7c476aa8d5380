//! Where the sources of Linux read: see the constants at the head of each of them.

use crate::sources::places::Reach::{self, Entry, Listing, Tree};

pub(in crate::sources) const PLACES: &[(&str, Reach)] = &[
    ("/etc/os-release", Entry),
    ("/usr/lib/os-release", Entry),
    ("/etc/hostname", Entry),
    // dpkg renames a new status over the old one; between two it writes numbered files below updates.
    ("/var/lib/dpkg/status", Entry),
    ("/var/lib/dpkg/status.d", Listing),
    ("/var/lib/dpkg/updates", Listing),
    ("/var/lib/rpm", Listing),
    ("/usr/lib/sysimage/rpm", Listing),
    ("/usr/share/rpm", Listing),
    ("/lib/apk/db/installed", Entry),
    ("/usr/lib/apk/db/installed", Entry),
    ("/etc/apk/world", Entry),
    ("/var/lib/pacman/local", Listing),
    // Not snapd's state.json: snapd writes it all day long.
    ("/snap", Tree),
    ("/var/lib/snapd/snap", Tree),
    ("/var/lib/snapd/snaps", Listing),
    // flatpak touches this file after everything that it has done.
    ("/var/lib/flatpak/.changed", Entry),
    ("/var/lib/flatpak/app", Listing),
    ("/etc/flatpak/installations.d", Listing),
    ("/etc/systemd/system", Tree),
    ("/usr/local/lib/systemd/system", Tree),
    ("/usr/lib/systemd/system", Tree),
    ("/lib/systemd/system", Tree),
    ("/etc/init.d", Listing),
    // depmod rewrites its tables beside the modules whenever one has come or gone.
    ("/lib/modules", Tree),
    ("/usr/lib/modules", Tree),
    ("/var/lib/dkms", Tree),
    ("/etc/modules", Entry),
    ("/etc/modules-load.d", Listing),
    ("/usr/local/lib/modules-load.d", Listing),
    ("/usr/lib/modules-load.d", Listing),
    ("/usr/local/share/ca-certificates", Listing),
    ("/etc/pki/ca-trust/source/anchors", Listing),
    ("/usr/share/pki/ca-trust-source/anchors", Listing),
    ("/etc/ca-certificates/trust-source/anchors", Listing),
    ("/usr/share/ca-certificates/trust-source/anchors", Listing),
    ("/etc/pki/trust/anchors", Listing),
    ("/usr/share/pki/trust/anchors", Listing),
    ("/opt/google/chrome/extensions", Listing),
    ("/usr/share/google-chrome/extensions", Listing),
    ("/usr/share/chromium/extensions", Listing),
    ("/usr/share/microsoft-edge/extensions", Listing),
    ("/usr/share/brave-browser/extensions", Listing),
];
