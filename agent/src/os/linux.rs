//! Linux: FHS directories, and the id of the machine.

use std::path::PathBuf;

pub(super) use super::machine::{machine_proxy, protect, trusted_cas, unprotect};
pub(super) use super::private_files::{is_locked, lock, make_private_dir, remove_file, sync_dir, write_private};

/// Of Debian and Arch, Red Hat, SUSE, Alpine.
pub(super) const CA_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn default_config_file() -> PathBuf {
    PathBuf::from("/etc/muster/agent.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
    // systemd sets this to the directory that it has created for the service.
    if let Some(given) = std::env::var_os("STATE_DIRECTORY").filter(|given| !given.is_empty()) {
        return PathBuf::from(given);
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/muster-agent");
    }
    let own = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    own("XDG_STATE_HOME")
        .or_else(|| own("HOME").map(|home| home.join(".local/state")))
        .map_or_else(|| PathBuf::from("/var/lib/muster-agent"), |base| base.join("muster-agent"))
}

pub(super) fn machine_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .filter_map(|path| {
            crate::deadline::reading(path);
            std::fs::read_to_string(path).ok()
        })
        .map(|text| text.trim().to_owned())
        // During the first boot the file may say "uninitialized" (machine-id(5)).
        .find(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
