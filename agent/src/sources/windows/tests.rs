//! Tests of the sources on registries in memory and files in a temporary folder.

mod answers;
mod applications;
mod bounds;
mod browsers;
mod certificates;
mod identity;
mod outcomes;
mod paths;
mod places;
mod services;
mod settings;
mod watched;

use std::fs;
use std::sync::Arc;

use muster_proto::model::Observation;

use super::reader::Reader;
use crate::sources::SourceReading;
use crate::sources::parse::windows::wmi::Answers;
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::root::Root;
use crate::sources::wmi::Wmi;

/// A Windows machine in a temporary folder, whose registry is in memory.
pub(super) struct Machine {
    pub(super) registry: MemoryRegistry,
    root: tempfile::TempDir,
}

pub(super) const VERSION: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";

impl Machine {
    pub(super) fn new() -> Self {
        let registry = MemoryRegistry::default().with_text(VERSION, "SystemRoot", r"C:\Windows");
        let root = tempfile::tempdir().expect("a temporary folder");
        // This file marks a Windows machine.
        Self { registry, root }.file("Windows/System32/config/SYSTEM", "")
    }

    /// Changes the registry.
    pub(super) fn with(self, change: impl FnOnce(MemoryRegistry) -> MemoryRegistry) -> Self {
        Self { registry: change(self.registry), ..self }
    }

    /// Adds a file: `Windows/System32/x.exe`.
    pub(super) fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let file = self.root.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        fs::write(file, bytes).expect("written");
        self
    }

    /// Adds a link; `false` if this system does not allow it.
    pub(super) fn link(&self, path: &str, target: &str) -> bool {
        crate::os::test_kit::link(target, &self.root.path().join(path))
    }

    pub(super) fn read(&self, source: impl FnOnce(Reader<'_>) -> SourceReading) -> SourceReading {
        let root = Root::below(self.root.path()).expect("a root");
        source(Reader::new(&self.registry, &root))
    }

    pub(super) fn state<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let root = Root::below(self.root.path()).expect("a root");
        read(&mut Reader::new(&self.registry, &root))
    }
}

/// What a recording answers.
pub(super) fn wmi(recorded: &str) -> Wmi {
    Wmi::recorded(Arc::new(Answers::parse(recorded).expect("a recording")))
}

/// Each observation in one line: name, then what else is known.
pub(super) fn rows(reading: &SourceReading) -> Vec<String> {
    let row = |row: &Observation| {
        let Observation { name, vendor, version, id, path, state, attributes, kind: _ } = row;
        let mut line = name.clone();
        let fields = [("vendor", vendor), ("version", version), ("id", id), ("path", path), ("state", state)];
        for (field, value) in fields.into_iter().chain(attributes.iter().map(|(name, value)| (name.as_str(), value))) {
            if !value.is_empty() && value != name {
                line.push_str(&format!(" {field}={value}"));
            }
        }
        line
    };
    let mut rows: Vec<String> = reading.observations.iter().map(row).collect();
    rows.sort();
    rows
}
