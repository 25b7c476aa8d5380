//! Links and access lists of Windows, for tests. Not every account may make them, and not every version of Wine can.

use std::os::windows::fs::{symlink_dir, symlink_file};
use std::path::Path;

pub(super) fn link(target: &Path, path: &Path) -> bool {
    let full = path.parent().unwrap_or(path).join(target);
    let made = if full.is_dir() { symlink_dir(target, path) } else { symlink_file(target, path) };
    made.is_ok() && std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

pub(super) fn mode(_path: &Path) -> Option<u32> {
    None
}

pub(super) fn open_to_all(path: &Path) -> bool {
    super::platform::security::set_list(path, "D:P(A;OICI;FA;;;WD)(A;OICI;FA;;;SY)").is_ok()
}

pub(super) fn let_notices_arrive() {
    std::thread::sleep(std::time::Duration::from_millis(250));
}

pub(super) fn is_wine() -> bool {
    windows_registry::CURRENT_USER.open(r"Software\Wine").is_ok()
}

/// Wine 8 tells only of entries of the folder itself.
pub(super) fn has_watched_trees() -> bool {
    !is_wine()
}

pub(super) const fn tells_of_writes() -> bool {
    false
}
