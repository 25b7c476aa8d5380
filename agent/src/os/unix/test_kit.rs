//! Links and modes of Unix, for tests.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

pub(super) fn link(target: &Path, path: &Path) -> bool {
    symlink(target, path).expect("linked");
    true
}

pub(super) fn mode(path: &Path) -> Option<u32> {
    Some(std::fs::metadata(path).expect("metadata").permissions().mode() & 0o7777)
}
