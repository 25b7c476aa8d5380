//! The settings file on Windows: in a folder that only administrators and the system may change, and that files inherit from.

use std::io;
use std::path::Path;

use crate::os;

pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    os::make_private_dir(dir)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    os::write_private(path, bytes)
}
