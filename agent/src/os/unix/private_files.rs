//! Files and directories that only their owner may read, and the lock of a state directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags};

pub(super) fn make_private_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // From the outermost one inwards: each directory gets the owner of its parent.
    missing.into_iter().rev().try_for_each(|made| hand_over(&open_made(made)?, made))
}

/// Opens a directory that was just created. No link is followed: the owner of the parent directory could have replaced it by
/// one, and root would give away its target.
fn open_made(dir: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(dir)
}

/// Gives a file that root creates to the owner of its directory: root runs `muster-agent enroll`, and the service's account
/// must be able to read the result.
fn hand_over(made: &File, path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = std::fs::metadata(parent)?;
    if owner.uid() == 0 { Ok(()) } else { std::os::unix::fs::fchown(made, Some(owner.uid()), Some(owner.gid())) }
}

pub(super) fn write_private(path: &Path, content: super::WriteContent<'_>) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_owned();
    // In the same directory, because a rename is atomic only within one file system.
    name.push(format!(".new-{}", std::process::id()));
    let new = dir.join(name);
    let written = write_synced(&new, content).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // Best effort: the error of the failed write is what matters.
        let _ = std::fs::remove_file(&new);
    }
    written?;
    // The rename itself is durable only after its directory is synced (fsync(2)). On macOS `sync_all` also empties the cache of the
    // disk (`F_FULLFSYNC`, fcntl(2)).
    sync_dir(dir)
}

fn write_synced(path: &Path, content: super::WriteContent<'_>) -> io::Result<()> {
    // A file left by a killed process with the same id would make `create_new` fail.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    hand_over(&file, path)?;
    content(&mut file)?;
    file.sync_all()
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub(super) fn lock(path: &Path) -> io::Result<File> {
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = match new {
        Ok(file) => {
            hand_over(&file, path)?;
            file
        }
        // No link is followed: the directory may belong to another account.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let flags = OFlags::NOFOLLOW.bits().cast_signed();
            OpenOptions::new().write(true).custom_flags(flags).open(path)?
        }
        Err(error) => return Err(error),
    };
    // The kernel releases this lock when the process ends, however it ends.
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // The only way to find out is to try. The lock is shared, so that two probes do not see each other.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_replaced_atomically_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let inner = dir.path().join("a/b");
        make_private_dir(&inner).expect("made");
        let file = inner.join("secret");
        write_private(&file, &|out| out.write_all(b"one")).expect("written");
        write_private(&file, &|out| out.write_all(b"two")).expect("replaced");
        assert_eq!(std::fs::read(&file).expect("read"), b"two");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&inner).expect("there").permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&inner).expect("listed").count(), 1, "no temporary file is left");
    }

    #[test]
    fn files_that_root_creates_belong_to_the_owner_of_the_directory() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("temporary directory");
        let state = dir.path().join("state");
        std::fs::create_dir(&state).expect("made");
        std::os::unix::fs::chown(&state, Some(4711), Some(4712)).expect("given away");
        make_private_dir(&state.join("a/b")).expect("made");
        write_private(&state.join("a/b/key"), &|out| out.write_all(b"x")).expect("written");
        drop(lock(&state.join("lock")).expect("locked"));
        for path in ["a", "a/b", "a/b/key", "lock"] {
            let metadata = std::fs::metadata(state.join(path)).expect("there");
            assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712), "{path}");
        }
        std::os::unix::fs::symlink("/etc/passwd", state.join("other")).expect("linked");
        lock(&state.join("other")).expect_err("a link is not followed");
        std::os::unix::fs::symlink("/etc", state.join("swapped")).expect("linked");
        open_made(&state.join("swapped")).expect_err("nor is one that took the place of a new directory");
    }

    #[test]
    fn a_lock_is_exclusive() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("lock");
        assert!(!crate::os::is_locked(&path).expect("asked") && !path.exists(), "asking makes nothing");
        let held = lock(&path).expect("first");
        assert_eq!(lock(&path).expect_err("second").kind(), io::ErrorKind::WouldBlock);
        assert!(is_locked(&path).expect("asked"));
        drop(held);
        assert!(!is_locked(&path).expect("asked"), "the file stays, and nobody holds it");
        lock(&path).expect("free again");
    }
}
