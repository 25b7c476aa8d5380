//! macOS: the system's library directories, and the id of the machine.

use std::path::PathBuf;

pub(super) use super::machine::{machine_proxy, protect, trusted_cas, unprotect};
pub(super) use super::private_files::{is_locked, lock, make_private_dir, remove_file, sync_dir, write_private};

pub(super) const CA_BUNDLES: &[&str] = &["/etc/ssl/cert.pem"];

pub(super) fn default_config_file() -> PathBuf {
    folder().join("agent.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
    folder().join("agent")
}

/// The system's folder, or that of a person who runs the agent by hand.
fn folder() -> PathBuf {
    let of_system = PathBuf::from("/Library/Application Support/Muster");
    match std::env::home_dir() {
        Some(home) if !rustix::process::geteuid().is_root() => home.join("Library/Application Support/Muster"),
        Some(_) | None => of_system,
    }
}

/// `IOPlatformUUID` of the registry of the kernel (`ioreg -rd1 -c IOPlatformExpertDevice`), which stays when macOS is installed again.
pub(super) fn machine_id() -> Option<String> {
    super::uuid::of(&sysinfo::Product::uuid().ok()?)
}
