//! What tests need of the operating system: links and modes. A test that the machine cannot run says so.

use std::path::Path;

#[cfg(unix)]
pub(crate) use super::platform_kit::{endless_device, pipe};

/// Makes a symbolic link; `false` where the system cannot or may not.
pub(crate) fn link(target: impl AsRef<Path>, path: &Path) -> bool {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("made");
    super::platform_kit::link(target.as_ref(), path)
}

/// The permissions of a file; `None` where there are none.
pub(crate) fn mode(path: &Path) -> Option<u32> {
    super::platform_kit::mode(path)
}

/// Lets everybody write there; `false` where there are no permissions.
pub(crate) fn open_to_all(path: &Path) -> bool {
    super::platform_kit::open_to_all(path)
}

/// Says that a test, or a part of it, was left out because the system has no such thing.
pub(crate) fn left_out(what: &str) {
    eprintln!("left out: this system has no {what}");
}
