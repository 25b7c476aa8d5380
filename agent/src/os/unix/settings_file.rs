//! The settings file on Unix: everybody may read it, because the service has an account of its own.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::os;

pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link to a file that configuration management keeps elsewhere stays a link.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = dir.join(name);
    let written = write_new(&new, bytes, &path).and_then(|()| std::fs::rename(&new, &path));
    if written.is_err() {
        // Best effort: the error of the failed write is what matters.
        let _ = std::fs::remove_file(&new);
    }
    written.and_then(|()| os::sync_dir(dir))
}

fn write_new(new: &Path, bytes: &[u8], old: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    let mut mode = 0o644;
    if let Ok(old) = std::fs::metadata(old) {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        mode = old.mode() & 0o7777;
    }
    // Whatever the umask of the caller is.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_settings_file_keeps_its_mode_and_its_link() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (real, link) = (dir.path().join("real.toml"), dir.path().join("agent.toml"));
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        std::fs::write(&real, "one").expect("written");
        std::fs::set_permissions(&real, Permissions::from_mode(0o640)).expect("set");
        write(&link, b"two").expect("written");
        assert!(std::fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(std::fs::read(&real).expect("read"), b"two");
        assert_eq!(std::fs::metadata(&real).expect("there").mode() & 0o7777, 0o640);
        write(&dir.path().join("new.toml"), b"three").expect("written");
        assert_eq!(std::fs::metadata(dir.path().join("new.toml")).expect("there").mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 3, "no temporary file is left");
    }
}
