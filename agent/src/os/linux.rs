//! Linux: FHS directories, modes of files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) fn default_config_file() -> PathBuf {
    PathBuf::from("/etc/muster/agent.toml")
}

pub(super) fn default_state_dir() -> PathBuf {
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
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .find(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

pub(super) fn make_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = dir.join(name);
    let written = write_synced(&new, bytes).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // What is left of the attempt is of no use to anybody; the error of the attempt is what matters.
        let _ = std::fs::remove_file(&new);
    }
    written?;
    sync_dir(dir)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A leftover of a killed process with this id would make `create_new` fail for ever.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub(super) fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_replaced_whole_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let inner = dir.path().join("a/b");
        make_private_dir(&inner).expect("made");
        let file = inner.join("secret");
        write_private(&file, b"one").expect("written");
        write_private(&file, b"two").expect("replaced");
        assert_eq!(std::fs::read(&file).expect("read"), b"two");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&inner).expect("there").permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&inner).expect("listed").count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_lock_is_held_by_one_only() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("lock");
        let held = lock(&path).expect("first");
        assert_eq!(lock(&path).expect_err("second").kind(), io::ErrorKind::WouldBlock);
        drop(held);
        lock(&path).expect("free again");
    }
}
