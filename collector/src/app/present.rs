//! Whether a file that must not be made twice is there: a token, a key.

use std::path::Path;

use anyhow::Context as _;

/// Whether the file is there. A link to a missing file counts as an error: the file may be on a disk
/// that is not mounted.
pub(super) fn is_present(file: &Path) -> anyhow::Result<bool> {
    let place = file.display();
    match file.symlink_metadata() {
        Ok(found) if found.is_symlink() && !file.try_exists().with_context(|| format!("read {place}"))? => {
            anyhow::bail!("read {place}: it is a link to a file that does not exist")
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("read {place}")),
    }
}
