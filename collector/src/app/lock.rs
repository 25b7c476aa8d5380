//! One collector per data directory: each keeps "last seen" and the judge queue's claims in memory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

/// Another collector uses this data directory.
#[derive(Debug, thiserror::Error)]
#[error("lock the data directory {directory}: another collector{who} uses it")]
pub(super) struct Locked {
    directory: PathBuf,
    who: String,
}

impl Locked {
    /// What to do about it.
    pub(super) const ADVICE: &str = "stop it first, or use another --data-dir";
}

/// Held while serving. The operating system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("collector.lock");
        // Do not truncate yet: until the lock is ours, the file has the process id of another collector.
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open().with_context(|| format!("open {}", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut id = String::new();
                // The id only improves the message, so a failed read leaves it out.
                let _ = file.read_to_string(&mut id);
                let who = if id.trim().is_empty() { String::new() } else { format!(" (process {})", id.trim()) };
                return Err(Locked { directory: directory.to_owned(), who }.into());
            }
            Err(error) => return Err(error).with_context(|| format!("lock {}", path.display())),
        }
        // Only for the message above: the lock is on the file, not in it.
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// Held while files are created, so that two first starts do not create two CAs. Waits for the other process.
pub(super) fn exclusive(directory: &Path) -> anyhow::Result<File> {
    // Not `collector.lock`: a collector holds that as long as it serves, and `init` must not wait for it.
    let handle = File::open(directory).with_context(|| format!("open {}", directory.display()))?;
    flock(&handle, FlockOperation::LockExclusive).with_context(|| format!("lock {}", directory.display()))?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_collector_is_refused_until_the_first_has_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Lock::take(directory.path()).expect("taken");
        let refused = Lock::take(directory.path()).expect_err("locked");
        let expected = format!("another collector (process {}) uses it", std::process::id());
        assert!(refused.to_string().ends_with(&expected), "{refused}");
        assert!(refused.downcast_ref::<Locked>().is_some());
        drop(first);
        Lock::take(directory.path()).expect("taken again");
    }
}
