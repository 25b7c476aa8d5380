//! Links, modes, pipes and devices of Unix, for tests.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

pub(super) fn link(target: &Path, path: &Path) -> bool {
    symlink(target, path).expect("linked");
    true
}

pub(super) fn mode(path: &Path) -> Option<u32> {
    Some(std::fs::metadata(path).expect("metadata").permissions().mode() & 0o7777)
}

/// Makes a named pipe. The program for it is there on every Unix; the call of the system has another name on each.
pub(crate) fn pipe(path: &Path) {
    assert!(ran(Command::new("mkfifo").args(["-m", "600"]).arg(path)), "cannot make the pipe {}", path.display());
}

/// Makes a file that never ends, as `/dev/zero` of Linux; `false` where only root can.
pub(crate) fn endless_device(path: &Path) -> bool {
    ran(Command::new("mknod").args(["-m", "600"]).arg(path).args(["c", "1", "5"]))
}

fn ran(command: &mut Command) -> bool {
    command.output().expect("started").status.success()
}

pub(super) fn open_to_all(path: &Path) -> bool {
    std::fs::set_permissions(path, Permissions::from_mode(0o777)).expect("opened");
    true
}

pub(super) const fn let_notices_arrive() {}

pub(super) const fn has_watched_trees() -> bool {
    true
}

pub(super) const fn tells_of_writes() -> bool {
    cfg!(target_os = "linux")
}
