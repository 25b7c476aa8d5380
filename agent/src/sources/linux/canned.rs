//! Canned roots for the tests of the sources: files by path, with an `os-release`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use muster_proto::model::{Observation, Watchlist};

use crate::sources::root::Root;
use crate::sources::{ScanContext, Source, SourceReading};

/// A root in a temporary directory.
pub(super) struct Canned(tempfile::TempDir);

impl Canned {
    pub(super) fn new(os: &str) -> Self {
        let root = Self(tempfile::tempdir().expect("temporary directory"));
        root.file("etc/os-release", format!("ID={os}\n")).file("etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    }

    /// A machine with this `os-release`.
    pub(super) fn with_os_release(text: &str) -> Self {
        Self::new("x").file("etc/os-release", text)
    }

    pub(super) fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.made(path), bytes).expect("written");
        self
    }

    /// A file that can be executed.
    pub(super) fn executable(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let root = self.file(path, bytes);
        fs::set_permissions(root.path().join(path), fs::Permissions::from_mode(0o755)).expect("permitted");
        root
    }

    pub(super) fn link(self, path: &str, target: &str) -> Self {
        symlink(target, self.made(path)).expect("linked");
        self
    }

    pub(super) fn directory(self, path: &str) -> Self {
        let directory = self.made(path);
        if directory.is_file() {
            fs::remove_file(&directory).expect("removed");
        }
        fs::create_dir_all(directory).expect("made");
        self
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn read(&self, source: &dyn Source) -> SourceReading {
        self.read_with(source, Watchlist::default())
    }

    pub(super) fn read_with(&self, source: &dyn Source, watchlist: Watchlist) -> SourceReading {
        source.read(&ScanContext::new(Root::below(self.path()).expect("a root"), watchlist))
    }

    fn made(&self, path: &str) -> std::path::PathBuf {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        file
    }
}

/// Name and version of each observation.
pub(super) fn rows(reading: &SourceReading) -> Vec<String> {
    let row = |o: &Observation| format!("{} {}", o.name, o.version).trim().to_owned();
    let mut rows: Vec<String> = reading.observations.iter().map(row).collect();
    rows.sort();
    rows
}
