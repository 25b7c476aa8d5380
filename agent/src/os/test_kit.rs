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

/// Lets everybody write there; `false` where that cannot be done.
pub(crate) fn open_to_all(path: &Path) -> bool {
    super::platform_kit::open_to_all(path)
}

/// Whether this is Wine, which is not all that Windows is.
#[cfg(windows)]
pub(crate) fn is_wine() -> bool {
    super::platform_kit::is_wine()
}

/// The letter of no volume.
#[cfg(windows)]
pub(crate) fn free_letter() -> char {
    ('D'..='Y').find(|letter| std::fs::metadata(format!(r"{letter}:\")).is_err()).expect("a free letter")
}

/// Whether a watched directory includes its subdirectories, one way or the other.
pub(crate) fn has_watched_trees() -> bool {
    super::platform_kit::has_watched_trees()
}

/// Whether a directory that is watched for names also tells that an entry was written in place.
pub(crate) fn tells_of_writes() -> bool {
    super::platform_kit::tells_of_writes()
}

/// Waits until the system has told of the changes so far. Linux has told of a change before the call that makes it returns.
pub(crate) fn let_notices_arrive() {
    super::platform_kit::let_notices_arrive();
}

/// Says that a test, or a part of it, was left out because the system has no such thing.
pub(crate) fn left_out(what: &str) {
    eprintln!("left out: this system has no {what}");
}
